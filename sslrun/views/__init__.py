"""Random views of a batch, as batched tensor operations with parameters drawn per image.

Read in this order: `pipeline` (a recipe's views), `geometry`, `colour`, `blur`; `filtering` is what resizing and
blurring share, `draws` what all parameters share. `sheet` shows views to people, `reference` makes them with PIL.
"""

from sslrun.views.pipeline import ViewDraws, Views

__all__ = ["ViewDraws", "Views"]
