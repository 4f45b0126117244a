"""The objective: BYOL or SimSiam, with each part that keeps them from collapse as a switch of its own; or SimCLR,
SwAV or MSN. Where an option's value in a paper is not known to us, its description says that the default is ours.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from sslrun.recipe.schema.base import Kind, Misfit, Section, concrete, kinds, option
from sslrun.recipe.schema.predictor import DirectPredictor, MlpPredictor, Predictor

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


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


_VIEWS = (
    "How views pass through the networks: each on its own, so that batch norm sees one view (and one style, under "
    "`style: bss`), or together, so that it sees all: in the encoder those of one size, in the projector all. "
)
_AS_PUBLISHED: Any = option("together", _VIEWS + "Together as published.", before="apart")


class Method(Kind):
    """An objective and its step."""

    BUILDER = "sslrun.methods.base:build_method"

    SMALL_VIEWS: ClassVar[bool] = False
    """Whether it takes `views.small`."""

    views: Literal["apart", "together"] = option("apart", _VIEWS + "The DirectPred code: apart.")

    @property
    def sized(self) -> bool:
        """Whether the loss is of outputs as they are, not of unit vectors: they can shrink to nothing all alike."""
        return False

    def needs(self, recipe: "Recipe") -> None:
        if recipe.optimizer.predictor is not None and "predictor" not in type(self).model_fields:
            raise Misfit(f"{self.kind} has no predictor to optimise", "optimizer.predictor", "method.kind")
        if recipe.views.small is not None and not self.SMALL_VIEWS:
            takers = " and ".join(kinds(one)[0] for one in concrete(Method) if getattr(one, "SMALL_VIEWS", False))
            raise Misfit(f"small views are for {takers}, not for {self.kind}", "views.small", "method.kind")


class NonContrastive(Method):
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

    @property
    def sized(self) -> bool:
        return self.loss == "squared"

    def words(self) -> str:
        """The method and its predictor; one without words of its own is named by its kind."""
        own, kind = self.predictor.words(), self.predictor.kind
        return self._name() + (f" + {own}" if own != kind else f", {'no' if kind == 'none' else kind} predictor")

    def _name(self) -> str:
        return super().words()

    def needs(self, recipe: "Recipe") -> None:
        super().needs(recipe)
        if recipe.optimizer.predictor is not None and self.predictor.kind == "none":
            what = "there is no predictor to optimise: method.predictor.kind is none"
            raise Misfit(what, "optimizer.predictor", "method.predictor")
        if recipe.views.count != 2:
            raise Misfit(f"{self.kind} compares two views, not {recipe.views.count}", "views.count", "method.kind")
        if self.views == "together" and not self.symmetric:
            raise Misfit("together needs both views in both networks", "method.views", "method.symmetric")


class Byol(NonContrastive):
    """BYOL: an online network predicts the output of a slowly moving target."""

    PAPERS = ("2006.07733",)

    kind: Literal["byol"] = option(description="With a moving-average target.")
    ema: Ema = option(ConstantEma(kind="constant"), "How the target follows the online network.")
    target: Literal["copy", "independent"] = option(
        "copy", "How the target starts: as the online network, or drawn on its own (the DirectPred code)."
    )

    def _name(self) -> str:
        return "BYOL without EMA" if isinstance(self.ema, NoEma) and self.stop_gradient else "BYOL"


class SimSiam(NonContrastive):
    """SimSiam: BYOL whose target is the online network itself, behind the stop-gradient."""

    PAPERS = ("2011.10566",)

    kind: Literal["simsiam"] = option(description="Without a moving average.")
    predictor: Predictor = option(
        MlpPredictor(kind="mlp"),
        "The predictor on the online branch; the paper's: mlp.",
        before={"kind": "directpred"},
    )

    def _name(self) -> str:
        return "SimSiam"


class SimClr(Method):
    """SimCLR (arXiv 2002.05709) for V ≥ 2 views: each view against its partners and the other images' views."""

    PAPERS = ("2002.05709",)

    kind: Literal["simclr"] = option(description="The contrastive NT-Xent loss.")
    views: Literal["apart", "together"] = _AS_PUBLISHED
    temperature: float = option(0.2, "Temperature τ of the similarities. Our choice.", gt=0)
    negatives: Literal["all", "anchor_view", "positive_view"] = option(
        "all",
        "Which views of the other images stand against a pair: all, those in the anchor's column, or those in the "
        "positive's. With `style: bss` the anchor's column shares the anchor's style.",
    )

    def words(self) -> str:
        return "SimCLR"

    def loss_of_constant_outputs(self, batch: int, views: int) -> float:
        """What is lost where all outputs are one: the logarithm of how many candidates each pair is chosen from."""
        return math.log(1 + (batch - 1) * (views if self.negatives == "all" else 1))


class SwavQueue(Section):
    """Outputs of earlier batches that take part in the assignment; under `style: bss` they carry old styles."""

    NUMERICS = 2  # 1: it was filled from the first step on

    length: int = option(3840, "Outputs kept a view.", ge=1, le=10_000_000)
    start_epoch: int = option(15, "Epochs of training before it begins to be filled; it is used once it is full.", ge=0)


class Swav(Method):
    """SwAV (arXiv 2006.09882): each view predicts the cluster of another, assigned by Sinkhorn-Knopp."""

    PAPERS = ("2006.09882",)

    SMALL_VIEWS = True

    kind: Literal["swav"] = option(description="Online clustering with swapped predictions.")
    views: Literal["apart", "together"] = _AS_PUBLISHED
    prototypes: int = option(3000, "Number of prototypes (the authors' code: 3,000).", ge=2, le=1_000_000)
    temperature: float = option(0.1, "Temperature of the predictions.", gt=0)
    epsilon: float = option(0.05, "Entropy weight of Sinkhorn-Knopp.", gt=0)
    iterations: int = option(3, "Sinkhorn-Knopp iterations.", ge=1, le=10_000)
    assign: Literal["view", "joint"] = option(
        "view",
        "Whether clusters are to be equally used within each view (and so within one style, under `style: bss`) or "
        "over all full-size views together. Which one the BSS paper uses is not known to us.",
    )
    freeze_prototypes: int = option(313, "Steps at the start during which the prototypes stay (the code: 313).", ge=0)
    queue: SwavQueue | None = option(None, "The queue of earlier outputs; none by default.")

    def words(self) -> str:
        return "SwAV"

    def needs(self, recipe: "Recipe") -> None:
        super().needs(recipe)
        if self.queue is not None and recipe.training.last_batch == "keep":
            raise Misfit("a queue is filled by whole batches", "training.last_batch", "method.queue")


class Msn(Method):
    """MSN (arXiv 2204.07141): masked anchors match the prototypes that an unmasked view of the image matches.

    The first view is the target's; all others, and the small ones, are anchors. Of the full-size ones a transformer
    sees only a part of the patches.
    """

    PAPERS = ("2204.07141",)

    SMALL_VIEWS = True

    kind: Literal["msn"] = option(description="Masked Siamese networks; for `network.backbone.kind: vit`.")
    prototypes: int = option(1024, "Number of prototypes.", ge=2, le=1_000_000)
    temperature: float = option(0.1, "Temperature τ of the anchors' predictions.", gt=0)
    sharpening: float = option(0.25, "Temperature T that sharpens the targets.", gt=0, le=1)
    entropy_weight: float = option(1.0, "Weight λ of the mean prediction's entropy.", ge=0)
    drop: float = option(0.15, "Part of a full-size anchor's patches that is left out.", ge=0, lt=1)
    sinkhorn: bool = option(True, "Also balance the targets by Sinkhorn-Knopp (the authors' configuration does).")
    momentum: float = option(0.996, "Weight of the old target at the start; it rises linearly to 1.", ge=0, le=1)

    def words(self) -> str:
        return "MSN"

    def needs(self, recipe: "Recipe") -> None:
        super().needs(recipe)
        if recipe.network.backbone.kind != "vit":
            raise Misfit("msn masks the patches of a vit", "network.backbone.kind", "method.kind")
