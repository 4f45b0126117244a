"""From a recipe's `views` section to the views of a batch: geometry, then style, colour, blur and normalisation.

What is random is drawn apart, on the host (`view_draws.py`); applying the draws is a pure function of images and draws.
`sslrun.bench.reference` makes the same views of PIL images.
Shapes: N images, C channels, S pixels of a view.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from sslrun.errors import RecipeError
from sslrun.recipe import schema
from sslrun.views.blur import gaussian_blur
from sslrun.views.colour import greyscale, jitter, normalize, solarize
from sslrun.views.geometry import crop_filters, resample, resized_crop, whole_images
from sslrun.views.per_image import cache_sized, on_device, shapes_are_fixed
from sslrun.views.style import DeviceStyle, StyleDraws, standardize
from sslrun.views.view_draws import ViewDraws, draw_view, part_of


class MakesViews(Protocol):
    """Views of images (`Views`) or of vectors (`views.noise`): draws on the host, applied on the device."""

    def draw(self, n: int, seed: int, step: int) -> list[Any]:
        """What is drawn for the views of `n` images at `step`."""

    def __call__(self, images_NCHW: Tensor, draws: list[Any], /) -> list[Tensor]:
        """The views, one tensor each."""

    def for_device(self, draws: list[Any], /) -> list[Any]:
        """The same draws, which within `fixed_shapes` are applied where they lie."""

    def part(self, images_NCHW: Tensor, draws: list[Any], rows: slice, /) -> list[Tensor]:
        """Those of some rows of the batch."""

    def needed(self, n: int, seed: int, step: int, rows: Sequence[int], /) -> Iterable[int]:
        """The rows of a batch of `n` images that `part` looks at for these."""

    def plain(self, images_NCHW: Tensor, /) -> Tensor:
        """The unaugmented view."""


class Views:
    """The views of a recipe, for square images with `channels` channels and `stored` pixels a side.

    `count` views an image are drawn: the full-size ones, `size` pixels a side, and then the small ones. With
    `channels_last` they come in that memory format, else contiguous. Raises `RecipeError` where the section doesn't
    fit the images.
    """

    def __init__(self, recipe: schema.Views, *, channels: int, stored: int, channels_last: bool = False) -> None:
        self.recipe, self.channels, self.stored = recipe, channels, stored
        self.size = recipe.size or stored
        self.count = recipe.count + (recipe.small.count if recipe.small else 0)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        _check(recipe, channels, self.size)
        self.constants: tuple[Tensor, Tensor] | None = None
        if recipe.normalize:
            self.constants = torch.tensor(recipe.normalize.mean), torch.tensor(recipe.normalize.std)

    def draw(self, n: int, seed: int, step: int) -> list[ViewDraws]:
        """The draws of `n` images' views at `step`; they depend on nothing but the recipe and these numbers."""
        return [draw_view(self.recipe, self.stored, n, seed, step, view) for view in range(self.count)]

    def __call__(self, images_NCHW: Tensor, draws: list[ViewDraws]) -> list[Tensor]:
        """Apply `draws` to uint8 images; a float32 (N, C, S, S) tensor a view, S as drawn."""
        return [self._view(images_NCHW, view_draws) for view_draws in draws]

    def for_device(self, draws: list[ViewDraws]) -> list[ViewDraws]:
        """The same draws with all that decides about them in tensors, as within `fixed_shapes` they are applied."""
        window = self.recipe.style.window if self.recipe.style.kind != "none" else "half"
        styles = [
            DeviceStyle.of(one.style, one.size, window) if isinstance(one.style, StyleDraws) else None for one in draws
        ]
        return [replace(one, style=style) for one, style in zip(draws, styles, strict=True)]

    def part(self, images_NCHW: Tensor, draws: list[ViewDraws], rows: slice) -> list[Tensor]:
        """The same for some `rows` of the batch alone; styles are of the whole batch's images all the same."""
        views = []
        for whole in draws:
            kept, own = part_of(whole, rows)
            view_NCSS = self._view(images_NCHW.index_select(0, on_device(kept, images_NCHW.device)), own)
            views.append(view_NCSS[: rows.stop - rows.start])
        return views

    def needed(self, n: int, seed: int, step: int, rows: Sequence[int]) -> set[int]:
        """The rows of a batch of `n` images that `part` looks at for some `rows` of it."""
        draws = self.draw(n, seed, step) if self.recipe.style.kind != "none" else []
        return set(rows).union(*(part_of(one, slice(rows[0], rows[-1] + 1))[0].tolist() for one in draws))

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

    def styled(self, x_NCSS: Tensor, draws: StyleDraws | DeviceStyle) -> Tensor:
        """Float images in [0, 1] in the style that was drawn, computed as the recipe says."""
        style = self.recipe.style
        if style.kind == "none":
            return x_NCSS
        if isinstance(draws, DeviceStyle):
            return draws.applied(x_NCSS, style.clamp)
        return standardize(x_NCSS, draws.ratio, draws.reference, style.window, style.clamp)

    def _view(self, images_NCHW: Tensor, draws: ViewDraws) -> Tensor:
        device, shape = images_NCHW.device, (len(images_NCHW), self.channels, draws.size, draws.size)
        portions = _portions(draws, self.channels * max(draws.size, self.stored) ** 2, device)
        ordered = draws if portions.order_N is None else draws.part(portions.order_N)
        rows, columns = crop_filters(ordered.crop, ordered.flip_N, draws.size, images_NCHW)
        out_NCSS = torch.empty(shape, device=device, memory_format=self.memory_format)

        def cropped(part: slice) -> Tensor:
            return resample(portions.take(images_NCHW, part), rows.part(part), columns.part(part))

        def coloured(x_NCSS: Tensor, part: slice) -> Tensor:
            return self._colours(x_NCSS, ordered.part(part))

        def finished(x_NCSS: Tensor, part: slice) -> Tensor:
            return self._finish(x_NCSS, ordered.part(part))

        if draws.style is None:
            return portions.fill(out_NCSS, lambda part: finished(coloured(cropped(part), part), part))
        # A style needs all images of the view together, so they are gone through once before it and once after.
        x_NCSS = torch.empty(shape, device=device)
        if self.recipe.colours == "per_image_before":
            portions.fill(x_NCSS, lambda part: coloured(cropped(part), part))
            x_NCSS = self.styled(x_NCSS, draws.style)
            return portions.fill(out_NCSS, lambda part: finished(portions.take(x_NCSS, part), part))
        x_NCSS = self.styled(portions.fill(x_NCSS, cropped), draws.style)
        return portions.fill(out_NCSS, lambda part: finished(coloured(portions.take(x_NCSS, part), part), part))

    def _colours(self, x_NCSS: Tensor, draws: ViewDraws) -> Tensor:
        # Turned so that what lies column by column is contiguous. Colours don't mind, and the blur starts with columns.
        turned_NCSS = x_NCSS.transpose(2, 3)
        if draws.jitter is not None:
            turned_NCSS = jitter(turned_NCSS, draws.jitter)
        if draws.greyscale_N is not None:
            turned_NCSS = greyscale(turned_NCSS, draws.greyscale_N)
        return turned_NCSS.transpose(2, 3)

    def _finish(self, x_NCSS: Tensor, draws: ViewDraws) -> Tensor:
        if draws.blur is not None and self.recipe.blur is not None:
            x_NCSS = gaussian_blur(x_NCSS, draws.blur, self.recipe.blur.kernel)
        if draws.solarize_N is not None and self.recipe.solarize is not None:
            x_NCSS = solarize(x_NCSS, draws.solarize_N, self.recipe.solarize.threshold)
        return self._normalize(x_NCSS)

    def _normalize(self, x_NCSS: Tensor) -> Tensor:
        if self.constants is None:
            return x_NCSS
        if self.constants[0].device != x_NCSS.device:  # once
            mean_C, std_C = self.constants
            self.constants = on_device(mean_C, x_NCSS.device), on_device(std_C, x_NCSS.device)
        return normalize(x_NCSS, *self.constants)


@dataclass(frozen=True)
class _Portions:
    """An order of the images on a CPU, and ranges of it that are worked on at a time; None where all are at once."""

    order_N: Tensor | None
    ranges: list[slice]

    def take(self, images_NCHW: Tensor, part: slice) -> Tensor:
        """The images of one of the ranges."""
        return images_NCHW if self.order_N is None else images_NCHW.index_select(0, self.order_N[part])

    def fill(self, out_NCSS: Tensor, make: Callable[[slice], Tensor]) -> Tensor:
        """`out_NCSS` with what `make` gives for each range, back in the images' own order."""
        if self.order_N is None:
            return out_NCSS.copy_(make(self.ranges[0]))
        out = out_NCSS.unbind()
        for part in self.ranges:  # index_copy_ is slow
            torch._foreach_copy_([out[row] for row in self.order_N[part].tolist()], make(part).unbind())
        return out_NCSS


def _portions(draws: ViewDraws, values_per_image: int, device: torch.device) -> _Portions:
    """One range of all images, but on a CPU as many as its cache needs.

    There the images of a portion have their hue turned at the same place in the order, and those that are blurred, or
    lose their colour, lie side by side, so that little has to be gathered.
    """
    n = len(draws.crop.top_N)
    if device.type != "cpu" or shapes_are_fixed():
        return _Portions(None, [slice(0, n)])
    no_N = torch.zeros(n, dtype=torch.bool)
    turn_after_N = draws.jitter.turn_after_N if draws.jitter else no_N.long()
    blur_N = draws.blur.chosen_N if draws.blur else no_N
    grey_N = no_N if draws.greyscale_N is None else draws.greyscale_N
    order_N = (4 * turn_after_N + 2 * blur_N + (blur_N ^ grey_N)).argsort(stable=True)
    ranges, start = [], 0
    for count in turn_after_N.bincount().tolist():
        parts = cache_sized(count, values_per_image, device)
        ranges += [slice(start + part.start, start + part.stop) for part in parts]
        start += count
    return _Portions(order_N, ranges)


def _check(recipe: schema.Views, channels: int, size: int) -> None:
    """What the schema can't say, as it depends on the images."""
    blur, constants = recipe.blur, recipe.normalize
    least = min(size, recipe.small.size) if recipe.small else size
    if blur and blur.kernel // 2 >= least:
        raise RecipeError(
            f"{blur.kernel} taps don't fit views of {least} pixels",
            where="views.blur.kernel",
            remedy=f"At most {2 * least - 1} do.",
        )
    if constants and len(constants.mean) not in (1, channels):
        raise RecipeError(
            f"{len(constants.mean)} means and standard deviations for images with {channels} channel(s)",
            where="views.normalize",
            remedy=f"Give one of each, or {channels}.",
        )
