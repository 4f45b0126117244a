"""Has it collapsed? The signals that every epoch records, and the verdict at the end.

All signals come from the projector's outputs of a fixed set of training images, unaugmented, under evaluation-mode
batch norm; each formula is a function of `sslrun.networks.statistics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sslrun.methods import Method
from sslrun.networks import statistics
from sslrun.recipe.schema import Collapse

MOST_IMAGES = 1024
_CHUNK = 256


def fixed_images(images_NCHW: Tensor) -> Tensor:
    """At most 1,024 images spread evenly over the set: the same ones in every epoch and for every seed."""
    count = min(MOST_IMAGES, len(images_NCHW))
    return images_NCHW[torch.linspace(0, len(images_NCHW) - 1, count).round().long()].clone()


@torch.no_grad()
def signals(method: Method, images_NCHW: Tensor, plain: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The signals of `method` on uint8 `images_NCHW`, whose unaugmented view is `plain(images)`.

    Scalars by name, and lists: `spectrum` (eigenvalues of the correlation F, largest first), `p` (u_jᵀ W_p u_j) and
    `alignment` per mode where the predictor is one matrix.
    """
    was_training = method.training
    method.eval()
    z_ND = torch.cat([method.online(plain(chunk)).float() for chunk in images_NCHW.split(_CHUNK)]).double().cpu()
    method.train(was_training)
    return {}


@dataclass(frozen=True)
class Verdict:
    """What became of a run: `healthy`, `complete` or `dimensional` collapse; the evidence holds the numbers used."""

    kind: str
    evidence: dict[str, float]

    @property
    def collapsed(self) -> bool:
        """Whether it is a collapse of either sort."""
        return self.kind != "healthy"


def verdict(last: Mapping[str, Any], untrained: Mapping[str, Any], thresholds: Collapse) -> Verdict:
    """Judge the last epoch's signals against the thresholds and the untrained encoder's effective rank."""
    evidence = {
        "std": last["std"],
        "rank": last["rank"],
        "untrained_rank": untrained["rank"],
        "std_threshold": thresholds.std,
        "rank_threshold": thresholds.rank,
    }
    if last["std"] < thresholds.std:
        return Verdict("complete", evidence)
    if last["rank"] < max(thresholds.rank, untrained["rank"]):
        return Verdict("dimensional", evidence)
    return Verdict("healthy", evidence)
