"""Fourier styles of a view: none, a style an image (FA), or one style for the whole view (BSS, arXiv 2303.06088).

How often, how much and where in the pipeline the paper applies its styles is not known to us: the defaults here are
ours, and no result under them is a reproduction. `sslrun/views/style.py` computes them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from sslrun.recipe.schema.base import Misfit, Section, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe

AreaRatio = Annotated[float, Field(ge=0.0, le=1.0)]


class NoStyle(Section):
    """Images keep their styles."""

    kind: Literal["none"] = option(description="No change of style.")

    def words(self) -> str:
        return ""


class FourierOptions(Section):
    """What FA and BSS share."""

    GONE: ClassVar[Mapping[str, object]] = {"keep_flat": False, "one_ratio": False, "distinct": False, "sync": "local"}

    ratio: tuple[AreaRatio, AreaRatio] = option(
        (0.02, 1.0),
        "Bounds of the area of the replaced rectangle relative to the spectrum's, drawn uniformly; 0 replaces "
        "nothing, 1 all amplitudes. Our choice: the paper's bounds are not known to us.",
    )
    probability: float = option(
        1.0, "Probability of applying a drawn style. Our choice: the paper's is not known to us.", ge=0, le=1
    )
    window: Literal["half", "area"] = option(
        "half",
        "From the ratio r to a rectangle. `half`: all frequencies up to √r/2 of the side, symmetric, at least the "
        "mean. `area`: sides of ⌊√r·side⌋ bins, nearer to r, halfway between two styles at the edges of even sides, "
        "and nothing for the smallest r. Which one the paper uses is not known to us.",
    )
    clamp: bool = option(
        True,
        "Cut the styled images to [0, 1]; otherwise values outside go on to the colours. Whether the paper does is "
        "not known to us.",
    )

    @field_validator("ratio")
    @classmethod
    def _in_order(cls, ratio: tuple[float, float]) -> tuple[float, float]:
        if ratio[0] > ratio[1]:
            raise ValueError(f"the bounds must be in order, not {ratio[0]:g} and {ratio[1]:g}")
        return ratio

    def words(self) -> str:
        return super().words().upper()

    def needs(self, recipe: "Recipe") -> None:
        if recipe.training.batch_size < 2:
            raise Misfit("a batch of one image has no other style to take", "views.style", "training.batch_size")


class FourierStyle(FourierOptions):
    """FA: each image takes the low-frequency amplitudes of another image of the batch, drawn on its own."""

    PAPERS = ("2303.06088",)

    kind: Literal["fa"] = option(description="A style of its own for each image.")


class BatchStyle(FourierOptions):
    """BSS: all images of a view take the low-frequency amplitudes of one of them, drawn for each view."""

    PAPERS = ("2303.06088",)

    kind: Literal["bss"] = option(description="One style for all images of a view.")
    styles: int = option(
        1,
        "Styles a view: the batch is cut into as many equal parts, the same in all views, and each takes the style of "
        "one of its own images. 1 as published; D is what D devices with a style each would do.",
        ge=1,
    )

    def words(self) -> str:
        return super().words() + (f" ({self.styles} styles a view)" if self.styles > 1 else "")

    def needs(self, recipe: "Recipe") -> None:
        super().needs(recipe)
        if self.styles > recipe.training.batch_size // 2:
            what = f"{self.styles} styles a view leave no two of {recipe.training.batch_size} images one to share"
            raise Misfit(what, "views.style.styles", "training.batch_size")


Style = Annotated[NoStyle | FourierStyle | BatchStyle, Field(discriminator="kind")]
