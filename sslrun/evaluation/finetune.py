"""Fine-tuning: all weights of an encoder, and a linear layer on it, trained on labelled images.

The epoch whose weights count is chosen on validation images; the images to be classified choose nothing. From an
untrained encoder this is ERM, empirical risk minimisation. udg.py says on which images, and when.

Shapes: N images, B of a batch, C channels or classes, S pixels of a view.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from sslrun.data.batches import Batches, choose_stream
from sslrun.data.images import ImageSet
from sslrun.errors import InputError, RunFailed
from sslrun.evaluation.features import extract
from sslrun.networks.exchange import Exchange
from sslrun.networks.group import ALONE, Group, over_all
from sslrun.networks.layout import trained_channels_last
from sslrun.networks.precision import mixed_precision
from sslrun.recipe import schema
from sslrun.recipe.schema import Recipe, Schedule, Udg
from sslrun.seeds import stream_seed
from sslrun.training.optimizers import learning_rates
from sslrun.views.per_image import on_device
from sslrun.views.pipeline import Views

_HEAD_STD = 0.01  # of the linear layer's starting weights


@dataclass(frozen=True, eq=False)
class Tuned:
    """What the weights of the best epoch say."""

    predicted_N: Tensor
    """The class of each image to be classified, int64, on the CPU."""
    validation: float
    """The accuracy by which the epoch was chosen, a part of 1."""
    epoch: int
    """That epoch, from 1 on."""


def finetune(
    encoder: nn.Module,
    labelled: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    recipe: Recipe,
    options: Udg,
    device: torch.device,
    beat: Callable[[], None] = lambda: None,
    group: Group = ALONE,
) -> Tuned:
    """Train a copy of `encoder` on `labelled`, and classify `test` with the weights of the epoch that is best on
    `validation`; of equally good ones the first.

    Cross-entropy, batch norms in training mode, AdamW with betas 0.9 and 0.999, an epoch of warm-up, then a cosine to
    0. `beat` is called every step. Of several processes each has its part of every batch, as in pretraining. Raises
    `InputError` for fewer than two labelled images, and `RunFailed` where the loss becomes infinite or NaN.
    """
    seed, precision = stream_seed(recipe.seed, "finetune"), recipe.training.precision
    batches = _batches(labelled, options.batch_size, recipe, seed, device)
    passes = math.ceil(options.least_steps / batches.steps_per_epoch)  # over the labelled images, in one epoch
    schedule = Schedule(kind="cosine", warmup_epochs=min(1, options.epochs - 1))
    rates = learning_rates(schedule, passes * batches.steps_per_epoch, options.epochs)
    group = group if batches.batch_size >= group.size else ALONE  # with fewer images than processes all do all
    network = over_all(nn.Sequential(deepcopy(encoder), _head(encoder, len(labelled.class_names), seed)), group)
    channels_last = trained_channels_last(recipe.training.channels_last, network, device)
    network.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    views = _views(recipe, options.augment, labelled, channels_last)
    optimizer = AdamW(network.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    exchange = Exchange(network.parameters(), group)
    validation = replace(validation, images=validation.images.to(device))

    def classify(images: ImageSet) -> Tensor:
        logits_NC = extract(
            network,
            images,
            views.plain,
            device=device,
            precision=precision,
            channels_last=channels_last,
            beat=beat,
            group=group,
        )
        return logits_NC.argmax(1).cpu()

    best, chosen, weights, iteration = -1.0, 0, {}, 0
    for epoch in range(1, options.epochs + 1):
        network.train()
        total = torch.zeros((), device=device)
        for images_BCHW, labels_B in _labelled_batches(batches, labelled, range((epoch - 1) * passes, epoch * passes)):
            draws, group.batch = views.draw(len(labels_B), seed, iteration)[:1], len(labels_B)
            whole = group.size == 1
            (x_BCSS,) = views(images_BCHW, draws) if whole else views.part(images_BCHW, draws, group.part())
            with mixed_precision(precision, device.type):
                loss = nn.functional.cross_entropy(group.gather(network(x_BCSS)), labels_B)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            exchange.finish()
            for weights_group in optimizer.param_groups:
                weights_group["lr"] = options.lr * float(rates[iteration])
            optimizer.step()
            total += loss.detach()
            iteration += 1
            beat()
        _check(total, epoch, len(labelled))  # waits for the device, once an epoch
        accuracy = float((classify(validation) == validation.labels).double().mean())
        if accuracy > best:
            best, chosen = accuracy, epoch
            weights = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    return Tuned(classify(test), best, chosen)


def _batches(labelled: ImageSet, batch_size: int, recipe: Recipe, seed: int, device: torch.device) -> Batches:
    if len(labelled) < 2:
        raise InputError(
            f"{len(labelled)} labelled image is too little to fine-tune on", where="evaluation.udg.fractions"
        )
    stream = choose_stream(recipe.data.stream, labelled, device)
    size = min(batch_size, len(labelled))
    return Batches(labelled, batch_size=size, seed=seed, last_batch="drop", device=device, stream=stream)


def _labelled_batches(batches: Batches, images: ImageSet, passes: range) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of several passes over the images, (B, C, H, W) and (B,), on the device."""
    for number in passes:
        labels_N = on_device(images.labels[batches.order(number)], batches.device)
        yield from zip(batches.epoch(number), labels_N.split(batches.batch_size), strict=False)


def _views(recipe: Recipe, augment: bool, images: ImageSet, channels_last: bool) -> Views:
    """The recipe's views with nothing but its crop and flip, or without these too."""
    own = recipe.views
    crop, flip = (own.crop, own.flip) if augment else (None, 0.0)
    section = schema.Views(
        size=own.size, crop=crop, flip=flip, jitter=None, greyscale=0.0, blur=None, normalize=own.normalize
    )
    return Views(section, channels=images.channels, stored=images.side, channels_last=channels_last)


def _head(encoder: nn.Module, classes: int, seed: int) -> nn.Linear:
    """A linear layer on the encoder: weights from N(0, 0.01²), no bias to start with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "head"))
        head = nn.Linear(int(encoder.feature_dim), classes)  # type: ignore[arg-type]  # nn.Module types it as Tensor
        nn.init.normal_(head.weight, std=_HEAD_STD)
        nn.init.zeros_(head.bias)
    return head


def _check(total: Tensor, epoch: int, labelled: int) -> None:
    if not bool(total.isfinite()):
        raise RunFailed(
            f"fine-tuning on {labelled:,} labelled images: the loss became infinite or NaN in epoch {epoch}",
            remedy="Lower evaluation.udg.lr.",
        )
