"""Judging a frozen encoder: `judge.evaluate` gives the numbers of one evaluation, `features.extract` what it looks at.

Start with `judge`. Each evaluation is a section of the recipe (`recipe.schema.evaluation`) and one file in here that
registers what computes it; all files are imported, so that each does.
"""

from importlib import import_module
from pkgutil import iter_modules

from sslrun.evaluation.features import Featured, extract, pixels
from sslrun.evaluation.judge import Judge, Subject, evaluate

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Featured", "Judge", "Subject", "evaluate", "extract", "pixels"]
