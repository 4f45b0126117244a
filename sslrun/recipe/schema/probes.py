"""Ways to judge frozen features by the classes of images: nearest neighbours, linear probes."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from sslrun.errors import InputError
from sslrun.recipe.schema.base import option
from sslrun.recipe.schema.judging import STANDARD_ERROR, Counted, EvaluationSection


class Knn(EvaluationSection):
    """k nearest neighbours by cosine similarity s, votes weighted exp(s / temperature)."""

    PAPERS = ("1805.01978",)

    NAME = "knn"
    COLUMNS: ClassVar[Mapping[str, str]] = {"accuracy": "kNN"}
    MEANS: ClassVar[Mapping[str, str]] = {
        "accuracy": "Accuracy on the test images by a vote of their nearest training images, a part of 1.",
        "standard_error": STANDARD_ERROR,
    }

    k: int = option(5, "Neighbours.", ge=1)
    temperature: float = option(0.07, "Temperature of the votes.", gt=0)

    def suits(self, counted: Counted) -> None:
        super().suits(counted)
        self.has_neighbours(sum(counted("train").labelled.values()))

    def has_neighbours(self, labelled: int) -> None:
        """Raise `InputError` where fewer than `k` training images are labelled."""
        if self.k > labelled:
            raise InputError(
                f"{self.k} neighbours of {labelled} labelled training images",
                where="evaluation.knn.k",
                remedy=f"Set evaluation.knn.k to at most {labelled}.",
            )


class LinearProbe(EvaluationSection):
    """Logistic regression on standardised features, to convergence; its decay chosen on held-out training images."""

    NAME = "linear"
    COLUMNS: ClassVar[Mapping[str, str]] = {"accuracy": "linear"}
    MEANS: ClassVar[Mapping[str, str]] = {
        "accuracy": "Accuracy on the test images of a linear classifier on frozen features, a part of 1.",
        "standard_error": STANDARD_ERROR,
        "train_accuracy": "Accuracy of the same fit on its training images.",
        "decay": "The weight decay that was chosen on held-out training images.",
        "converged": "Whether the last fit ended before its last allowed iteration.",
        "held_out\\..+": "Accuracy on held-out training images with this weight decay.",
    }
    METRICS = ("accuracy", "train_accuracy")

    decays: tuple[Annotated[float, Field(ge=0)], ...] = option(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        "Weight decays to choose from (L2 on the weights, loss averaged over images).",
        min_length=1,
    )
    held_out: float = option(0.2, "Part of each class of the training set that chooses the decay.", gt=0, lt=1)
    iterations: int = option(500, "Most L-BFGS iterations a fit.", ge=1, le=1_000_000)

    def suits(self, counted: Counted) -> None:
        super().suits(counted)
        self.can_choose(max(counted("train").classes.values()))

    def can_choose(self, of_a_class: int) -> None:
        """Raise `InputError` where every class has a single training image, so that none can be held out to choose
        among several decays."""
        if of_a_class < 2 and len(set(self.decays)) > 1:
            raise InputError(
                "no training image can be held out to choose the decay: every class has one image",
                where="evaluation.linear.decays",
                remedy="Give a single decay.",
            )


class AuthorsProbe(EvaluationSection):
    """The DirectPred code's probe: Adam on one linear layer. Reports the last and, labelled so, the best on test."""

    PAPERS = ("2102.06810",)

    NAME = "authors_probe"
    COLUMNS: ClassVar[Mapping[str, str]] = {"last": "authors' probe, last", "best_on_test": "best on test"}
    MEANS: ClassVar[Mapping[str, str]] = {
        "last": "Test accuracy of the DirectPred code's probe after its last epoch.",
        "best_on_test": "The best of that probe's epochs, chosen on the test images themselves: too good by that.",
        "per_epoch": "Test accuracy after each of that probe's epochs.",
        "accuracy": "Not measured: see last and best_on_test.",
    }
    METRICS = ("last", "best_on_test")

    epochs: int = option(50, "Passes over the training features.", ge=1, le=1_000_000)
    lr: float = option(3e-4, "Learning rate of Adam.", gt=0)
    weight_decay: float = option(1e-3, "Coupled L2 decay.", ge=0)
    batch_size: int = option(128, "Features a step.", ge=1, le=10_000_000)
