"""From a recipe's `views` section to the views of a batch: geometry, then colour, blur and normalisation.

Drawing is apart from applying: `draw` gives host tensors from seeded streams, one for each family of operations, so
that switching one on changes nothing in what the others draw. `reference.py` has the same view of one picture.
Shapes: N images, C channels, S pixels of a view.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.errors import RecipeError
from sslrun.recipe import schema
from sslrun.seeds import stream_seed
from sslrun.views.blur import BlurDraws, draw_blur, gaussian_blur
from sslrun.views.colour import JitterDraws, draw_jitter, greyscale, jitter, normalize, solarize
from sslrun.views.draws import Draws, cache_sized, chosen, on_device
from sslrun.views.geometry import CropDraws, draw_crops, resized_crop, whole_images


@dataclass(frozen=True)
class ViewDraws(Draws):
    """Everything drawn for one view of a batch; what the recipe leaves out is None. Flags are boolean, shape (N,)."""

    crop: CropDraws
    flip_N: Tensor | None
    jitter: JitterDraws | None
    greyscale_N: Tensor | None
    blur: BlurDraws | None
    solarize_N: Tensor | None


class Views:
    """The views of a recipe, for square images with `channels` channels and `stored` pixels a side.

    `count` views an image are drawn. With `channels_last` they come in that memory format, else contiguous.
    Raises `RecipeError` where the section doesn't fit the images.
    """

    def __init__(
        self, recipe: schema.Views, *, channels: int, stored: int, count: int = 2, channels_last: bool = False
    ) -> None:
        self.recipe, self.channels, self.stored, self.count = recipe, channels, stored, count
        self.size = recipe.size or stored
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        _check(recipe, channels, self.size)

    def draw(self, n: int, seed: int, step: int) -> list[ViewDraws]:
        """The draws of `n` images' views at `step`; they depend on nothing but the recipe and these numbers."""
        return [self._draw_view(n, seed, step, view) for view in range(self.count)]

    def __call__(self, images_NCHW: Tensor, draws: list[ViewDraws]) -> list[Tensor]:
        """Apply `draws` to uint8 images; a float32 (N, C, S, S) tensor a view."""
        return [self._view(images_NCHW, view_draws) for view_draws in draws]

    def plain(self, images_NCHW: Tensor) -> Tensor:
        """The whole images, unaugmented: resized to S (antialiased) where they differ, and normalised."""
        if self.size == self.stored:
            x_NCSS = images_NCHW.float() / 255
        else:
            whole = whole_images(len(images_NCHW), self.stored, self.stored)
            x_NCSS = resized_crop(images_NCHW, whole, None, self.size)
        return self._normalize(x_NCSS).contiguous(memory_format=self.memory_format)

    def unnormalized(self, x_NCSS: Tensor) -> Tensor:
        """Undo the normalisation, for showing views to people."""
        constants = self.recipe.normalize
        if constants is None:
            return x_NCSS
        mean, std = (
            torch.tensor(value).view(1, -1, 1, 1).to(x_NCSS.device) for value in (constants.mean, constants.std)
        )
        return x_NCSS * std + mean

    def _draw_view(self, n: int, seed: int, step: int, view: int) -> ViewDraws:
        def stream(family: str) -> torch.Generator:
            return torch.Generator().manual_seed(stream_seed(seed, f"views.{family}", step, view))

        recipe, side, later = self.recipe, self.stored, min(view, 1)
        crop, colour, blur, solar = recipe.crop, recipe.jitter, recipe.blur, recipe.solarize
        boxes = whole_images(n, side, side)
        if crop:
            boxes = draw_crops(n, side, side, crop.scale, crop.ratio, stream("crop"))
        jitters = None
        if colour:
            strengths = (colour.brightness, colour.contrast, colour.saturation)
            jitters = draw_jitter(n, colour.probability, strengths, colour.hue, stream("jitter"))
        return ViewDraws(
            crop=boxes,
            flip_N=chosen(n, recipe.flip, stream("flip")) if recipe.flip else None,
            jitter=jitters,
            greyscale_N=chosen(n, recipe.greyscale, stream("greyscale")) if recipe.greyscale else None,
            blur=draw_blur(n, blur.probability[later], blur.sigma, stream("blur")) if blur else None,
            solarize_N=chosen(n, solar.probability[later], stream("solarize")) if solar else None,
        )

    def _view(self, images_NCHW: Tensor, draws: ViewDraws) -> Tensor:
        x_NCSS = resized_crop(images_NCHW, draws.crop, draws.flip_N, self.size)
        for rows, part in _portions(draws, x_NCSS[0].numel(), x_NCSS.device):
            place = on_device(rows, x_NCSS.device)
            x_NCSS.index_copy_(0, place, self._appearance(x_NCSS.index_select(0, place), part))
        return x_NCSS.contiguous(memory_format=self.memory_format)

    def _appearance(self, x_NCSS: Tensor, draws: ViewDraws) -> Tensor:
        if draws.jitter is not None:
            x_NCSS = jitter(x_NCSS, draws.jitter)
        if draws.greyscale_N is not None:
            x_NCSS = greyscale(x_NCSS, draws.greyscale_N)
        if draws.blur is not None and self.recipe.blur is not None:
            x_NCSS = gaussian_blur(x_NCSS, draws.blur, self.recipe.blur.kernel)
        if draws.solarize_N is not None and self.recipe.solarize is not None:
            x_NCSS = solarize(x_NCSS, draws.solarize_N, self.recipe.solarize.threshold)
        return self._normalize(x_NCSS)

    def _normalize(self, x_NCSS: Tensor) -> Tensor:
        constants = self.recipe.normalize
        return x_NCSS if constants is None else normalize(x_NCSS, constants.mean, constants.std)


def _portions(draws: ViewDraws, values_per_image: int, device: torch.device) -> Iterator[tuple[Tensor, ViewDraws]]:
    """Cut a batch into row numbers and their draws.

    On a CPU each portion stays in its cache and holds images that are treated alike (blurred or not, hue turned at
    the same place in the order), so that nearly nothing is computed for some rows of it only.
    """
    n = len(draws.crop.top_N)
    kind_N = torch.zeros(n, dtype=torch.int64)
    if device.type == "cpu":
        if draws.jitter is not None:
            kind_N += 2 * draws.jitter.turn_after_N
        if draws.blur is not None:
            kind_N += draws.blur.chosen_N
    order_N = kind_N.argsort(stable=True)
    ordered = draws.part(order_N)
    start = 0
    for count in kind_N.bincount().tolist():
        for part in cache_sized(count, values_per_image, device):
            rows = slice(start + part.start, start + part.stop)
            yield order_N[rows], ordered.part(rows)
        start += count


def _check(recipe: schema.Views, channels: int, size: int) -> None:
    """What the schema can't say, as it depends on the images."""
    blur, constants = recipe.blur, recipe.normalize
    if blur and blur.kernel // 2 >= size:
        raise RecipeError(
            f"{blur.kernel} taps don't fit views of {size} pixels",
            where="views.blur.kernel",
            remedy=f"At most {2 * size - 1} do.",
        )
    if constants and len(constants.mean) not in (1, channels):
        raise RecipeError(
            f"{len(constants.mean)} means and standard deviations for images with {channels} channel(s)",
            where="views.normalize",
            remedy=f"Give one of each, or {channels}.",
        )
