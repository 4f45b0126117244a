"""What a recipe gives every method: networks at their random start, and the numbers of its training.

A method's own options come from its section. All weights are drawn from the recipe's seed, each network from a stream
of its own (`sslrun.seeds`). The steps are in the methods' files.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from sslrun.networks.backbones import build_backbone
from sslrun.networks.encoder import Encoder
from sslrun.networks.group import ALONE, Group
from sslrun.networks.heads import Projector, build_projector
from sslrun.networks.precision import mixed_precision
from sslrun.recipe.schema import Recipe
from sslrun.seeds import stream_seed


@dataclass(frozen=True)
class Setup:
    """What a method is made of, besides its own section."""

    encoder: nn.Module
    projector: Projector
    independent: Callable[[], tuple[nn.Module, nn.Module]]
    """Draws another encoder and projector of the same shape, from a stream of their own."""
    together: bool = False
    """Whether batch norm sees all views at once: `method.views`."""
    seed: int = 0
    views: int = 2  # full-size ones of each image
    batch_size: int = 1
    steps_per_epoch: int = 1
    epochs: int = 1
    group: Group = ALONE
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    """Opens the mixed-precision context that encoder and projector run in; everything else is float32."""

    @property
    def steps(self) -> int:
        """Iterations of the whole training."""
        return self.steps_per_epoch * self.epochs

    def generator(self) -> torch.Generator:
        """For the weights of what a method adds to encoder and projector: a predictor, or prototypes."""
        return torch.Generator().manual_seed(stream_seed(self.seed, "initialisation", 2))


def build_encoder(recipe: Recipe, channels: int, stream: str = "initialisation") -> Encoder:
    """The recipe's encoder at its random start; the same weights every time it is asked for."""
    seed = stream_seed(recipe.seed, stream, 0)
    return build_backbone(recipe.network.backbone, channels, seed, side=recipe.views.size)


def set_up(
    recipe: Recipe,
    encoder: Encoder,
    channels: int,
    steps_per_epoch: int,
    device: torch.device,
    group: Group = ALONE,
) -> Setup:
    """What the recipe's method is made of, around an `encoder` (see `build_encoder`) for `channels`, on the CPU.

    `device` is where it is going to train, in a `group` of processes if not alone.
    """

    def projector_of(encoder: Encoder, stream: str) -> Projector:
        seed = stream_seed(recipe.seed, stream, 1)
        return build_projector(recipe.network.projector, encoder.feature_dim, seed)

    def independent() -> tuple[Encoder, Projector]:
        other = build_encoder(recipe, channels, "target")
        return other, projector_of(other, "target")

    return Setup(
        encoder,
        projector_of(encoder, "initialisation"),
        independent,
        together=recipe.method.views == "together",
        seed=recipe.seed,
        views=recipe.views.count,
        batch_size=recipe.training.batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=recipe.training.epochs,
        group=group,
        autocast=partial(mixed_precision, recipe.training.precision, device.type),
    )
