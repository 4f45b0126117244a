"""A few timed steps of a recipe, to say beforehand what its run will cost. Nothing is kept, no picture is read."""

import time
from dataclasses import dataclass

import torch

from sslrun.data.dataset import Dataset
from sslrun.data.images import ImageSet
from sslrun.data.suiting import steps_per_epoch
from sslrun.evaluation.features import extract
from sslrun.jobs.evaluating import asked_for
from sslrun.jobs.places import Places, choose_device
from sslrun.networks.group import ALONE, Group
from sslrun.recipe.schema import Recipe
from sslrun.training.capture import WARM_UP
from sslrun.training.memory import check_memory
from sslrun.training.pretrain import Trainer, assemble
from sslrun.training.starting import starting_encoder

_SECONDS, _MOST_STEPS = 3.0, 8
_PIXELS = 100_000
"""Of a view's batch on a CPU: two images at 224 px. A whole batch of ResNet-50 would take a core minutes a step."""


@dataclass(frozen=True)
class Cost:
    """What one run takes: seconds an epoch, seconds of all evaluations, bytes on the disk."""

    epoch: float
    evaluation: float
    size: int


def measure(recipe: Recipe, where: Places, group: Group = ALONE) -> Cost:
    """Time training steps on random images of the data's shape: one to warm up, then some for a few seconds. The
    processes of a `group` all call this. On a CPU large images come in smaller batches, and a step is taken to last as
    many times longer as its batch is larger.

    Of evaluations the passes of images through the encoder are counted, fine-tuning included; not the fits on frozen
    features, and not the baselines, which many runs share.
    """
    device = choose_device(recipe.run.device)
    count = where.data.counts("pretrain").total
    check_memory(recipe, where.data.shape, count, device)
    in_epoch = steps_per_epoch(count, recipe.training.batch_size, recipe.training.last_batch)
    batch = _timed_batch(recipe, where.data, device, group)
    larger = recipe.training.batch_size / batch
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"batch_size": batch})})
    vectors = len(where.data.shape) == 1
    shape = (batch, *where.data.shape)
    images_NCHW = torch.randn(shape) if vectors else torch.randint(256, shape, dtype=torch.uint8)
    images = ImageSet(images_NCHW, torch.full((batch,), -1))
    trainer = assemble(recipe, starting_encoder(recipe, where.data.shape[0]), images, device, group)
    on_device_NCHW = images_NCHW.to(device)
    begun = time.perf_counter()
    for _ in range(1 if trainer.captured is None else WARM_UP + 2):
        loss = trainer.step(on_device_NCHW, 0)
    float(loss)
    least = 2 if time.perf_counter() - begun < _SECONDS else 1
    begun, steps = time.perf_counter(), 0
    while steps < _MOST_STEPS and group.any(steps < least or time.perf_counter() - begun < _SECONDS):
        loss = trainer.step(on_device_NCHW, 0)
        steps += 1
    float(loss)  # waits for the device
    each = larger * (time.perf_counter() - begun) / steps
    encoder = _bytes(trainer.method.encoder)
    trained = sum(p.numel() * p.element_size() for p in trainer.method.parameters() if p.requires_grad)
    kept = 1 + len(recipe.training.keep_encoder_at)
    passes = _passes(recipe, where.data)  # none of vectors, which have no layout to go forward in
    return Cost(
        epoch=each * in_epoch,
        evaluation=passes * _forward_seconds(recipe, trainer, images, device) if passes else 0.0,
        size=_bytes(trainer.method) + trained + encoder * kept,
    )


def _timed_batch(recipe: Recipe, data: Dataset, device: torch.device, group: Group) -> int:
    """How many images a step has that is timed: all of the recipe's batch but for large images on a CPU."""
    batch, vectors = recipe.training.batch_size, len(data.shape) == 1
    if device.type != "cpu" or vectors:
        return batch
    styles = getattr(recipe.views.style, "styles", 1)
    least = 2 * styles * group.size  # two images of each style, and as many for each process
    fitting = _PIXELS // (recipe.views.size or data.shape[-1]) ** 2
    return min(batch, max(least, fitting // least * least))


def _passes(recipe: Recipe, data: Dataset) -> int:
    """How many images go forward through the encoder in all evaluations; going back counts as two."""
    sections = recipe.judged().values()
    splits = dict.fromkeys(split for section in sections for split in section.SPLITS)
    count = {split: data.counts(split).total for split in splits}
    epochs = len({name.epoch for name, _ in asked_for(recipe)})
    return epochs * (sum(count.values()) + sum(section.passes(count) for section in sections))


def _forward_seconds(recipe: Recipe, trainer: Trainer, images: ImageSet, device: torch.device) -> float:
    """What one image takes through the encoder."""
    training = recipe.training

    def forward() -> float:
        begun = time.perf_counter()
        extract(
            trainer.method.encoder,
            images,
            trainer.views.plain,
            device=device,
            precision=training.precision,
            channels_last=training.channels_last,
            group=trainer.method.group,
        )
        return (time.perf_counter() - begun) / len(images)

    forward()  # to warm up
    return forward()


def _bytes(module: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
