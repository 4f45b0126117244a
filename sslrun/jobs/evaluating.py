"""Evaluate a run: features of its encoder, of its untrained self and of raw pixels; each kind a cell of its own.

A cell is one JSON file under the run's `evaluations/`, named by what was asked; asking again reads the file.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sslrun.data.images import ImageSet
from sslrun.data.sources import load
from sslrun.errors import DataError, InputError
from sslrun.evaluation import evaluate
from sslrun.evaluation.features import extract, pixels
from sslrun.jobs.baselines import baseline_metrics
from sslrun.jobs.places import Places, choose_device, identify, places
from sslrun.jobs.starting import starting_encoder
from sslrun.networks.backbones import load_weights
from sslrun.recipe import read_recipe
from sslrun.recipe.identity import evaluation_identity, science
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section
from sslrun.runs.folder import RunFolder
from sslrun.views.pipeline import Views

KINDS = ("knn", "linear", "authors_probe")
_MOST_PIXELS = 3072  # raw pixels are judged up to this many values an image: 32×32 RGB

Features = tuple[Tensor, Tensor]


def asked_for(recipe: Recipe) -> dict[str, Section]:
    """The evaluations that a recipe asks for, by kind."""
    sections = {kind: getattr(recipe.evaluation, kind) for kind in KINDS}
    return {kind: section for kind, section in sections.items() if section is not None}


def evaluation_job(
    folder: RunFolder,
    recipe: Recipe,
    where: Places,
    sections: Mapping[str, Section],
    *,
    at: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """The cells of a finished run, one a kind in `sections`; those that are missing are computed and kept.

    `at` judges the encoder kept after that epoch instead of the last one. Each cell holds the run's metrics and, as
    `untrained.*` and `pixels.*`, those of the recipe's baselines. `beat` is called between parts of the work.
    """
    judge: Judge | None = None
    features: Features | None = None
    cells = []
    for kind, section in sections.items():
        settings = _settings(recipe, section)
        name = cell_identity(folder.identity, recipe, kind, section, at)
        cell = folder.read_evaluation(kind, name, at)
        if cell is None:
            begun = time.perf_counter()
            if judge is None or features is None:
                judge = Judge(recipe, where, beat)
                features = judge.features(_kept_encoder(folder, judge, at))
            metrics = judge.cell(kind, section, features)
            seconds = round(time.perf_counter() - begun, 3)
            cell = {"kind": kind, "at": at, "identity": name, "settings": settings, "metrics": metrics}
            folder.write_evaluation(cell | {"seconds": seconds})
        cells.append(cell)
    return cells


def cell_identity(run: str, recipe: Recipe, kind: str, section: Section, at: int | None = None) -> str:
    """The identity of one evaluation of the run with identity `run`, as `recipe` asks for it."""
    return evaluation_identity(run, kind if at is None else f"{kind}@{at}", _settings(recipe, section))


def _settings(recipe: Recipe, section: Section) -> dict[str, Any]:
    return science(section) | {"baselines": list(recipe.evaluation.baselines)}


def evaluate_run(
    folder: RunFolder,
    kinds: Sequence[str],
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    data: Path | None = None,
    device: str | None = None,
) -> list[dict[str, Any]]:
    """Judge a kept run by `kinds` of evaluation (those its recipe asks for if none is named); the cells.

    `changes` may set `evaluation.*` and `run.*` fields only. Raises `InputError` if they change what was pretrained,
    and `DataError` if the images here are not those it was pretrained on.
    """
    changes = [*changes, *([f"run.device={device}"] if device else [])]
    changes = [f"evaluation.{kind}={{}}" for kind in kinds if not _has(folder, kind)] + changes
    recipe = read_recipe(folder.recipe, changes)
    where = places(recipe, folder.path.parent, data)
    if identify(recipe, where.data) != folder.identity:
        original = read_recipe(folder.recipe)
        if science(recipe) != science(original):
            raise InputError(
                "this changes what was pretrained, not only how it is judged",
                where="--set",
                remedy="Only evaluation.* and run.* can change here; `sslrun pretrain` makes another run.",
            )
        raise DataError(
            "the images found here are not those that this run was pretrained on",
            where=str(where.data),
            remedy="Give the right folder with --data.",
        )
    sections = {kind: getattr(recipe.evaluation, kind) for kind in kinds} if kinds else asked_for(recipe)
    return evaluation_job(folder, recipe, where, sections, at=at)


def _has(folder: RunFolder, kind: str) -> bool:
    return getattr(read_recipe(folder.recipe).evaluation, kind) is not None


def _kept_encoder(folder: RunFolder, judge: "Judge", at: int | None) -> nn.Module:
    path = folder.encoder if at is None else folder.encoder_at(at)
    if not path.exists():
        kept = ", ".join(map(str, folder.kept_epochs())) or "none"
        what = "this run has no encoder yet" if at is None else f"no encoder was kept after epoch {at} (kept: {kept})"
        raise InputError(what, where=str(folder.path), remedy="`sslrun pretrain` the recipe first; it goes on.")
    encoder = starting_encoder(judge.recipe, judge.train.images.shape[1])
    load_weights(encoder, path)
    return encoder


class Judge:
    """Judges encoders of one recipe on its labelled data; the data are read once, each baseline's features once."""

    def __init__(self, recipe: Recipe, where: Places, beat: Callable[[], None] = lambda: None) -> None:
        self.recipe, self.where, self.beat, self.device = recipe, where, beat, choose_device(recipe.run.device)
        self.train = load(recipe.data, where.data, "train", lambda *_: beat())
        self.test = load(recipe.data, where.data, "test", lambda *_: beat())
        _, channels, _, stored = self.train.images.shape
        self.views = Views(recipe.views, channels=channels, stored=stored)
        self._baselines: dict[str, Features] = {}

    def cell(self, kind: str, section: Section, features: Features) -> dict[str, Any]:
        """Metrics of an encoder's features under one kind of evaluation, and of the baselines, named in front."""
        metrics = self.metrics(kind, section, features)
        for name in self.recipe.evaluation.baselines:
            if name == "pixels" and self.train.images[0].numel() > _MOST_PIXELS:
                continue
            found = baseline_metrics(
                name, self.recipe, self.where, self.device, kind, section, partial(self._baseline, name, kind, section)
            )
            metrics |= {f"{name}.{key}": value for key, value in found.items()}
        return metrics

    def metrics(self, kind: str, section: Section, features: Features) -> dict[str, Any]:
        """One kind of evaluation of given features of the training and the test images."""
        self.beat()
        classes = len(self.train.class_names)
        train_ND, test_ND = features
        return evaluate(
            kind, section, train_ND, self.train.labels, test_ND, self.test.labels, classes, self.recipe.seed
        )

    def features(self, encoder: nn.Module) -> Features:
        """Frozen features of the training and the test images."""
        self.beat()
        encoder = encoder.to(self.device)
        train_ND = self._extract(encoder, self.train)
        self.beat()
        return train_ND, self._extract(encoder, self.test)

    def _extract(self, encoder: nn.Module, images: ImageSet) -> Tensor:
        training = self.recipe.training
        return extract(
            encoder,
            images,
            self.views.plain,
            device=self.device,
            precision=training.precision,
            channels_last=training.channels_last,
        )

    def _baseline(self, name: str, kind: str, section: Section) -> dict[str, Any]:
        if name not in self._baselines and name == "pixels":
            self._baselines[name] = pixels(self.train), pixels(self.test)
        elif name not in self._baselines:
            self._baselines[name] = self.features(starting_encoder(self.recipe, self.train.images.shape[1]))
        return self.metrics(kind, section, self._baselines[name])
