"""How an encoder is judged. Nothing here changes what is pretrained: a changed probe never pretrains again.

The analyses of arXiv 2303.06088 are known to us by name alone (domain purity); the definitions here are our choice.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from sslrun.errors import InputError
from sslrun.recipe.schema.base import Misfit, Section, before_rebuilding, defined, option
from sslrun.recipe.schema.judging import Counted, EvaluationSection, Split, fraction_name
from sslrun.recipe.schema.probes import AuthorsProbe, Knn, LinearProbe

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


class Udg(EvaluationSection):
    """Unseen domains, after unsupervised domain generalisation (Zhang et al., CVPR 2022).

    Fitted on labelled images of the source domains, judged on the domains of `data.held_out`; what there is to choose
    is chosen on held-out images of the source domains. The optimiser and all numbers but the fractions and
    `finetune_from` are our choice; the paper's are not known to us.
    """

    NAME = "udg"
    COLUMNS: ClassVar[Mapping[str, str]] = {}
    MEANS: ClassVar[Mapping[str, str]] = {
        "(nn|[\\d.]+)\\.avg": "Plain mean of the accuracies on the unseen domains.",
        "(nn|[\\d.]+)\\.overall": "Accuracy over all images of the unseen domains.",
        "[\\d.]+\\.validation": "Accuracy on held-out images of the source domains, by which was chosen.",
        "[\\d.]+\\.decay": "The linear probe's weight decay that was chosen.",
        "[\\d.]+\\.epoch": "The epoch of fine-tuning that was chosen.",
        "[\\d.]+\\.labelled": "How many images are labelled.",
        "[\\d.]+\\.part": "Which part of all training images these are.",
        "nn\\..+": "Accuracy on this unseen domain by the nearest training image.",
        "[\\d.]+\\..+": "Accuracy on this unseen domain with so many per cent of the source images labelled.",
    }
    METRICS = ()
    SPLITS = ("train", "validation", "test")
    FROZEN = False
    NAMES: ClassVar = ("avg", "overall", "validation", "decay", "epoch", "labelled", "part")
    """What its numbers are called, beside those of the target domains."""

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

    def suits(self, counted: Counted) -> None:
        """Also of names: those of target domains stand beside other numbers."""
        super().suits(counted)
        for domain in counted("test").domains():
            self.can_name(domain)
        for part in self.fractions:
            if part >= self.finetune_from and self.labelled(part, counted("train").labelled.values()) < 2:
                raise InputError("1 labelled image is too little to fine-tune on", where="evaluation.udg.fractions")

    @classmethod
    def can_name(cls, domain: str) -> None:
        """Raise `InputError` if a number of this evaluation is called like a target domain."""
        if domain in cls.NAMES:
            raise InputError(
                f"a domain can't be called {domain!r}: a metric is",
                where="evaluation.udg",
                remedy="Give its folder another name.",
            )

    @staticmethod
    def labelled(part: float, counts: Iterable[int]) -> int:
        """How many images a fraction labels, rounded up for each of these counts; it is taken as it is written."""
        return sum(math.ceil(Fraction(str(part)) * count) for count in counts)

    def choosing(self, unseen: bool) -> tuple[str, ...]:
        """The accuracies on held-out images of the source domains."""
        return tuple(f"{fraction_name(fraction)}.validation" for fraction in self.fractions)

    def of_baseline(self, baseline: str) -> Self:
        """ERM is the untrained encoder with all weights trained at every fraction; pixels only have neighbours."""
        return self.model_copy(update={"finetune_from": 0.0}) if baseline == "untrained" else type(self)()

    @classmethod
    def trains_baseline(cls, baseline: str, metric: str | None) -> bool:
        """ERM, but for nearest neighbours."""
        return baseline == "untrained" and not (metric or "").startswith("nn.")

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


class Analyses(EvaluationSection):
    """Domain purity of an encoder's features on source images held out and on target images, class purity beside it;
    of images without classes what they know of the domains alone."""

    NAME = "analyses"
    COLUMNS: ClassVar[Mapping[str, str]] = {"domain_purity": "domain purity", "class_purity": "class purity"}
    MEANS: ClassVar[Mapping[str, str]] = {
        "domain_purity": "Part of an image's nearest neighbours that are of its domain: low where features forget it.",
        "domain_purity_excess": "Domain purity less what chance gives.",
        "domain_purity_same_class": "Domain purity among images of the same class.",
        "class_purity": "Part of an image's nearest neighbours that are of its class.",
        "class_purity_across": "Part of the nearest neighbours from other domains that are of the image's class.",
        "cluster_purity": "Part of the images of a k-means cluster that are of its most frequent domain.",
        "domain_probe": "Accuracy of a linear probe that tells domains from features.",
        "images": "How many images were looked at.",
        ".+_chance": "What chance alone gives of the measure of that name.",
    }
    METRICS = ()
    SPLITS = ("validation", "test")
    LABELS = False

    neighbours: int = option(10, "Nearest neighbours (cosine similarity) whose domain and class are compared.", ge=1)
    clusters: int | None = option(None, "Clusters of k-means; as many as classes, or else as domains, if null.", ge=2)
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

    def suits(self, counted: Counted) -> None:
        """By how many images of each class are drawn of each domain: as many as of the smallest, classes in turn."""
        found: dict[str, dict[str, int]] = {}
        without_classes: dict[str, dict[str, int]] = {}
        for split in self.SPLITS:
            counts = counted(split)
            found |= counts.domains()
            without_classes |= {domain: {"": count} for domain, count in counts.of_domain.items()}
        labelled = bool(found)
        found = found or without_classes
        if len(found) < 2:
            raise InputError(f"{'labelled ' * labelled}images of fewer than two domains", where="evaluation.analyses")
        smallest = min(sum(classes.values()) for classes in found.values())
        each = min(smallest, self.images_per_domain or smallest)
        drawn: Counter[str] = Counter()
        for classes in found.values():
            drawn.update(_in_turn(classes, each))
        count = each * len(found)
        self.has_neighbours(self.neighbours, count - 1, "in all")
        if labelled:
            self.has_neighbours(self.neighbours, min(drawn.values()) - 1, "of the same class")
        if self.across_domains:
            self.has_neighbours(self.neighbours, count - each, "of other domains")
        if (self.clusters or 0) > count:
            raise InputError(f"{self.clusters} clusters of {count} images", where="evaluation.analyses.clusters")

    @staticmethod
    def has_neighbours(k: int, fewest: int, others: str) -> None:
        """Raise `InputError` where some image has fewer than `k` others to choose from."""
        if k > fewest:
            raise InputError(
                f"{k} neighbours of an image that has {fewest} others {others}",
                where="evaluation.analyses.neighbours",
                remedy=f"Set it to at most {fewest}, or analyse more images.",
            )


def _in_turn(counts: Mapping[str, int], most: int) -> Counter[str]:
    """How many of each class are taken if the classes take turns until there are `most`."""
    taken: Counter[str] = Counter()
    while most > 0 and (left := [name for name, count in counts.items() if taken[name] < count]):
        rounds = max(1, min(most // len(left), min(counts[name] - taken[name] for name in left)))
        taken.update(dict.fromkeys(left[:most], rounds))
        most -= rounds * len(left[:most])
    return taken


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
