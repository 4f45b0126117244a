"""Who judges an encoder: its features of each split, the evaluations of them, and the same of what it is compared to.

Files that are called as evaluations are register theirs with `evaluate`. `jobs.evaluating` keeps what comes out as
cells; what is kept of baselines is in baselines.py.
"""

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial, singledispatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.data.dataset import Dataset
from sslrun.data.images import ImageSet
from sslrun.data.listing import Split
from sslrun.errors import InputError, RunFailed
from sslrun.evaluation.baselines import Metrics, baseline_metrics
from sslrun.evaluation.features import Featured, extract, pixels
from sslrun.evaluation.own_statistics import calibrated
from sslrun.evaluation.problem import Problem, problem
from sslrun.networks.group import ALONE, Group
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.runs.cells import Number
from sslrun.training.starting import starting_encoder
from sslrun.views.pipeline import Views

_MOST_PIXELS = 3072  # raw pixels are judged up to this many values an image: 32×32 RGB


@singledispatch
def evaluate(section: EvaluationSection, subject: "Subject") -> Metrics:
    """The metrics of a subject under one evaluation. Register yours for your section class: `@evaluate.register`.

    It calls `subject.beat` as it goes on. Raises `InputError` or `RunFailed` for what can't be judged.
    """
    raise InputError(f"nothing computes the evaluation {section.NAME!r}")


class Judge:
    """Judges encoders of one recipe on its labelled data; each baseline's features are made once.

    `beat` is called as the work goes on: every batch of features, every step of a probe or of fine-tuning. Where the
    processes of a `group` judge together, each makes a part of the features and of fine-tuning's batches, and all go on
    with the whole to the same numbers.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        results: Path,
        device: torch.device,
        beat: Callable[[], None] = lambda: None,
        group: Group = ALONE,
    ) -> None:
        self.recipe, self.data, self.device, self.beat, self.group = recipe, data, device, beat, group
        self.results = results
        """Where baselines are kept."""
        self._baselines: dict[str, Subject] = {}
        self.channels = data.shape[0]
        self.views = Views(recipe.views, channels=self.channels, stored=data.shape[-1])

    def images(self, split: Split) -> ImageSet:
        """The images of a split."""
        return self.data.images(split, lambda *_: self.beat())

    def subject(self, encoder: nn.Module | None) -> "Subject":
        """An encoder to be judged; raw pixels if none."""
        return Subject(self, encoder if encoder is None else encoder.to(self.device))

    def cell(self, section: EvaluationSection, subject: "Subject") -> Metrics:
        """Metrics of a subject under one evaluation, and of the baselines, named in front."""
        metrics = self.metrics(section, subject)
        for name in self.recipe.evaluation.baselines:
            if name == "pixels" and math.prod(self.data.shape) > _MOST_PIXELS:
                continue
            asked = section.of_baseline(name)
            compute = partial(self._baseline, name, asked)
            found = baseline_metrics(
                name, self.recipe, self.data, self.results, self.device, asked, compute, self.group
            )
            metrics |= {Number(section.NAME, metric=key, baseline=name).key: value for key, value in found.items()}
        return metrics

    def metrics(self, section: EvaluationSection, subject: "Subject") -> Metrics:
        """The metrics of a subject under one evaluation. Raises `RunFailed` for what can't be kept as a number."""
        self.beat()
        found = evaluate(section, subject)
        whole = isinstance(found, Mapping)
        for name, value in found.items() if whole else [("all", found)]:
            if not (whole and isinstance(name, str) and _plain(value)):
                by = getattr(evaluate.dispatch(type(section)), "__code__", None)
                raise RunFailed(
                    f"the evaluation {section.NAME!r} gives {name!r} as {value!r:.80}",
                    where=f"{by.co_filename}:{by.co_firstlineno}" if by else None,
                    remedy="It gives numbers by their names: finite floats, ints or bools, or lists or dicts of them.",
                )
        return dict(found)

    def _baseline(self, name: str, section: EvaluationSection) -> Metrics:
        if name not in self._baselines:
            self._baselines[name] = self.subject(self.starting_encoder() if name == "untrained" else None)
        return self.metrics(section, self._baselines[name])

    def starting_encoder(self) -> nn.Module:
        """The encoder that training starts from; drawn at random, its batch norms are calibrated."""
        encoder = starting_encoder(self.recipe, self.channels)
        if self.recipe.network.weights is not None:
            return encoder
        images = self.data.images("pretrain", lambda *_: self.beat()).images
        return calibrated(encoder.to(self.device), images, self.views.plain, device=self.device, beat=self.beat)


def _plain(value: Any) -> bool:
    """Whether a metric is as records keep it (`runs.records.Metric`)."""
    if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
        return False
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [value]
    return all(one is None or (isinstance(one, int | float) and math.isfinite(one)) for one in parts)


class Subject:
    """What is judged: an encoder, or raw pixels (None). Its features of a split are made when they are first asked for.

    `judge` has all else: images of any split, the recipe, and how images are fed (`views.plain`).
    """

    def __init__(self, judge: Judge, encoder: nn.Module | None) -> None:
        self.judge, self.encoder = judge, encoder
        self.device, self.beat = judge.device, judge.beat
        self._featured: dict[Split, Featured] = {}

    @property
    def recipe(self) -> Recipe:
        """The recipe by which it is judged."""
        return self.judge.recipe

    def featured(self, split: Split) -> Featured:
        """The images of a split with their frozen features."""
        if split not in self._featured:
            self.beat()
            images = self.judge.images(split)
            self._featured[split] = Featured(images, self.features(images))
        return self._featured[split]

    @cached_property
    def problem(self) -> Problem:
        """The features of all labelled training and test images with their labels. Raises as `problem` does."""
        train, test = self.featured("train"), self.featured("test")
        classes = len(train.images.class_names)
        return problem(train.features, train.images.labels, test.features, test.images.labels, classes)

    def features(self, images: ImageSet, encoder: nn.Module | None = None) -> Tensor:
        """Frozen features (N, D) of any images, on the device (pixels: where the images are).

        `encoder` stands in for its own, for example one with other batch norm statistics.
        """
        encoder = encoder or self.encoder
        if encoder is None:
            return pixels(images)
        training = self.recipe.training
        return extract(
            encoder,
            images,
            self.judge.views.plain,
            device=self.device,
            precision=training.precision,
            channels_last=training.channels_last,
            beat=self.beat,
            group=self.judge.group,
        )
