"""How well a linear classifier tells the domains of features apart, by cross-validation: the domain probe.

Built on logistic.py. The name is from arXiv 2303.06088's kind of analysis; folds and decay are our choice: five
folds, and scikit-learn's default, C = 1.

Shapes: M images, D features.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation.logistic import few_threads, fit, in_principal_axes, zero_weights
from sslrun.evaluation.problem import standardised

FOLDS = 5
_ITERATIONS = 500


@torch.no_grad()
def domain_probe(h_MD: Tensor, domains_M: Tensor, labels_M: Tensor, beat: Callable[[], None] = lambda: None) -> float:
    """The part of the images whose domain is found by a classifier fitted without their fold.

    Logistic regression of the domain from features standardised on the fitted folds, weight decay 1/n for n of them.
    Folds deal out the images of each domain and class in turn. `beat` is called all along, as in `fit`. Raises
    `InputError` for fewer images than folds.
    """
    if len(h_MD) < FOLDS:
        raise InputError(f"a domain probe with {FOLDS} folds of {len(h_MD)} images")
    present_K, domains_M = torch.unique(domains_M, return_inverse=True)
    folds_M = folds(domains_M, labels_M)
    correct = 0
    with few_threads(h_MD.numel() * len(present_K)):
        for fold in range(FOLDS):
            held_M = folds_M == fold
            x_ND, held_ND, variance_D = in_principal_axes(*standardised(h_MD[~held_M], h_MD[held_M]))
            start = zero_weights(x_ND, len(present_K))
            weights = fit(x_ND, domains_M[~held_M], variance_D, 1 / len(x_ND), start, _ITERATIONS, beat)
            correct += int((weights.classify(held_ND) == domains_M[held_M]).sum())
    return correct / len(h_MD)


def folds(domains_M: Tensor, labels_M: Tensor) -> Tensor:
    """The fold of each image, int64 (M,) in 0 .. 4: images ordered by domain and class are dealt out in turn."""
    order_M = (domains_M * (labels_M.max() + 1) + labels_M).argsort(stable=True)
    folds_M = torch.empty_like(order_M)
    folds_M[order_M] = torch.arange(len(order_M), device=order_M.device) % FOLDS
    return folds_M
