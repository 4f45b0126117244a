"""What every judge is given: labelled training and test features on one device, checked once and in one place.

kNN, the linear probe and the authors' probe all start from `problem`; features come from features.py.

Shapes: N images, D features.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.errors import InputError, RunFailed


@dataclass(frozen=True, eq=False)
class Problem:
    """Finite float32 features (N, D) with their labels (N,) in 0 .. classes − 1, all on one device."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: int

    def with_error(self, accuracy: float) -> dict[str, float]:
        """An accuracy on the test images, a part of 1, with its standard error: of images drawn anew, each on its own
        right or wrong."""
        variance = accuracy * (1 - accuracy) / len(self.test_labels)
        return {"accuracy": accuracy, "standard_error": math.sqrt(variance)}


def problem(train_ND: Tensor, train_labels_N: Tensor, test_ND: Tensor, test_labels_N: Tensor, classes: int) -> Problem:
    """Leave out the images without label (−1) and check the rest.

    Features on a device without float64 (MPS) are judged on the CPU. Raises `InputError` where shapes or labels don't
    fit together or no labelled image is left, `RunFailed` where the encoder's features are not finite.
    """
    if train_ND.ndim != 2 or test_ND.ndim != 2 or train_ND.shape[1] != test_ND.shape[1] or train_ND.shape[1] == 0:
        raise InputError(
            f"training and test features must be (N, D) with the same D, not {tuple(train_ND.shape)} and "
            f"{tuple(test_ND.shape)}"
        )
    device = torch.device("cpu") if train_ND.device.type == "mps" else train_ND.device
    train = _labelled("training", train_ND.to(device), train_labels_N.to(device), classes)
    test = _labelled("test", test_ND.to(device), test_labels_N.to(device), classes)
    return Problem(*train, *test, classes)


def standardised(train_ND: Tensor, test_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Both with each feature shifted and scaled to mean 0 and standard deviation 1 on the training features.

    A feature that is constant there, up to float32 rounding (its deviation below 1e-6 of its size), becomes 0.
    """
    mean_D = train_ND.mean(0, dtype=torch.float64)
    shift_D = mean_D.float()
    centred_ND = train_ND - shift_D
    variance_D = centred_ND.square().mean(0, dtype=torch.float64) - (mean_D - shift_D).square()
    std_D = variance_D.clamp_min(0).sqrt()
    varies_D = std_D > 1e-6 * (mean_D.square() + variance_D).clamp_min(0).sqrt()
    scale_D = torch.where(varies_D, 1 / std_D, 0.0).float()
    return centred_ND * scale_D, (test_ND - shift_D) * scale_D


def _labelled(which: str, h_ND: Tensor, labels_N: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    if labels_N.shape != h_ND.shape[:1]:
        raise InputError(f"{len(h_ND)} {which} features with labels of shape {tuple(labels_N.shape)}")
    known_N = labels_N >= 0
    h_ND, labels_N = h_ND[known_N].float(), labels_N[known_N].long()
    if len(labels_N) == 0:
        raise InputError(
            f"there are no labelled {which} images to judge with",
            remedy="kNN and the probes need labels; choose data that has them, or leave these evaluations out.",
        )
    if int(labels_N.max()) >= classes:
        raise InputError(f"a {which} label is {int(labels_N.max())}, with {classes} classes (from 0 on)")
    bad_N = ~h_ND.isfinite().all(1)
    if bool(bad_N.any()):
        raise RunFailed(
            f"the encoder's features are not finite for {int(bad_N.sum())} of {len(h_ND)} {which} images",
            remedy="Its weights have most likely diverged; look at the loss in the run's history.",
        )
    return h_ND, labels_N
