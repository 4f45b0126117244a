"""A few timed steps of a recipe, to say beforehand what its run will cost. Nothing is kept, no picture is read."""

import time
from dataclasses import dataclass

import torch

from sslrun.data.images import ImageSet
from sslrun.data.sources import chosen
from sslrun.jobs.places import Places, choose_device
from sslrun.jobs.starting import starting_encoder
from sslrun.recipe.schema import Recipe
from sslrun.training.pretrain import assemble

_SECONDS, _MOST_STEPS = 3.0, 8


@dataclass(frozen=True)
class Measured:
    """What an epoch takes, in seconds, and what the run's folder will hold, in bytes."""

    epoch_seconds: float
    folder_bytes: int


def measure(recipe: Recipe, where: Places) -> Measured:
    """Time training steps on random images of the data's shape: one to warm up, then some for a few seconds."""
    device = choose_device(recipe.run.device)
    source, index = chosen(recipe.data, where.data, "pretrain")
    batch = recipe.training.batch_size
    vectors = len(source.shape) == 1
    shape = (batch, *source.shape)
    images_NCHW = torch.randn(shape) if vectors else torch.randint(256, shape, dtype=torch.uint8)
    images = ImageSet(images_NCHW, torch.full((batch,), -1))
    trainer = assemble(recipe, starting_encoder(recipe, source.shape[0]), images, device)
    on_device_NCHW = images_NCHW.to(device)
    float(trainer.step(on_device_NCHW, 0))
    begun, steps = time.perf_counter(), 0
    while steps < _MOST_STEPS and (steps < 2 or time.perf_counter() - begun < _SECONDS):
        loss = trainer.step(on_device_NCHW, 0)
        steps += 1
    float(loss)  # waits for the device
    each = (time.perf_counter() - begun) / steps
    in_epoch = len(index) // batch if recipe.training.last_batch == "drop" else -(-len(index) // batch)
    encoder = _bytes(trainer.method.encoder)
    trained = sum(p.numel() * p.element_size() for p in trainer.method.parameters() if p.requires_grad)
    kept = 1 + len(recipe.training.keep_encoder_at)
    return Measured(each * max(1, in_epoch), _bytes(trainer.method) + trained + encoder * kept)


def _bytes(module: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
