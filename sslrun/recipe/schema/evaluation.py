"""How an encoder is judged. Nothing here changes what is pretrained: a changed probe never pretrains again.

The analyses of arXiv 2303.06088 are known to us by name alone (domain purity); the definitions here are our choice.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from sslrun.recipe.schema.base import Misfit, Section, before_rebuilding, defined, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


Split = Literal["train", "validation", "test"]


class EvaluationSection(Section):
    """One way to judge an encoder: the options of `evaluation.<NAME>`. `sslrun.evaluation` has what computes it.

    All that is central asks these for what it must know of a kind; most kinds leave most of them as they are.
    """

    NAME: ClassVar[str]
    BUILDER: ClassVar[str] = "sslrun.evaluation.judge:evaluate"

    COLUMNS: ClassVar[Mapping[str, str]]
    """What stands in a run's closing table: metrics, and their titles there; `accuracy` if a kind does not say."""
    METRICS: ClassVar[tuple[str, ...]] = ("accuracy",)
    """What a search may choose by, unless it is of domains that are held out; parts of 1."""
    SPLITS: ClassVar[tuple[Split, ...]] = ("train", "test")
    """Whose features it looks at."""
    FROZEN: ClassVar[bool] = True
    """Whether it trains nothing but on frozen features: then `evaluation.every` computes it, too."""

    def choosing(self, unseen: bool) -> tuple[str, ...]:
        """The metrics that a search may choose by; `unseen` if the test images are of domains held out."""
        return () if unseen else self.METRICS

    def of_baseline(self, baseline: str) -> Self:
        """What a baseline is asked, by the part of the options that its numbers depend on: more runs share them."""
        return self

    def views_of_baseline(self, baseline: str) -> tuple[str, ...]:
        """The options of `views` that a baseline's numbers depend on."""
        return ("size", "normalize")

    def passes(self, count: Mapping[Split, int]) -> int:
        """How often an image goes through the encoder beyond one look at all `SPLITS`, which have `count` images; back
        counts as two."""
        return 0

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        taken = next((other for other in defined(EvaluationSection) if other.NAME == cls.NAME), None)
        if taken is not None:
            raise TypeError(f"the evaluation '{cls.NAME}' is that of {taken.__module__} already")
        if "COLUMNS" not in cls.__dict__:
            cls.COLUMNS = {"accuracy": cls.NAME.replace("_", " ")}
        super().__pydantic_init_subclass__(**kwargs)


class Knn(EvaluationSection):
    """k nearest neighbours by cosine similarity s, votes weighted exp(s / temperature)."""

    NAME = "knn"
    COLUMNS: ClassVar[Mapping[str, str]] = {"accuracy": "kNN"}

    k: int = option(5, "Neighbours.", ge=1)
    temperature: float = option(0.07, "Temperature of the votes.", gt=0)


class LinearProbe(EvaluationSection):
    """Logistic regression on standardised features, to convergence; its decay chosen on held-out training images."""

    NAME = "linear"
    COLUMNS: ClassVar[Mapping[str, str]] = {"accuracy": "linear"}
    METRICS = ("accuracy", "train_accuracy")

    decays: tuple[Annotated[float, Field(ge=0)], ...] = option(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        "Weight decays to choose from (L2 on the weights, loss averaged over images).",
        min_length=1,
    )
    held_out: float = option(0.2, "Part of each class of the training set that chooses the decay.", gt=0, lt=1)
    iterations: int = option(500, "Most L-BFGS iterations a fit.", ge=1, le=1_000_000)


class AuthorsProbe(EvaluationSection):
    """The DirectPred code's probe: Adam on one linear layer. Reports the last and, labelled so, the best on test."""

    NAME = "authors_probe"
    COLUMNS: ClassVar[Mapping[str, str]] = {"last": "authors' probe, last", "best_on_test": "best on test"}
    METRICS = ("last", "best_on_test")

    epochs: int = option(50, "Passes over the training features.", ge=1, le=1_000_000)
    lr: float = option(3e-4, "Learning rate of Adam.", gt=0)
    weight_decay: float = option(1e-3, "Coupled L2 decay.", ge=0)
    batch_size: int = option(128, "Features a step.", ge=1, le=10_000_000)


class Udg(EvaluationSection):
    """Unseen domains, after unsupervised domain generalisation (Zhang et al., CVPR 2022).

    Fitted on labelled images of the source domains, judged on the domains of `data.held_out`; what there is to choose
    is chosen on held-out images of the source domains. The optimiser and all numbers but the fractions and
    `finetune_from` are our choice; the paper's are not known to us.
    """

    NAME = "udg"
    COLUMNS: ClassVar[Mapping[str, str]] = {}
    METRICS = ()
    SPLITS = ("train", "validation", "test")
    FROZEN = False

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
    iterations: int = option(500, "Most L-BFGS iterations of a fit of the linear probe.", ge=1, le=1_000_000)
    epochs: int = option(
        20, "Epochs of fine-tuning; the weights of the best one on source images count.", ge=1, le=1_000_000
    )
    least_steps: int = option(
        10, "Fewest steps of such an epoch: few labelled images are gone through more than once.", ge=1
    )
    batch_size: int = option(64, "Labelled images a step; all of them where there are fewer.", ge=2, le=10_000_000)
    lr: float = option(1e-3, "Learning rate of AdamW at its start; falls to 0 as a cosine.", gt=0)
    weight_decay: float = option(0.05, "Decoupled decay of all weights.", ge=0)
    augment: bool = option(True, "Crop and flip the labelled images as the recipe's views do.")

    def needs(self, recipe: "Recipe") -> None:
        if not getattr(recipe.data, "held_out", ()):
            what = "no domain is unseen: hold one out (data.held_out)"
            raise Misfit(what, "evaluation.udg", "data.held_out", "data.kind")

    def choosing(self, unseen: bool) -> tuple[str, ...]:
        """The accuracies on held-out images of the source domains."""
        return tuple(f"{fraction_name(fraction)}.validation" for fraction in self.fractions)

    def of_baseline(self, baseline: str) -> Self:
        """ERM is the untrained encoder with all weights trained at every fraction; pixels only have neighbours."""
        return self.model_copy(update={"finetune_from": 0.0}) if baseline == "untrained" else type(self)()

    def views_of_baseline(self, baseline: str) -> tuple[str, ...]:
        """ERM sees crops and flips."""
        return ("size", "normalize", *(("crop", "flip") if baseline == "untrained" else ()))

    def passes(self, count: Mapping[Split, int]) -> int:
        """Those of fine-tuning; there, an image's way back costs twice its way there."""
        total = 0
        for fraction in self.fractions:
            if fraction >= self.finetune_from:
                labelled = math.ceil(fraction * count["train"])
                batch = min(labelled, self.batch_size)
                in_epoch = batch * max(self.least_steps, labelled // batch)
                total += self.epochs * (3 * in_epoch + count["validation"]) + count["test"]
        return total


def fraction_name(fraction: float) -> str:
    """A labelled fraction in per cent, as metrics are named by it: `1`, `5`, `100`, `0.5`."""
    return f"{float(100 * Fraction(str(fraction))):g}"


class Analyses(EvaluationSection):
    """Domain purity of an encoder's features on source images held out and on target images, class purity beside it."""

    NAME = "analyses"
    COLUMNS: ClassVar[Mapping[str, str]] = {"domain_purity": "domain purity", "class_purity": "class purity"}
    METRICS = ()

    neighbours: int = option(10, "Nearest neighbours (cosine similarity) whose domain and class are compared.", ge=1)
    clusters: int | None = option(None, "Clusters of k-means; as many as there are classes if null.", ge=2)
    images_per_domain: int | None = option(
        1000,
        "Most images of each domain. All domains give equally many, their classes taking turns in file order, so "
        "never more than the smallest domain has; as many as that if null.",
        ge=2,
    )
    across_domains: bool = option(
        False,
        "Also class purity among neighbours from other domains alone; and all measures again with batch norms that "
        "use the statistics of each domain's own images (arXiv 1603.04779), which shows how much of a domain sits in "
        "their running averages. That looks at target images, and is no result on unseen domains.",
    )

    def needs(self, recipe: "Recipe") -> None:
        if not recipe.data.SEVERAL_DOMAINS:
            raise Misfit(f"{recipe.data.kind} images have no domains to analyse", "evaluation.analyses", "data.kind")


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
        if recipe.data.HOLDS == "vectors" and (asked := self.asked()):
            first = next(iter(asked))
            what = f"{recipe.data.kind} data have no labels to judge by: set {first} to null"
            raise Misfit(what, f"evaluation.{first}", "data.kind")

    def asked(self) -> dict[str, EvaluationSection]:
        """The evaluations that are not null, by their names."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if isinstance(value, EvaluationSection)}


def _fields_of_plugins() -> None:
    """Give each evaluation that a plug-in has defined its field, null unless asked for; and take back others."""
    for name in _of_plugins:
        del Evaluation.model_fields[name]
        delattr(Evaluation, name)
    _of_plugins.clear()
    for section in defined(EvaluationSection):
        if section.NAME not in Evaluation.model_fields:
            field: Any = option(None, (section.__doc__ or "").partition("\n")[0])
            field.annotation = section | None
            Evaluation.model_fields[section.NAME] = field
            setattr(Evaluation, section.NAME, None)  # for those that were made before it had the field
            _of_plugins.append(section.NAME)


_of_plugins: list[str] = []
before_rebuilding.append(_fields_of_plugins)
