"""Predictors: what stands between the online output of one view and the target output of the other.

`base.py` says what a training step asks of one, `build.py` makes the recipe's, and each other file is one way to
get W_p: trained, constrained, or set from statistics of its inputs.
"""

from sslrun.networks.predictors.base import Predictor
from sslrun.networks.predictors.build import build_predictor
from sslrun.networks.predictors.correlation import CorrelationEstimate, predictor_from_correlation

__all__ = ["CorrelationEstimate", "Predictor", "build_predictor", "predictor_from_correlation"]
