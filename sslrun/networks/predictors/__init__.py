"""Predictors: what stands between the online output of one view and the target output of the other.

`base.py` says what a training step asks of one. Each other file is one way to get W_p (trained, or set
from statistics of its inputs) and registers with `build_predictor` the sections of the recipe that it builds.
"""

import importlib
import pkgutil

from sslrun.networks.predictors.base import Predictor, build_predictor
from sslrun.networks.predictors.correlation import CorrelationEstimate, predictor_from_correlation

__all__ = ["CorrelationEstimate", "Predictor", "build_predictor", "predictor_from_correlation"]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
