"""Multinomial logistic regression: mean cross-entropy + decay/2 · ‖W‖², bias free of decay, by full-batch L-BFGS.

Works in the principal axes of standardised features, each divided by its variance plus the decay (which changes the
path, not the end): half to a third of the iterations of the plain method. linear.py, udg.py and purity.py
are built on it.

Shapes: N images, D features, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Products are float32, three times as fast as float64; parameters and sums are float64. A fit ends when an iteration
# lowers the objective by less than 3e-9 of it (of 0.1, if it is smaller): it then is within about 1e-6 of its least.
_LEAST_GAIN, _SMALL_OBJECTIVE = 3e-9, 0.1
_MOST_AXES = 2048  # finding more costs more than it saves
# Multiplications of one evaluation below which threads cost more than they save; where another process keeps a core
# busy, ten times more (measured: 1,400 × 64 features, 46 s on two threads against 5 s on one).
_WORTH_THREADS = 1e8


@dataclass(frozen=True, eq=False)
class Weights:
    """A linear classifier in float64, weight (K, D) and bias (K,): logits = x_ND · weightᵀ + bias."""

    weight: Tensor
    bias: Tensor
    converged: bool = False
    """Whether the fit ended before its last allowed iteration."""

    def classify(self, x_ND: Tensor) -> Tensor:
        """The class of each row, int64 (N,)."""
        logits_NK = torch.addmm(self.bias.float(), x_ND, self.weight.float().T)
        return logits_NK.argmax(1)


def zero_weights(x_ND: Tensor, classes: int) -> Weights:
    """Where a fit starts without anything better."""
    weight_KD = torch.zeros(classes, x_ND.shape[1], dtype=torch.float64, device=x_ND.device)
    return Weights(weight_KD, weight_KD.sum(1))


def in_principal_axes(train_ND: Tensor, test_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both sets of standardised features turned to the principal axes of the first, and its variance along each.

    A rotation changes neither the objective nor the predictions. More than 2,048 features stay as they are.
    """
    n, d = train_ND.shape
    if d > _MOST_AXES:
        return train_ND, test_ND, torch.ones(d, dtype=torch.float64, device=train_ND.device)
    variance_D, axes_DD = torch.linalg.eigh((train_ND.T @ train_ND / n).double())
    return train_ND @ axes_DD.float(), test_ND @ axes_DD.float(), variance_D.clamp_min(0)


@contextmanager
def few_threads(multiplications: int) -> Iterator[None]:
    """Fits of so many multiplications an evaluation run on one thread if more would cost more than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if multiplications < _WORTH_THREADS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def fit(
    x_ND: Tensor,
    y_N: Tensor,
    variance_D: Tensor,
    decay: float,
    start: Weights,
    iterations: int,
    beat: Callable[[], None] = lambda: None,
) -> Weights:
    """The weights of least objective for features x_ND, whose variances are about `variance_D`.

    `start` gives the number of classes and where to begin; at most `iterations` L-BFGS iterations. `beat` is called
    whenever the objective is computed.
    """
    from scipy.optimize import minimize  # slow to import; a scheduler imports this module and fits nothing
    from threadpoolctl import threadpool_limits

    n, (k, d) = len(x_ND), start.weight.shape
    scale_D = (variance_D + max(decay, 1e-6)).rsqrt()
    target_NK = torch.nn.functional.one_hot(y_N, k).to(x_ND.dtype)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        beat()
        v_KE = torch.from_numpy(flat).view(k, d + 1).to(x_ND.device)
        weight_KD, bias_K = v_KE[:, :d] * scale_D, v_KE[:, d]
        log_p_NK = torch.addmm(bias_K.float(), x_ND, weight_KD.float().T).log_softmax(1)
        loss = -(log_p_NK * target_NK).sum(dtype=torch.float64) / n + decay / 2 * weight_KD.square().sum()
        error_NK = log_p_NK.exp() - target_NK
        slope_KD = (error_NK.T @ x_ND).double() / n + decay * weight_KD
        slope_KE = torch.cat([slope_KD * scale_D, error_NK.sum(0, dtype=torch.float64)[:, None] / n], 1)
        # SciPy measures the gain of an iteration against max(1, objective): here 1 is _SMALL_OBJECTIVE.
        return float(loss) / _SMALL_OBJECTIVE, slope_KE.cpu().numpy().ravel() / _SMALL_OBJECTIVE

    # SciPy's steps are tiny: threads that wait for each other between them took three times as long as the fit.
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        found = minimize(
            objective,
            torch.cat([start.weight / scale_D, start.bias[:, None]], 1).cpu().numpy().ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "maxfun": 4 * iterations, "ftol": _LEAST_GAIN, "gtol": 1e-9, "maxcor": 10},
        )
    v_KE = torch.from_numpy(found.x).view(k, d + 1).to(x_ND.device)
    # Status 1 is the limit of iterations; 2, no lower value along the line, is the end of float32's resolution.
    return Weights(v_KE[:, :d] * scale_D, v_KE[:, d], converged=found.status != 1)


def best_fit(
    x_ND: Tensor,
    y_N: Tensor,
    variance_D: Tensor,
    decays: Sequence[float],
    start: Weights,
    iterations: int,
    score: Callable[[Weights], float],
    beat: Callable[[], None] = lambda: None,
) -> tuple[float, Weights, dict[float, float]]:
    """The decay whose fit scores highest, of equally good ones the largest; that fit, and all scores.

    Each fit starts from that of the stronger decay, the first from `start`; else as `fit`.
    """
    fits: dict[float, Weights] = {}
    for decay in sorted(set(decays), reverse=True):
        start = fits[decay] = fit(x_ND, y_N, variance_D, decay, start, iterations, beat)
    scores = {decay: score(weights) for decay, weights in fits.items()}
    best = max(scores, key=scores.__getitem__)
    return best, fits[best], scores


def accuracy(predicted_N: Tensor, labels_N: Tensor) -> float:
    """The part of the images whose class is right."""
    return int((predicted_N == labels_N).sum()) / len(labels_N)
