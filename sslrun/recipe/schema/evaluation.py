"""How an encoder is judged. Nothing here changes what is pretrained: a changed probe never pretrains again."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sslrun.recipe.schema.analyses import Analyses
from sslrun.recipe.schema.base import Misfit, Section, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


class Knn(Section):
    """k nearest neighbours by cosine similarity s, votes weighted exp(s / temperature)."""

    k: int = option(5, "Neighbours.", ge=1)
    temperature: float = option(0.07, "Temperature of the votes.", gt=0)


class LinearProbe(Section):
    """Logistic regression on standardised features, to convergence; its decay chosen on held-out training images."""

    decays: tuple[Annotated[float, Field(ge=0)], ...] = option(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        "Weight decays to choose from (L2 on the weights, loss averaged over images).",
        min_length=1,
    )
    held_out: float = option(0.2, "Part of each class of the training set that chooses the decay.", gt=0, lt=1)
    iterations: int = option(500, "Most L-BFGS iterations a fit.", ge=1)


class AuthorsProbe(Section):
    """The DirectPred code's probe: Adam on one linear layer. Reports the last and, labelled so, the best on test."""

    epochs: int = option(50, "Passes over the training features.", ge=1)
    lr: float = option(3e-4, "Learning rate of Adam.", gt=0)
    weight_decay: float = option(1e-3, "Coupled L2 decay.", ge=0)
    batch_size: int = option(128, "Features a step.", ge=1)


class Udg(Section):
    """Unseen domains, after unsupervised domain generalisation (Zhang et al., CVPR 2022).

    Fitted on labelled images of the source domains, judged on the domains of `data.held_out`; what there is to choose
    is chosen on held-out images of the source domains. The optimiser and all numbers but the fractions and
    `finetune_from` are our choice; the paper's are not known to us.
    """

    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = option(
        (0.01, 0.05, 0.1, 1.0),
        "Parts of the source training images that are labelled: of every domain and class, rounded up; the smaller "
        "part lies within the larger.",
        min_length=1,
    )
    fold: int = option(
        0, "Which images are labelled. The recipe's seed leaves them alone: all runs get the same ones.", ge=0
    )
    finetune_from: float = option(
        0.1,
        "From this fraction on all weights are trained; below it, a linear probe on frozen features. Above 1: never.",
        ge=0,
    )
    decays: tuple[Annotated[float, Field(ge=0)], ...] = option(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0), "Weight decays of the linear probe to choose from.", min_length=1
    )
    iterations: int = option(500, "Most L-BFGS iterations of a fit of the linear probe.", ge=1)
    epochs: int = option(20, "Epochs of fine-tuning; the weights of the best one on source images count.", ge=1)
    least_steps: int = option(
        10, "Fewest steps of such an epoch: few labelled images are gone through more than once.", ge=1
    )
    batch_size: int = option(64, "Labelled images a step; all of them where there are fewer.", ge=2)
    lr: float = option(1e-3, "Learning rate of AdamW at its start; falls to 0 as a cosine.", gt=0)
    weight_decay: float = option(0.05, "Decoupled decay of all weights.", ge=0)
    augment: bool = option(True, "Crop and flip the labelled images as the recipe's views do.")

    def needs(self, recipe: "Recipe") -> None:
        if not getattr(recipe.data, "held_out", ()):
            what = "no domain is unseen: hold one out (data.held_out)"
            raise Misfit(what, "evaluation.udg", "data.held_out", "data.kind")


class Evaluation(Section):
    """The cells computed after pretraining; each is kept in its own file. Null leaves one out."""

    knn: Knn | None = option(Knn(), "Nearest neighbours.")
    linear: LinearProbe | None = option(LinearProbe(), "The linear probe.")
    authors_probe: AuthorsProbe | None = option(None, "The probe of the DirectPred code.")
    udg: Udg | None = option(None, "Unseen domains; for data with `held_out` domains.")
    analyses: Analyses | None = option(None, "What the features know of the domains; for data with domains.")
    every: int | None = option(
        None,
        "Also compute these cells, but for `udg`, after every so many epochs of pretraining, into the history.",
        ge=1,
    )
    kept: bool = option(
        False,
        "Also judge the encoders that `training.keep_encoder_at` keeps on the way; their numbers end in @EPOCH.",
    )
    baselines: tuple[Literal["untrained", "pixels"], ...] = option(
        ("untrained", "pixels"), "What to judge beside the run: its untrained encoder, and raw pixels of small images."
    )

    def needs(self, recipe: "Recipe") -> None:
        epochs, kept = recipe.training.epochs, recipe.training.keep_encoder_at
        if self.every is not None and self.every > epochs:
            what = f"every {self.every} epochs is never: training has {epochs}"
            raise Misfit(what, "evaluation.every", "training.epochs")
        if self.kept and (not kept or recipe.training.on_collapse == "stop"):
            what = "a run may stop before" if kept else "no encoder is kept on the way"
            raise Misfit(what, "evaluation.kept", "training.keep_encoder_at", "training.on_collapse")
        judged = [name for name in type(self).model_fields if isinstance(getattr(self, name), Section)]
        if recipe.data.HOLDS == "vectors" and judged:
            what = f"{recipe.data.kind} data have no labels to judge by: set {judged[0]} to null"
            raise Misfit(what, f"evaluation.{judged[0]}", "data.kind")
