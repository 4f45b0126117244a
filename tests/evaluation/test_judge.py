"""The judge says that work goes on while it goes on, so that a long evaluation is not taken for a hung one."""

from pathlib import Path

import pytest
import torch

from sslrun.data import open_dataset
from sslrun.evaluation.judge import Judge, Subject
from sslrun.files import write_text
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Analyses, AuthorsProbe, LinearProbe, Udg
from sslrun.recipe.schema.base import Section
from sslrun.training.starting import starting_encoder

RECIPE = """
data: {kind: digits_styles, held_out: [neon], limit: 64}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: simclr}
training: {batch_size: 32}
run: {threads: 1, device: cpu}
"""


@pytest.fixture
def beats() -> list[int]:
    return []


@pytest.fixture
def subject(tmp_path: Path, beats: list[int]) -> Subject:
    """The untrained encoder; its features of all splits are there already."""
    write_text(tmp_path / "styles.yaml", RECIPE)
    recipe = read_recipe(str(tmp_path / "styles.yaml"))
    device = torch.device("cpu")
    data = open_dataset(recipe.data, tmp_path / "data")
    judge = Judge(recipe, data, tmp_path / "results", device, lambda: beats.append(1))
    subject = judge.subject(starting_encoder(recipe, judge.channels))
    for split in ("train", "validation", "test"):
        subject.featured(split)  # type: ignore[arg-type]  # a tuple of literals
    return subject


def test_features_beat(subject: Subject, beats: list[int]) -> None:
    before = len(beats)
    subject.features(subject.judge.images("test"))
    assert len(beats) > before


@pytest.mark.parametrize(
    ("kind", "section", "least"),
    [
        ("linear", LinearProbe(decays=(0.01,)), 5),
        ("authors_probe", AuthorsProbe(epochs=5), 5),
        ("udg", Udg(fractions=(0.05,), finetune_from=2.0, decays=(0.01,)), 5),
        ("analyses", Analyses(images_per_domain=20, neighbours=3), 5 * 5),  # in each of five folds
    ],
)
def test_probes_beat(subject: Subject, beats: list[int], kind: str, section: Section, least: int) -> None:
    before = len(beats)
    subject.judge.metrics(kind, section, subject)
    assert len(beats) - before > least
