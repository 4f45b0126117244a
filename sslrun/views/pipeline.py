"""From a recipe's `views` section to the views of a batch: geometry, then colour, blur and normalisation.

Drawing is apart from applying: `draw` gives host tensors from seeded streams, one for each family of operations, so
that switching one on changes nothing in what the others draw. `reference.py` has the same view of one picture.
Shapes: N images, C channels, S pixels of a view.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.errors import RecipeError
from sslrun.recipe import schema
from sslrun.seeds import stream_seed
from sslrun.views.blur import BlurDraws, draw_blur, gaussian_blur
from sslrun.views.colour import JitterDraws, draw_jitter, greyscale, jitter, normalize, solarize
from sslrun.views.draws import Draws, cache_sized, chosen, on_device
from sslrun.views.geometry import CropDraws, crop_filters, draw_crops, resample, resized_crop, whole_images


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
        self.constants: tuple[Tensor, Tensor] | None = None
        if recipe.normalize:
            self.constants = torch.tensor(recipe.normalize.mean), torch.tensor(recipe.normalize.std)

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
        if self.constants is None:
            return x_NCSS
        mean_C11, std_C11 = (value.to(x_NCSS.device).view(-1, 1, 1) for value in self.constants)
        return x_NCSS * std_C11 + mean_C11

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
        device, shape = images_NCHW.device, (len(images_NCHW), self.channels, self.size, self.size)
        out_NCSS = torch.empty(shape, device=device, memory_format=self.memory_format)
        out = out_NCSS.unbind()
        order_N, portions = _portions(draws, self.channels * max(self.size, self.stored) ** 2, device)
        ordered, place_N = draws.part(order_N), on_device(order_N, device)
        rows, columns = crop_filters(ordered.crop, ordered.flip_N, self.size, device)
        for part in portions:
            x_NCSS = resample(images_NCHW.index_select(0, place_N[part]), rows.part(part), columns.part(part))
            x_NCSS = self._appearance(x_NCSS, ordered.part(part))
            if device.type == "cpu":  # where index_copy_ is slow
                torch._foreach_copy_([out[row] for row in order_N[part].tolist()], x_NCSS.unbind())
            else:
                out_NCSS.index_copy_(0, place_N[part], x_NCSS)
        return out_NCSS

    def _appearance(self, x_NCSS: Tensor, draws: ViewDraws) -> Tensor:
        # Turned so that what lies column by column is contiguous. Colours don't mind, and the blur starts with columns.
        turned_NCSS = x_NCSS.transpose(2, 3)
        if draws.jitter is not None:
            turned_NCSS = jitter(turned_NCSS, draws.jitter)
        if draws.greyscale_N is not None:
            turned_NCSS = greyscale(turned_NCSS, draws.greyscale_N)
        x_NCSS = turned_NCSS.transpose(2, 3)
        if draws.blur is not None and self.recipe.blur is not None:
            x_NCSS = gaussian_blur(x_NCSS, draws.blur, self.recipe.blur.kernel)
        if draws.solarize_N is not None and self.recipe.solarize is not None:
            x_NCSS = solarize(x_NCSS, draws.solarize_N, self.recipe.solarize.threshold)
        return self._normalize(x_NCSS)

    def _normalize(self, x_NCSS: Tensor) -> Tensor:
        return x_NCSS if self.constants is None else normalize(x_NCSS, *self.constants)


def _portions(draws: ViewDraws, values_per_image: int, device: torch.device) -> tuple[Tensor, list[slice]]:
    """An order of the images (host), and ranges of it that are worked on at a time.

    On a CPU each portion stays in its cache. Its images have their hue turned at the same place in the order, and
    those that are blurred, or lose their colour, lie side by side, so that little has to be gathered.
    """
    n = len(draws.crop.top_N)
    if device.type != "cpu":
        return torch.arange(n), [slice(0, n)]
    no_N = torch.zeros(n, dtype=torch.bool)
    turn_after_N = draws.jitter.turn_after_N if draws.jitter else no_N.long()
    blur_N = draws.blur.chosen_N if draws.blur else no_N
    grey_N = no_N if draws.greyscale_N is None else draws.greyscale_N
    order_N = (4 * turn_after_N + 2 * blur_N + (blur_N ^ grey_N)).argsort(stable=True)
    portions, start = [], 0
    for count in turn_after_N.bincount().tolist():
        parts = cache_sized(count, values_per_image, device)
        portions += [slice(start + part.start, start + part.stop) for part in parts]
        start += count
    return order_N, portions


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
