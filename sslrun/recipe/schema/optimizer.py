"""The optimisers of the network and of the predictor, and the course of the learning rate."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from sslrun.recipe.schema.base import Misfit, Section, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


class Optimizer(Section):
    """One optimiser. Coupled L2 decay for SGD and LARS, decoupled for AdamW, as their papers have it."""

    PAPERS = ("1708.03888",)

    kind: Literal["sgd", "adamw", "lars"] = option("sgd", "The rule.")
    lr: float = option(0.03, "Learning rate at its height.", ge=0)
    momentum: float = option(0.9, "Momentum (SGD, LARS), or the first beta of AdamW.", ge=0, lt=1)
    nesterov: bool = option(False, "Nesterov momentum (SGD only).")
    beta2: float = option(0.999, "Second beta (AdamW only).", ge=0, lt=1)
    trust: float = option(1e-3, "Trust coefficient (LARS only).", gt=0)
    weight_decay: float = option(4e-4, "Weight decay.", ge=0)
    weight_decay_end: float | None = option(
        None, "Weight decay at the end of training, reached along half a cosine (MSN's code: 0.04 to 0.4).", ge=0
    )
    clip: float | None = option(
        None, "Largest norm of its gradients, all together; larger ones are scaled down (MSN's code: 3).", gt=0
    )
    decay_norm_and_bias: bool = option(
        True,
        "Whether batch-norm parameters and biases are decayed too (the DirectPred code does; BYOL does not). "
        "LARS also leaves those it does not decay unscaled.",
    )

    @model_validator(mode="after")
    def _options_of_its_kind(self) -> Self:
        for name, kind in (("nesterov", "sgd"), ("beta2", "adamw"), ("trust", "lars")):
            if self.kind != kind and getattr(self, name) != type(self).model_fields[name].default:
                raise Misfit(f"{name} is an option of {kind}; {self.kind} has none", name)
        if self.nesterov and self.momentum == 0:
            raise Misfit("nesterov needs a momentum above 0", "nesterov", "momentum")
        return self

    def papers(self) -> tuple[str, ...]:
        return self.PAPERS if self.kind == "lars" else ()


class Schedule(Section):
    """The learning rate over training, for both optimisers."""

    kind: Literal["constant", "cosine"] = option("constant", "Shape after the warm-up; `cosine` falls to `end`.")
    warmup_epochs: float = option(0, "Epochs of linear rise from `start`.", ge=0)
    start: float = option(0.0, "Where the warm-up begins, as a part of the height (MSN's code: 0.2).", ge=0, le=1)
    end: float = option(0.0, "Where the cosine ends, as a part of the height (MSN's code: 0.001).", ge=0, le=1)

    @model_validator(mode="after")
    def _ends_that_are_reached(self) -> Self:
        if self.start and not self.warmup_epochs:
            raise Misfit("there is no warm-up to begin at start", "start", "warmup_epochs")
        if self.end and self.kind != "cosine":
            raise Misfit("only a cosine falls to end", "end", "kind")
        return self

    def needs(self, recipe: "Recipe") -> None:
        warmup, epochs = self.warmup_epochs, recipe.training.epochs
        if warmup > epochs:
            none = "--set optimizer.schedule.warmup_epochs=0 means none"
            what = f"a warm-up of {warmup:g} epochs does not fit into {epochs}: {none}"
            raise Misfit(what, "optimizer.schedule.warmup_epochs", "training.epochs")


class Optimizers(Section):
    """Two optimisers, since the theory gives the predictor a rate and a decay of its own."""

    network: Optimizer = option(Optimizer(), "For the encoder and projector.")
    predictor: Optimizer | None = option(None, "For the predictor; as for the network if null.")
    schedule: Schedule = option(Schedule(), "The learning rate's course.")

    @property
    def alpha_p(self) -> float:
        """The predictor's learning rate over the network's (arXiv 2102.06810); 1 without rates to compare."""
        return self.predictor.lr / self.network.lr if self.predictor and self.network.lr else 1.0
