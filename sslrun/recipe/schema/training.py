"""How long and how exactly a run trains, and when its outcome counts as a collapse."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sslrun.recipe.schema.base import Misfit, Section, option


class Collapse(Section):
    """Thresholds of the verdict; they are printed with it."""

    std: float = option(
        0.05,
        "Complete collapse: √d × mean std of normalised projector outputs below this (about 1 when spread); under a "
        "squared loss, which is of outputs as they are, also the root mean square of their entries.",
        ge=0,
    )
    rank: float = option(
        2.0,
        "Dimensional collapse: effective rank of their covariance below this (1: all outputs lie on one line).",
        ge=0,
    )


class Training(Section):
    """The loop."""

    epochs: int = option(100, "Passes over the training images.", ge=1, le=1_000_000)
    batch_size: int = option(128, "Images a step (each gives two views).", ge=2, le=10_000_000)
    last_batch: Literal["drop", "keep"] = option(
        "drop", "What to do with a smaller last batch. The DirectPred code keeps it."
    )
    precision: Literal["float32", "bf16"] = option("float32", "bf16 uses autocast; weights and losses stay float32.")
    channels_last: bool = option(True, "Memory layout of images and convolutions; the faster one nearly everywhere.")
    keep_encoder_at: tuple[Annotated[int, Field(ge=1)], ...] = option(
        (), "Epochs after which a copy of the encoder is kept, to be evaluated on its own."
    )
    on_collapse: Literal["finish", "stop"] = option(
        "finish",
        "`finish` trains on and reports the collapse; `stop` ends a complete collapse that has lasted 3 epochs, "
        "after 20 % of training.",
    )
    collapse: Collapse = option(Collapse(), "When an outcome counts as a collapse.")

    @model_validator(mode="after")
    def _keeps_encoders_of_epochs_it_has(self) -> Self:
        kept = self.keep_encoder_at
        if list(kept) != sorted(set(kept)):
            raise Misfit("epochs must ascend, each once", "keep_encoder_at")
        if kept and kept[-1] > self.epochs:
            raise Misfit(f"epoch {kept[-1]} never comes: training has {self.epochs}", "keep_encoder_at", "epochs")
        return self
