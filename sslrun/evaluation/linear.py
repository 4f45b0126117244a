"""The linear probe: logistic regression on standardised features, fitted to convergence.

Its weight decay is chosen on a held-out part of the training images, never on the test images. The fit itself is in
logistic.py; the probe of the DirectPred code, which is neither converged nor chosen so, is in authors_probe.py.

Shapes: N images, D features, K classes that occur in training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.evaluation.baselines import Metrics
from sslrun.evaluation.judge import Subject, evaluate
from sslrun.evaluation.logistic import accuracy, best_fit, few_threads, fit, in_principal_axes, zero_weights
from sslrun.evaluation.problem import Problem, standardised
from sslrun.recipe.schema import LinearProbe
from sslrun.seeds import stream_seed


@dataclass(frozen=True)
class LinearProbeResult:
    """What the probe found; accuracies are parts of 1."""

    accuracy: float
    """On the test images, fitted with `decay` on all training images."""
    train_accuracy: float
    """On the training images, of the same fit."""
    decay: float
    """The chosen weight decay."""
    held_out: dict[float, float]
    """Accuracy on the held-out training images by decay; empty where there was only one to choose from."""
    converged: bool
    """Whether the last fit ended before its last allowed iteration."""


@evaluate.register
def _(section: LinearProbe, subject: Subject) -> Metrics:
    found = linear_probe(section, subject.problem, subject.recipe.seed, subject.beat)
    return {
        **vars(found),
        **subject.problem.with_error(found.accuracy),
        "held_out": {f"{decay:g}": value for decay, value in found.held_out.items()},
    }


@torch.no_grad()
def linear_probe(
    section: LinearProbe, p: Problem, seed: int, beat: Callable[[], None] = lambda: None
) -> LinearProbeResult:
    """Choose the decay with `held_out` of each class of the training images, refit on all of them, and test.

    Of equally good decays the largest is taken. A test image of a class that never occurs in training counts as wrong.
    `beat` is called all along, as in `fit`. Raises `InputError` where every class has a single training image, so that
    none can be held out to choose among several decays.
    """
    with few_threads(p.train.numel() * p.classes):
        x_ND, test_ND, variance_D = in_principal_axes(*standardised(p.train, p.test))
        present_K, y_N = torch.unique(p.train_labels, return_inverse=True)
        accuracies: dict[float, float] = {}
        decay, start = section.decays[0], zero_weights(x_ND, len(present_K))
        if len(set(section.decays)) > 1:
            section.can_choose(int(y_N.bincount().max()))
            fitted, held = _split(y_N, section.held_out, seed)
            held_ND, held_N = x_ND[held], y_N[held]
            decay, start, accuracies = best_fit(
                x_ND[fitted],
                y_N[fitted],
                variance_D,
                section.decays,
                start,
                section.iterations,
                lambda weights: accuracy(weights.classify(held_ND), held_N),
                beat,
            )
        weights = fit(x_ND, y_N, variance_D, decay, start, section.iterations, beat)
    return LinearProbeResult(
        accuracy=accuracy(present_K[weights.classify(test_ND)], p.test_labels),
        train_accuracy=accuracy(weights.classify(x_ND), y_N),
        decay=decay,
        held_out=accuracies,
        converged=weights.converged,
    )


def _split(y_N: Tensor, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images to fit and of those held out: of each class the part `held_out`, at least 1, never all."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "probe"))
    y_N, device = y_N.cpu(), y_N.device
    shuffled_N = torch.randperm(len(y_N), generator=generator)
    order_N = shuffled_N[y_N[shuffled_N].argsort(stable=True)]
    fitted, held = [], []
    for of_class in torch.split(order_N, y_N.bincount().tolist()):
        count = min(max(1, round(held_out * len(of_class))), len(of_class) - 1)
        held.append(of_class[:count])
        fitted.append(of_class[count:])
    return torch.cat(fitted).to(device), torch.cat(held).to(device)
