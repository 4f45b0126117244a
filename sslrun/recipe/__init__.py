"""Recipes: everything that a run is, read from YAML, checked, and turned into an identity. Needs no torch.

`schema/` is the manual; `reading.py` reads a file, `identity.py` says what makes two runs the same.
"""

from sslrun.recipe.combining import merge
from sslrun.recipe.reading import read_recipe
from sslrun.recipe.schema import Recipe
from sslrun.recipe.writing import json_schema, to_yaml

__all__ = ["Recipe", "json_schema", "merge", "read_recipe", "to_yaml"]
