"""The predictor of non-contrastive learning: none, trained by gradient, or set from statistics of its inputs.

The rules are those of arXiv 2102.06810 (DirectPred) and 2110.04947 (DirectSet, DirectCopy). A learning rate or an
optimiser's decay of the predictor's own (α_p of the theory) is `optimizer.predictor`.
"""

from typing import Any, Literal, Self

from pydantic import model_validator

from sslrun.recipe.schema.base import Kind, Misfit, option


def _rho(default: float) -> Any:
    return option(
        default, "Weight of the past in the moving average of F; null averages over all batches so far.", ge=0, lt=1
    )


def _freq() -> Any:
    return option(1, "Set W_p after iterations 0, freq, 2·freq, ...; in between it is trained by gradient.", ge=1)


class Predictor(Kind):
    """What maps the online branch's outputs onto the target's."""

    BUILDER = "sslrun.networks.predictors.base:build_predictor"

    def power(self) -> float | None:
        """For the theory: α where W_p is set to F^α; None where it isn't, or nothing is known of it."""
        return None

    def beyond_theory(self) -> tuple[str, ...]:
        """In words: what it does that a matrix trained by gradient alone, which the theory has, does not."""
        return (f"the predictor ({self.kind}) is not one matrix trained by gradient alone",)


class NoPredictor(Predictor):
    """W_p = I. Theory and practice: collapse."""

    kind: Literal["none"] = option(description="No predictor.")

    def beyond_theory(self) -> tuple[str, ...]:
        return ()


class Trained(Predictor):
    """What all predictors that are trained by gradient share."""

    decay: float = option(
        0.0, "Fraction taken off every weight matrix after each iteration, beside the optimiser's decay.", ge=0, lt=1
    )
    restart_every: int | None = option(
        None, "Draw the weights anew (Xavier, no bias) before iterations 0, N, 2·N, ...; null for never.", ge=1
    )

    def is_matrix(self) -> bool:
        """Whether the gradient trains it as one matrix, any symmetric one included."""
        return False

    def beyond_theory(self) -> tuple[str, ...]:
        found = () if self.is_matrix() else super().beyond_theory()
        if self.decay or self.restart_every:
            found += ("the predictor is decayed or restarted beside its optimiser",)
        return found


class LinearPredictor(Trained):
    """One linear layer, trained by gradient."""

    kind: Literal["linear"] = option(description="A trained d×d matrix.")
    bias: bool = option(False, "Whether the layer has a bias.")

    def is_matrix(self) -> bool:
        return not self.bias


class TwoLayers(Trained):
    """What predictors of two layers share: Linear, batch norm, ReLU, Linear."""

    hidden: int = option(512, "Width of the hidden layer.", ge=1, le=1_000_000)
    affine: bool = option(False, "Whether its batch norm learns a scale and a shift (the DirectPred code: no).")
    restart_layers: Literal["all", "first", "last"] = option("all", "Which linear layers `restart_every` redraws.")


class MlpPredictor(TwoLayers):
    """Linear, batch norm, ReLU, Linear, trained by gradient (BYOL's and SimSiam's)."""

    kind: Literal["mlp"] = option(description="A trained two-layer network.")
    bias: bool = option(True, "Whether its two linear layers have a bias.")


class SymmetricPredictor(TwoLayers):
    """Trained, and made symmetric after every step: W_p = W_pᵀ, or the second layer the first one's transpose."""

    PAPERS = ("2102.06810",)

    kind: Literal["symmetric"] = option(description="A trained predictor kept symmetric.")
    layers: Literal[1, 2] = option(1, "One linear layer, or two tied ones with batch norm and ReLU between them.")
    bias: bool = option(False, "Whether the linear layers have a bias.")

    @model_validator(mode="after")
    def _only_two_layers_have_a_hidden_one(self) -> Self:
        for name in ("hidden", "affine", "restart_layers"):
            if self.layers == 1 and getattr(self, name) != type(self).model_fields[name].default:
                raise Misfit(f"{name} belongs to a predictor of two layers, and `layers` is 1", name, "layers")
        return self

    def is_matrix(self) -> bool:
        return self.layers == 1 and not self.bias


class SymmetricNormPredictor(Trained):
    """As `symmetric` with one layer, then divided by its largest eigenvalue."""

    PAPERS = ("2102.06810",)

    kind: Literal["symmetric_norm"] = option(description="A trained symmetric matrix of unit spectral norm.")
    bias: bool = option(False, "Whether the layer has a bias.")


class SymmetricRowNormPredictor(TwoLayers):
    """As `symmetric` with two layers, the rows of the tied matrix scaled to unit norm."""

    PAPERS = ("2102.06810",)

    kind: Literal["symmetric_row_norm"] = option(description="Two trained, tied layers with rows of unit norm.")
    bias: bool = option(False, "Whether the linear layers have a bias.")


class DiagonalPredictor(Trained):
    """Trained, and made diagonal after every step."""

    kind: Literal["diagonal"] = option(description="A trained diagonal matrix.")
    bias: bool = option(False, "Whether the layer has a bias.")


class DirectPredictor(Predictor):
    """DirectPred (arXiv 2102.06810, eq. 18-19): W_p set from the moving correlation of the projector's outputs."""

    PAPERS = ("2102.06810",)

    kind: Literal["directpred"] = option(description="A linear predictor set from the spectrum of F.")
    rho: float | None = _rho(0.3)
    epsilon: float = option(0.1, "Added to every normalised eigenvalue (after the root unless `epsilon_inside`).")
    epsilon_inside: bool = option(False, "Add epsilon before the root instead of after it.")
    exponent: float = option(0.5, "Power of the eigenvalues; 0.5 is DirectPred's square root.", gt=0)
    freq: int = _freq()
    center: bool = option(False, "Subtract the mean's outer product from F (the paper found it harmful).")
    floor: float = option(
        1e-4, "Smallest eigenvalue given to W_p (the authors' code; the paper does not name it).", ge=0
    )

    def words(self) -> str:
        return f"DirectPred (rho {self.rho}, epsilon {self.epsilon})"

    def power(self) -> float:
        return self.exponent


class OffsetPredictor(Predictor):
    """DirectPred with p_j = √max(s_j − c_j, 0) (arXiv 2102.06810, Table 7), on eigenvalues divided by the largest."""

    PAPERS = ("2102.06810",)

    kind: Literal["offset"] = option(description="DirectPred with an offset under the root.")
    offset: float = option(description="c_j, the same for every mode; the paper tried −0.1 to 0.1.")
    rho: float | None = _rho(0.3)
    freq: int = _freq()
    floor: float = option(1e-4, "Smallest value under the root (the authors' code).", ge=0)


class DirectSetPredictor(Predictor):
    """DirectSet(α) (arXiv 2110.04947): W_p = F^α / ‖F^α‖ + ε·I."""

    PAPERS = ("2110.04947",)

    kind: Literal["directset"] = option(description="A power of F.")
    alpha: float = option(0.5, "The power; ½ is close to DirectPred, 1 equals `directcopy`.", gt=0)
    norm: Literal["spectral", "frobenius", "none"] = option(
        "spectral", "What F^α is divided by. Sources disagree; without it epsilon depends on the features' scale."
    )
    epsilon: float = option(0.3, "Added to every eigenvalue.")
    rho: float | None = _rho(0.5)
    freq: int = _freq()

    def power(self) -> float:
        return self.alpha


class DirectCopyPredictor(Predictor):
    """DirectCopy (arXiv 2110.04947): W_p = F / ‖F‖ + ε·I, without eigenvectors."""

    PAPERS = ("2110.04947",)

    kind: Literal["directcopy"] = option(description="F itself.")
    norm: Literal["spectral", "frobenius", "none"] = option(
        "spectral", "What F is divided by. Sources disagree; without it epsilon depends on the features' scale."
    )
    epsilon: float = option(0.3, "Added to every eigenvalue.")
    rho: float | None = _rho(0.5)
    freq: int = _freq()

    def power(self) -> float:
        return 1.0


class SolvePredictor(Predictor):
    """The "optimal" predictor by least squares (arXiv 2102.06810, Table 1): it fails, and shows why W_p must lag."""

    PAPERS = ("2102.06810",)

    kind: Literal["solve"] = option(description="W_p solved from F and the correlation with the target.")
    side: Literal["left", "right"] = option("right", "On which side the inverse of F stands; right is least squares.")
    ridge: float = option(1e-3, "Added to F's eigenvalues before inverting (the authors name no value).", gt=0)
    rho: float | None = _rho(0.8)
    freq: int = _freq()


class MinimalSpacePredictor(Predictor):
    """The "optimal" symmetric predictor (arXiv 2102.06810, Table 1): W F + F W = 2 M, M the correlation with targets.

    Between settings W_p is made symmetric (with `symmetric`), and with `rho: null` the averages start anew after each.
    """

    PAPERS = ("2102.06810",)

    kind: Literal["minimal_space"] = option(description="W_p solved in the eigenbasis of F.")
    variant: Literal["full", "diagonal", "finite_time"] = option(
        "full",
        "In F's eigenbasis: the whole solution; its diagonal only; or e^(−F·time) M e^(−F·time), with no inverse.",
    )
    time: float = option(1.0, "Time of `finite_time`.", ge=0)
    psd_steps: int | None = option(
        None, "Clip W_p to positive semi-definite, then refine it by this many gradient steps; null for neither.", ge=0
    )
    symmetric: bool = option(True, "Symmetrise M first.")
    center: bool = option(False, "Subtract the means from F and M.")
    ridge: float = option(1e-3, "Added to sums of F's eigenvalues (the authors name no value).", gt=0)
    rho: float | None = _rho(0.8)
    freq: int = _freq()

    @model_validator(mode="after")
    def _only_finite_time_has_a_time(self) -> Self:
        for name, variants in (("time", {"finite_time"}), ("ridge", {"full", "diagonal"})):
            if self.variant not in variants and getattr(self, name) != type(self).model_fields[name].default:
                raise Misfit(f"{name} plays no part in the variant {self.variant!r}", name, "variant")
        return self


class PartitionPredictor(Predictor):
    """A W_p that depends on its input (arXiv 2102.06810): one DirectPred a side of each random hyperplane."""

    PAPERS = ("2102.06810",)

    kind: Literal["partition"] = option(description="Several DirectPreds, chosen by the sample.")
    hyperplanes: int = option(
        6, "Number of random hyperplanes; a sample's W_p is the mean over them.", ge=1, le=1_000_000
    )
    rho: float | None = _rho(0.3)
    epsilon: float = option(0.1, "Added to every normalised eigenvalue (after the root unless `epsilon_inside`).")
    epsilon_inside: bool = option(False, "Add epsilon before the root instead of after it.")
    exponent: float = option(0.5, "Power of the eigenvalues.", gt=0)
    floor: float = option(1e-4, "Smallest eigenvalue given to W_p.", ge=0)
