"""What all ways to judge an encoder share: the section of an evaluation, and the counts of the images it judges by.

`probes` and `evaluation` have ours; `sslrun.evaluation` computes them.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal, Self

from sslrun.errors import InputError
from sslrun.recipe.schema.base import Section, defined

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Counts:
    """How many images of a split there are: of each domain (empty if there are none) and class, in their order."""

    total: int
    labelled: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By domain and class; of images without label `total` and `of_domain` alone know."""
    of_domain: Mapping[str, int] = field(default_factory=dict)
    """All images of each domain."""

    @property
    def classes(self) -> dict[str, int]:
        """Labelled images of each class."""
        found: Counter[str] = Counter()
        for (_, label), count in self.labelled.items():
            found[label] += count
        return dict(found)

    def domains(self) -> dict[str, dict[str, int]]:
        """Labelled images of each class of each domain."""
        found: dict[str, dict[str, int]] = {}
        for (domain, label), count in self.labelled.items():
            found.setdefault(domain, {})[label] = count
        return found


STANDARD_ERROR = "Standard error of the accuracy, test images taken as drawn independently."
Counted = Callable[[Split], Counts]
"""Gives the counts of a split. Raises `DataError` where its images are not there, or have no labels."""


class EvaluationSection(Section):
    """One way to judge an encoder: the options of `evaluation.<NAME>`. `sslrun.evaluation` has what computes it.

    All that is central asks these for what it must know of a kind; most kinds leave most of them as they are.
    """

    NAME: ClassVar[str]
    BUILDER: ClassVar[str] = "sslrun.evaluation.judge:evaluate"

    COLUMNS: ClassVar[Mapping[str, str]]
    """What stands in a run's closing table: metrics, and their titles there; `accuracy` if a kind does not say, and
    the first metric of a kind that returns none of them."""
    MEANS: ClassVar[Mapping[str, str]] = {
        "accuracy": "What it returns as `accuracy`, if it does.",
        ".+": "What else it returns, by its name.",
    }
    """What each of its metrics is, in a sentence, by a pattern of its name."""
    METRICS: ClassVar[tuple[str, ...]] = ("accuracy",)
    """What a search may choose by, unless it is of domains that are held out; parts of 1."""
    SPLITS: ClassVar[tuple[Split, ...]] = ("train", "test")
    """Whose features it looks at."""
    LABELS: ClassVar[bool] = True
    """Whether it compares labels: of images without any it is then left out."""
    FROZEN: ClassVar[bool] = True
    """Whether it trains nothing but on frozen features: then `evaluation.every` computes it, too."""

    def choosing(self, unseen: bool) -> tuple[str, ...]:
        """The metrics that a search may choose by; `unseen` if the test images are of domains held out."""
        return () if unseen else self.METRICS

    def of_baseline(self, baseline: str) -> Self:
        """What a baseline is asked, by the part of the options that its numbers depend on: more runs share them."""
        return self

    @classmethod
    def trains_baseline(cls, baseline: str, metric: str | None) -> bool:
        """Whether all weights of a baseline are trained on labels for a metric (None: the accuracy)."""
        return False

    def views_of_baseline(self, baseline: str) -> tuple[str, ...]:
        """The options of `views` that a baseline's numbers depend on."""
        return ("size", "normalize")

    def passes(self, count: Mapping[Split, int]) -> int:
        """How often an image goes through the encoder beyond one look at all `SPLITS`, which have `count` images; back
        counts as two."""
        return 0

    def suits(self, counted: Counted) -> None:
        """Raise `InputError` where images can't be judged so, as far as their counts and names tell: then nothing needs
        to be decoded or trained to find out."""
        for split in self.SPLITS if self.LABELS else ():
            if not counted(split).labelled:
                raise InputError(
                    f"there are no labelled {split} images to judge with",
                    where=f"evaluation.{self.NAME}",
                    remedy="Choose data that has labels, or set this evaluation to null.",
                )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if not hasattr(cls, "NAME"):
            raise TypeError(f"{cls.__name__} has no NAME: what recipes call the evaluation")
        taken = next((other for other in defined(EvaluationSection) if other.NAME == cls.NAME), None)
        if taken is not None:
            raise TypeError(f"the evaluation '{cls.NAME}' is that of {taken.__module__} already")
        if "COLUMNS" not in cls.__dict__:
            cls.COLUMNS = {"accuracy": cls.NAME.replace("_", " ")}
        super().__pydantic_init_subclass__(**kwargs)


def evaluations() -> dict[str, type[EvaluationSection]]:
    """The sections of all kinds of evaluation that there are, plug-ins' too, by name."""
    return {section.NAME: section for section in defined(EvaluationSection)}


def fraction_name(fraction: float) -> str:
    """A labelled fraction in per cent, as metrics are named by it: `1`, `5`, `100`, `0.5`."""
    return f"{float(100 * Fraction(str(fraction))):g}"
