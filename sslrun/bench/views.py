"""Making views in batches against making the same views one PIL image at a time, drawing included."""

from torch import Tensor

from sslrun.bench.pictures import as_pil_arrays
from sslrun.bench.rows import Row, clock_of, on_cpu
from sslrun.bench.timing import Settings, alternate
from sslrun.recipe.schema import Recipe
from sslrun.views import ViewDraws, Views
from sslrun.views.reference import pil_view

SHAPES = {(96, 96): "stl10_directpred", (32, 32): "cifar10_directpred", (128, 96): "imagenette_directpred"}
SHAPES |= {(224, 224): "imagenet_directpred"}
"""Stored side and side of a view, and the shipped recipe whose operations are taken."""
BARS = {(96, 96): 3.3, (32, 32): 4.5, (128, 96): 2.0, (224, 224): 1.5}
"""On one core against PIL."""


def views_row(recipe: Recipe, batch_NCHW: Tensor, size: int | None, settings: Settings) -> Row:
    """The recipe's views, `size` pixels a side (as stored if None), of a batch of uint8 images on the host."""
    _, channels, _, stored = batch_NCHW.shape
    section = recipe.views.model_copy(update={"size": size})
    views = Views(section, channels=channels, stored=stored, channels_last=recipe.training.channels_last)
    pictures = as_pil_arrays(batch_NCHW)
    batch_NCHW = batch_NCHW.to(settings.device)

    def draw() -> list[ViewDraws]:
        return views.draw(len(batch_NCHW), recipe.seed, 0)

    taken = alternate(
        {
            "ours": lambda: views(batch_NCHW, draw()),
            "PIL": lambda: [pil_view(pictures, draws, views) for draws in draw()],
        },
        settings,
    )
    return Row(
        "views",
        f"{stored} → {views.size} px, {recipe.name} / PIL",
        taken["PIL"],
        taken["ours"],
        clock_of(settings),
        "views/s",
        units=views.count * len(batch_NCHW),
        bar=on_cpu(settings, BARS.get((stored, views.size))),
    )
