"""The objective: BYOL or SimSiam, with each part that keeps them from collapse as a switch of its own."""

from typing import Annotated, Literal

from pydantic import Field

from sslrun.recipe.schema.base import Section, option
from sslrun.recipe.schema.predictor import DirectPredictor, Predictor


class NoEma(Section):
    """The target is the online network of the step before: momentum 0."""

    kind: Literal["none"] = option(description="No moving average.")


class ConstantEma(Section):
    """target ← momentum · target + (1 − momentum) · online after every step; parameters only."""

    kind: Literal["constant"] = option(description="A fixed momentum.")
    momentum: float = option(0.996, "Weight of the old target.", ge=0, lt=1)


class CosineEma(Section):
    """Momentum rising from `momentum` to 1 along half a cosine over training (BYOL)."""

    kind: Literal["cosine"] = option(description="A momentum that rises to 1.")
    momentum: float = option(0.99, "Weight of the old target at the start.", ge=0, lt=1)


Ema = Annotated[NoEma | ConstantEma | CosineEma, Field(discriminator="kind")]


class NonContrastive(Section):
    """What BYOL and SimSiam share."""

    predictor: Predictor = option(DirectPredictor(kind="directpred"), "The predictor on the online branch.")
    stop_gradient: bool = option(
        True,
        "Whether the target branch is held constant. False: the online network is its own target, the gradient "
        "runs through both branches, and `ema` is ignored.",
    )
    symmetric: bool = option(True, "Predict each view from the other; false: only the second from the first.")
    loss: Literal["cosine", "squared"] = option(
        "cosine",
        "`cosine`: −2·cos, from −4 to 4 when symmetric. `squared`: squared distance summed over features.",
    )


class Byol(NonContrastive):
    """BYOL: an online network predicts the output of a slowly moving target."""

    kind: Literal["byol"] = option(description="With a moving-average target.")
    ema: Ema = option(ConstantEma(kind="constant"), "How the target follows the online network.")
    target: Literal["copy", "independent"] = option(
        "copy", "How the target starts: as the online network, or drawn on its own (the DirectPred code)."
    )


class SimSiam(NonContrastive):
    """SimSiam: BYOL whose target is the online network itself, behind the stop-gradient."""

    kind: Literal["simsiam"] = option(description="Without a moving average.")


Method = Annotated[Byol | SimSiam, Field(discriminator="kind")]
