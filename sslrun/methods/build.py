"""From a recipe to a method: `build_method`. The steps themselves stand one file a method."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import cast

import torch
from torch import nn

from sslrun.methods.base import Method
from sslrun.methods.msn import MSN
from sslrun.methods.noncontrastive import NonContrastive, cosine_loss, squared_loss
from sslrun.methods.simclr import SimCLR
from sslrun.methods.swav import Assignment, SwAV
from sslrun.networks.backbones import build_backbone
from sslrun.networks.ema import ema_momentum
from sslrun.networks.heads import build_projector
from sslrun.networks.precision import mixed_precision
from sslrun.networks.predictors import build_predictor
from sslrun.networks.predictors.base import linear_layer
from sslrun.networks.vit import ViT
from sslrun.recipe import schema
from sslrun.recipe.schema import Byol, Msn, NoEma, Recipe, SimClr, Swav
from sslrun.seeds import stream_seed


def build_encoder(recipe: Recipe, channels: int, stream: str = "initialisation") -> nn.Module:
    """The recipe's encoder at its random start; the same weights every time it is asked for."""
    return build_backbone(
        recipe.network.backbone, channels, stream_seed(recipe.seed, stream, 0), side=recipe.views.size
    )


def build_method(recipe: Recipe, encoder: nn.Module, channels: int, steps: int, device: torch.device) -> Method:
    """The recipe's method around `encoder` (see `build_encoder`), on `device`, for `steps` iterations in all."""
    autocast = partial(mixed_precision, recipe.training.precision, device.type)
    method: Method
    match recipe.method:
        case SimClr(temperature=temperature, negatives=negatives):
            projector, _ = _projector(recipe, encoder, "initialisation")
            method = SimCLR(encoder, projector, temperature=temperature, negatives=negatives, autocast=autocast)
        case Swav() as section:
            method = _swav(recipe, section, encoder, steps, autocast)
        case Msn() as section:
            projector, dim = _projector(recipe, encoder, "initialisation")
            generator = torch.Generator().manual_seed(stream_seed(recipe.seed, "initialisation", 2))
            method = MSN(
                cast(ViT, encoder),  # the schema gives MSN no other
                projector,
                linear_layer(dim, section.prototypes, bias=False, generator=generator),
                section,
                steps=steps,
                seed=recipe.seed,
                autocast=autocast,
            )
        case schema.NonContrastive() as section:
            method = _noncontrastive(recipe, section, encoder, channels, steps, autocast)
    return method.to(device)


def _swav(
    recipe: Recipe,
    section: Swav,
    encoder: nn.Module,
    steps: int,
    autocast: Callable[[], AbstractContextManager[object]],
) -> SwAV:
    projector, dim = _projector(recipe, encoder, "initialisation")
    generator = torch.Generator().manual_seed(stream_seed(recipe.seed, "initialisation", 2))
    length, queue_from = 0, 0
    if section.queue is not None:
        steps_per_epoch = steps // recipe.training.epochs
        length, full_after = section.queue.length, -(-section.queue.length // recipe.training.batch_size)
        queue_from = max(section.queue.start_epoch * steps_per_epoch, full_after)
    return SwAV(
        encoder,
        projector,
        linear_layer(dim, section.prototypes, bias=False, generator=generator),
        assigned=recipe.views.count,
        assignment=Assignment(section.epsilon, section.iterations, section.assign),
        temperature=section.temperature,
        freeze_prototypes=section.freeze_prototypes,
        queue=length,
        queue_from=queue_from,
        autocast=autocast,
    )


def _noncontrastive(
    recipe: Recipe,
    section: schema.NonContrastive,
    encoder: nn.Module,
    channels: int,
    steps: int,
    autocast: Callable[[], AbstractContextManager[object]],
) -> NonContrastive:
    projector, dim = _projector(recipe, encoder, "initialisation")
    generator = torch.Generator().manual_seed(stream_seed(recipe.seed, "initialisation", 2))
    target = None
    momentum: Callable[[int], float] | None = None
    if isinstance(section, Byol):
        if section.target == "independent":
            other = build_encoder(recipe, channels, "target")
            target = (other, _projector(recipe, other, "target")[0])
        if not isinstance(section.ema, NoEma):
            momentum = partial(ema_momentum, section.ema, total_steps=steps)
    return NonContrastive(
        encoder,
        projector,
        build_predictor(section.predictor, dim, generator),
        loss=cosine_loss if section.loss == "cosine" else squared_loss,
        symmetric=section.symmetric,
        stop_gradient=section.stop_gradient,
        momentum=momentum,
        target=target,
        autocast=autocast,
    )


def _projector(recipe: Recipe, encoder: nn.Module, stream: str) -> tuple[nn.Module, int]:
    """The projector behind `encoder`, and the dimension of its output."""
    section = recipe.network.projector
    features = int(encoder.feature_dim)  # type: ignore[arg-type]  # nn.Module types every attribute as Tensor | Module
    projector = build_projector(section, features, stream_seed(recipe.seed, stream, 1))
    return projector, features if section.kind == "none" else section.out
