"""Who judges an encoder: its features of each split, the evaluations of them, and the same of what it is compared to.

`jobs.evaluating` keeps what comes out as cells; what is kept of baselines is in baselines.py.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.data.dataset import Dataset
from sslrun.data.images import ImageSet
from sslrun.data.listing import Split
from sslrun.evaluation.analyses import analyse, balanced, domains_of
from sslrun.evaluation.baselines import baseline_metrics
from sslrun.evaluation.cells import evaluate
from sslrun.evaluation.features import extract, pixels
from sslrun.evaluation.finetune import finetune
from sslrun.evaluation.own_statistics import has_batch_norm, with_statistics_of
from sslrun.evaluation.udg import Featured, Tune, udg
from sslrun.recipe.schema import Analyses, DomainSection, Recipe, Udg
from sslrun.recipe.schema.base import Section
from sslrun.runs.cells import Number
from sslrun.training.starting import starting_encoder
from sslrun.views.pipeline import Views

_MOST_PIXELS = 3072  # raw pixels are judged up to this many values an image: 32×32 RGB


class Judge:
    """Judges encoders of one recipe on its labelled data; each baseline's features made once.

    `beat` is called as the work goes on: every batch of features, every step of a probe or of fine-tuning.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        results: Path,
        device: torch.device,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.recipe, self.data, self.device, self.beat = recipe, data, device, beat
        self.results = results
        """Where baselines are kept."""
        self._baselines: dict[str, Subject] = {}
        self.channels = data.shape[0]
        self.views = Views(recipe.views, channels=self.channels, stored=data.shape[-1])

    def images(self, split: Split) -> ImageSet:
        """The images of a split."""
        return self.data.images(split, lambda *_: self.beat())

    def analysed(self, section: Analyses) -> ImageSet:
        """Equally many images of each domain, of the test set and, where domains are held out, the validation set."""
        held_out = isinstance(self.recipe.data, DomainSection) and self.recipe.data.held_out
        splits: tuple[Split, ...] = ("validation", "test") if held_out else ("test",)
        return balanced([self.images(split) for split in splits], section.images_per_domain)

    def subject(self, encoder: nn.Module | None) -> "Subject":
        """An encoder to be judged; raw pixels if none."""
        return Subject(self, encoder if encoder is None else encoder.to(self.device))

    def cell(self, kind: str, section: Section, subject: "Subject") -> dict[str, Any]:
        """Metrics of a subject under one kind of evaluation, and of the baselines, named in front."""
        metrics = self.metrics(kind, section, subject)
        for name in self.recipe.evaluation.baselines:
            if name == "pixels" and math.prod(self.data.shape) > _MOST_PIXELS:
                continue
            asked = _asked_of_baseline(name, section)
            found = baseline_metrics(
                name,
                self.recipe,
                self.data,
                self.results,
                self.device,
                kind,
                asked,
                partial(self._baseline, name, kind, asked),
            )
            metrics |= {Number(kind, metric=key, baseline=name).key: value for key, value in found.items()}
        return metrics

    def metrics(self, kind: str, section: Section, subject: "Subject") -> dict[str, Any]:
        """The metrics of a subject under one kind of evaluation."""
        self.beat()
        if isinstance(section, Analyses):
            return self._analysis(section, subject)
        train, test = subject.featured("train"), subject.featured("test")
        if isinstance(section, Udg):
            return dict(udg(section, train, subject.featured("validation"), test, subject.tune(section), self.beat))
        given = (train.features, train.images.labels, test.features, test.images.labels)
        return evaluate(kind, section, *given, len(train.images.class_names), self.recipe.seed, self.beat)

    def _analysis(self, section: Analyses, subject: "Subject") -> dict[str, Any]:
        images, encoder = self.analysed(section), subject.encoder
        found = dict(analyse(subject.features(images), images, section, self.beat))
        if section.across_domains and encoder is not None and has_batch_norm(encoder):
            own = analyse(self._features_apart(encoder, images), images, section, self.beat)
            found |= {f"own_statistics.{name}": value for name, value in own.items() if f"{name}_chance" in own}
            found["own_statistics.domain_probe"] = own["domain_probe"]
        return found

    def _features_apart(self, encoder: nn.Module, images: ImageSet) -> Tensor:
        """Features (M, D) of images whose domains pass one by one, under batch norm statistics of their own."""
        domains_M = domains_of(images)
        index_of = [(domains_M == domain).nonzero()[:, 0] for domain in torch.unique(domains_M)]
        chunks = []
        for part in map(images.subset, index_of):
            adapted = with_statistics_of(part, encoder, self.views.plain, device=self.device, beat=self.beat)
            chunks.append(self.features(adapted, part))
        h_MD = torch.cat(chunks)
        return h_MD[torch.cat(index_of).argsort().to(h_MD.device)]

    def features(self, encoder: nn.Module, images: ImageSet) -> Tensor:
        """Frozen features (N, D) of an encoder on the judge's device."""
        training = self.recipe.training
        return extract(
            encoder,
            images,
            self.views.plain,
            device=self.device,
            precision=training.precision,
            channels_last=training.channels_last,
            beat=self.beat,
        )

    def _baseline(self, name: str, kind: str, section: Section) -> dict[str, Any]:
        if name not in self._baselines:
            untrained = name == "untrained"
            self._baselines[name] = self.subject(starting_encoder(self.recipe, self.channels) if untrained else None)
        return self.metrics(kind, section, self._baselines[name])


class Subject:
    """What is judged: an encoder, or raw pixels. Its features of a split are made when they are first asked for."""

    def __init__(self, judge: Judge, encoder: nn.Module | None) -> None:
        self.judge, self.encoder = judge, encoder
        self._featured: dict[Split, Featured] = {}

    def featured(self, split: Split) -> Featured:
        """The images of a split with their frozen features."""
        if split not in self._featured:
            self.judge.beat()
            images = self.judge.images(split)
            self._featured[split] = Featured(images, self.features(images))
        return self._featured[split]

    def features(self, images: ImageSet) -> Tensor:
        """Its frozen features (N, D) of any images."""
        return pixels(images) if self.encoder is None else self.judge.features(self.encoder, images)

    def tune(self, options: Udg) -> Tune | None:
        """How it is fine-tuned; raw pixels can't be."""
        if self.encoder is None:
            return None
        judge = self.judge
        return partial(
            finetune, self.encoder, recipe=judge.recipe, options=options, device=judge.device, beat=judge.beat
        )


def _asked_of_baseline(name: str, section: Section) -> Section:
    """What a baseline is asked, by the part of the section that it depends on, so that more runs share it.

    ERM is the untrained encoder with all weights trained at every fraction; pixels only have neighbours.
    """
    if not isinstance(section, Udg):
        return section
    return section.model_copy(update={"finetune_from": 0.0}) if name == "untrained" else Udg()
