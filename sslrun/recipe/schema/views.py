"""The random views of an image, in the order in which they apply: geometry, style, colour, blur, normalisation."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from sslrun.recipe.schema.base import Misfit, Section, option
from sslrun.recipe.schema.style import NoStyle, Style

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def bounds(values: tuple[float, float]) -> tuple[float, float]:
    """The two bounds of a range; `ValueError` unless 0 < first ≤ second."""
    if not 0 < values[0] <= values[1]:
        raise ValueError(f"the bounds must be positive and in order, not {values[0]:g} and {values[1]:g}")
    return values


def within_the_image(scale: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a crop's area; `ValueError` above the image's."""
    if scale[1] > 1:
        raise ValueError(f"a crop can't be larger than the image: {scale[1]:g} is above 1")
    return scale


class Crop(Section):
    """Random resized crop, as torchvision draws it, resized with antialiasing where it shrinks."""

    scale: tuple[float, float] = option((0.08, 1.0), "Bounds of the crop's area relative to the image.")
    ratio: tuple[float, float] = option((0.75, 4 / 3), "Bounds of width over height; drawn uniformly in its logarithm.")

    _bounds = field_validator("scale", "ratio")(bounds)
    _within = field_validator("scale")(within_the_image)


class Jitter(Section):
    """Random changes of colour, in an order drawn per image. A strength b draws factors from [max(0, 1-b), 1+b]."""

    probability: Probability = option(0.8, "Probability of jittering a view at all.")
    brightness: float = option(0.4, "Strength for brightness.", ge=0)
    contrast: float = option(0.4, "Strength for contrast.", ge=0)
    saturation: float = option(0.4, "Strength for saturation.", ge=0)
    hue: float = option(0.1, "The hue turns by at most this part of the circle.", ge=0, le=0.5)


class Blur(Section):
    """Gaussian blur with reflected borders."""

    probability: tuple[Probability, Probability] = option(
        (0.5, 0.5), "Probability for the first and for every further view."
    )
    kernel: int = option(9, "Taps of the kernel, an odd number.", ge=3, le=1023)
    sigma: tuple[float, float] = option((0.1, 2.0), "Bounds of the standard deviation in pixels, drawn uniformly.")

    _bounds = field_validator("sigma")(bounds)

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a blur kernel has an odd number of taps, not {kernel}")
        return kernel


class Solarize(Section):
    """Inverts pixels above a threshold."""

    probability: tuple[Probability, Probability] = option(
        (0.0, 0.2), "Probability for the first and for every further view."
    )
    threshold: float = option(0.5, "Values at or above it are inverted (images are in [0, 1]).", ge=0, le=1)


class Normalize(Section):
    """Subtract a mean and divide by a standard deviation, per channel. One value serves all channels."""

    mean: tuple[float, ...] = option(description="Mean of each channel, on [0, 1] images.")
    std: tuple[Annotated[float, Field(gt=0)], ...] = option(description="Standard deviation of each channel.")

    @model_validator(mode="after")
    def _as_many_as_channels(self) -> Self:
        if len(self.mean) != len(self.std):
            raise Misfit(f"mean has {len(self.mean)} values and std has {len(self.std)}: give as many of each", "std")
        if len(self.mean) not in (1, 3):
            raise Misfit(f"one value for all channels or one for each of three, not {len(self.mean)}", "mean")
        return self


class SmallViews(Section):
    """Further views of a smaller part of the image (multi-crop, arXiv 2006.09882)."""

    count: int = option(description="Small views an image.", ge=1, le=64)
    size: int = option(description="Their side in pixels.", ge=8, le=4096)
    scale: tuple[float, float] = option(
        (0.05, 0.3), "Bounds of their crop's area relative to the image; its shape is as `crop` says."
    )

    _bounds = field_validator("scale")(bounds)
    _within = field_validator("scale")(within_the_image)


class Views(Section):
    """How the views of an image are drawn. A part set to null is left out."""

    count: int = option(2, "Full-size views an image; BYOL and SimSiam take two.", ge=2, le=16)
    small: SmallViews | None = option(None, "Further, small views, for SwAV and MSN; their colours are as the others'.")
    size: int | None = option(None, "Side of a view in pixels; the stored image's side if null.", ge=8, le=4096)
    crop: Crop | None = option(Crop(), "Random resized crop; null keeps the whole image (resized to `size`).")
    flip: Probability = option(0.5, "Probability of a horizontal flip.")
    style: Style = option(NoStyle(kind="none"), "Fourier styles: each image another's (`fa`), or one a view (`bss`).")
    colours: Literal["per_image_after", "per_image_before", "batch_wise_after"] = option(
        "per_image_after",
        "How jitter, greyscale and solarisation are drawn, and where they stand: for each image after the style; for "
        "each image before it (solarisation stays after); or once for all images of a view, after it, which keeps the "
        "view's one style. Crops, flips and blur are always drawn for each image.",
    )
    jitter: Jitter | None = option(Jitter(), "Colour jitter.")
    greyscale: Probability = option(0.2, "Probability of removing colour.")
    blur: Blur | None = option(Blur(), "Gaussian blur.")
    solarize: Solarize | None = option(None, "Solarisation, after the blur (BYOL's order).")
    normalize: Normalize | None = option(
        None, "Normalisation of all images, also of those that are evaluated; null leaves them in [0, 1]."
    )
    noise: float | None = option(
        None,
        "Standard deviation of the Gaussian noise added to vectors (`data.kind: gaussian`), whose views are nothing "
        "else: all parts above are then null or 0.",
        ge=0,
    )

    def needs(self, recipe: "Recipe") -> None:
        if self.noise is not None and recipe.data.HOLDS != "vectors":
            raise Misfit(f"noise makes views of vectors, not of {recipe.data.kind}", "views.noise", "data.kind")

    @model_validator(mode="after")
    def _noise_stands_alone(self) -> Self:
        parts = {name: getattr(self, name) for name in type(self).model_fields if name not in _WITH_NOISE}
        others = [name for name, part in parts.items() if getattr(part, "kind", part) not in (None, 0, "none")]
        if self.noise is not None and others:
            raise Misfit(
                f"noise is for vectors, {others[0]} for images: set it to {_off(others[0])}", others[0], "noise"
            )
        return self


_WITH_NOISE = ("noise", "count", "colours")


def _off(part: str) -> str:
    return "0" if part in ("flip", "greyscale") else "{kind: none}" if part == "style" else "null"
