"""The predictor of non-contrastive learning: none, trained, or set from the correlation of its inputs."""

from typing import Annotated, Literal

from pydantic import Field

from sslrun.recipe.schema.base import Section, option


class NoPredictor(Section):
    """W_p = I. Theory and practice: collapse."""

    kind: Literal["none"] = option(description="No predictor.")


class LinearPredictor(Section):
    """One linear layer, trained by gradient."""

    kind: Literal["linear"] = option(description="A trained d×d matrix.")
    bias: bool = option(False, "Whether the layer has a bias.")


class MlpPredictor(Section):
    """Linear, batch norm, ReLU, Linear, trained by gradient (BYOL's and SimSiam's)."""

    kind: Literal["mlp"] = option(description="A trained two-layer network.")
    hidden: int = option(512, "Width of the hidden layer.", ge=1)
    bias: bool = option(True, "Whether its two linear layers have a bias.")
    affine: bool = option(False, "Whether its batch norm learns a scale and a shift (the DirectPred code: no).")


class DirectPredictor(Section):
    """DirectPred (arXiv 2102.06810, eq. 18-19): W_p set from the moving correlation of the projector's outputs."""

    kind: Literal["directpred"] = option(description="A linear predictor set from the spectrum of F.")
    rho: float | None = option(
        0.3, "Weight of the past in the moving average of F; null averages over all batches so far.", ge=0, lt=1
    )
    epsilon: float = option(0.1, "Added to every normalised eigenvalue (after the root unless `epsilon_inside`).")
    epsilon_inside: bool = option(False, "Add epsilon before the root instead of after it.")
    exponent: float = option(0.5, "Power of the eigenvalues; 0.5 is DirectPred's square root.", gt=0)
    freq: int = option(1, "Set W_p after iterations 0, freq, 2·freq, ...; in between it is trained by gradient.", ge=1)
    center: bool = option(False, "Subtract the mean's outer product from F (the paper found it harmful).")
    floor: float = option(
        1e-4, "Smallest eigenvalue given to W_p (the authors' code; the paper does not name it).", ge=0
    )


Predictor = Annotated[NoPredictor | LinearPredictor | MlpPredictor | DirectPredictor, Field(discriminator="kind")]
