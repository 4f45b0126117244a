"""How frozen features are judged. Nothing here changes what is pretrained: a changed probe never trains again."""

from typing import Annotated, Literal

from pydantic import Field

from sslrun.recipe.schema.analyses import Analyses
from sslrun.recipe.schema.base import Section, option


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


class Evaluation(Section):
    """The cells computed after pretraining; each is kept in its own file. Null leaves one out."""

    knn: Knn | None = option(Knn(), "Nearest neighbours.")
    linear: LinearProbe | None = option(LinearProbe(), "The linear probe.")
    authors_probe: AuthorsProbe | None = option(None, "The probe of the DirectPred code.")
    analyses: Analyses | None = option(None, "What the features know of the domains; for data with domains.")
    every: int | None = option(
        None, "Also compute these cells after every so many epochs of pretraining, into the history.", ge=1
    )
    baselines: tuple[Literal["untrained", "pixels"], ...] = option(
        ("untrained", "pixels"), "What to judge beside the run: its untrained encoder, and raw pixels of small images."
    )
