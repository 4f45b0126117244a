"""Judging a frozen encoder: `extract` gives its features, `evaluate` one cell of numbers from them."""

from sslrun.evaluation.cells import Metrics, evaluate
from sslrun.evaluation.features import extract, pixels

__all__ = ["Metrics", "evaluate", "extract", "pixels"]
