"""The judge hands each split to whom it is due, and says that work goes on while it goes on."""

from pathlib import Path

import pytest
import torch

from sslrun.data import open_dataset
from sslrun.data.images import ImageSet
from sslrun.data.listing import Progress, Split
from sslrun.evaluation.authors_probe import authors_probe
from sslrun.evaluation.features import Featured, extract
from sslrun.evaluation.finetune import Tuned, finetune
from sslrun.evaluation.judge import Judge, Subject
from sslrun.evaluation.knn import knn_accuracy
from sslrun.evaluation.linear import linear_probe
from sslrun.evaluation.own_statistics import calibrated
from sslrun.evaluation.problem import problem
from sslrun.evaluation.udg import udg
from sslrun.files import write_text
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Analyses, AuthorsProbe, Knn, LinearProbe, Udg
from sslrun.recipe.schema.judging import EvaluationSection
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
    ("section", "least"),
    [
        (LinearProbe(decays=(0.01,)), 5),
        (AuthorsProbe(epochs=5), 5),
        (Udg(fractions=(0.05,), finetune_from=2.0, decays=(0.01,)), 5),
        (Analyses(images_per_domain=20, neighbours=3), 5 * 5),  # in each of five folds
    ],
)
def test_probes_beat(subject: Subject, beats: list[int], section: EvaluationSection, least: int) -> None:
    before = len(beats)
    subject.judge.metrics(section, subject)
    assert len(beats) - before > least


def of(subject: Subject, split: Split) -> Featured:
    """A split's images and features, made by hand from the data alone."""
    judge = subject.judge
    images = judge.data.images(split)
    assert subject.encoder is not None
    return Featured(images, extract(subject.encoder, images, judge.views.plain, device=judge.device))


def test_neighbours_are_training_images_and_the_test_images_are_tested(subject: Subject) -> None:
    train, test = of(subject, "train"), of(subject, "test")
    section = Knn(k=7, temperature=0.2)
    expected = knn_accuracy(section, problem(train.features, train.labels, test.features, test.labels, 10))
    assert subject.judge.metrics(section, subject)["accuracy"] == expected


@pytest.mark.parametrize("seed", [0, 3])
def test_a_probe_is_fitted_on_training_images_with_the_recipes_seed(subject: Subject, seed: int) -> None:
    train, test = of(subject, "train"), of(subject, "test")
    subject.judge.recipe = subject.judge.recipe.model_copy(update={"seed": seed})
    section = LinearProbe(decays=(0.3, 0.001), iterations=20)
    given = problem(train.features, train.labels, test.features, test.labels, 10)
    expected = linear_probe(section, given, seed)
    found = subject.judge.metrics(section, subject)
    assert (found["accuracy"], found["train_accuracy"]) == (expected.accuracy, expected.train_accuracy)
    assert found["held_out"] == {f"{decay:g}": accuracy for decay, accuracy in expected.held_out.items()}
    authors = AuthorsProbe(epochs=2)
    by_authors = authors_probe(authors, given, seed)
    assert subject.judge.metrics(authors, subject)["per_epoch"] == list(by_authors.per_epoch)


def test_validation_images_choose_and_held_out_domains_are_tested(subject: Subject) -> None:
    judge, encoder = subject.judge, subject.encoder
    section = Udg(fractions=(0.05, 1.0), decays=(0.3, 0.001), epochs=2, least_steps=2, lr=1e-2)
    assert encoder is not None

    def tune(labelled: ImageSet, validation: ImageSet, test: ImageSet) -> Tuned:
        return finetune(encoder, labelled, validation, test, judge.recipe, section, judge.device)

    expected = udg(section, of(subject, "train"), of(subject, "validation"), of(subject, "test"), tune)
    assert judge.metrics(section, subject) == expected
    swapped = udg(section, of(subject, "train"), of(subject, "test"), of(subject, "test"), tune)
    assert [swapped[key] for key in ("5.validation", "100.validation")] != [
        expected[key] for key in ("5.validation", "100.validation")
    ]
    assert set(judge.metrics(section, judge.subject(None))) == {"nn.neon", "nn.avg", "nn.overall"}


def test_the_baselines_of_a_cell_are_the_untrained_encoder_and_raw_pixels(subject: Subject) -> None:
    judge = subject.judge
    trained = starting_encoder(judge.recipe, judge.channels)
    for value in trained.parameters():
        torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(1))
    section = Knn()
    cell = judge.cell(section, judge.subject(trained))
    images = judge.images("pretrain").images
    untrained = calibrated(subject.encoder, images, judge.views.plain, device=judge.device)
    assert {name: value for name, value in cell.items() if name.endswith("accuracy")} == {
        "accuracy": judge.metrics(section, judge.subject(trained))["accuracy"],
        "untrained.accuracy": judge.metrics(section, judge.subject(untrained))["accuracy"],
        "pixels.accuracy": judge.metrics(section, judge.subject(None))["accuracy"],
    }
    assert cell["untrained.accuracy"] != judge.metrics(section, subject)["accuracy"], "as if batch norms were set"
    assert len(set(cell.values())) == 6
    assert judge.cell(section, judge.subject(trained)) == cell


def test_the_untrained_baseline_is_calibrated_on_the_images_that_are_learnt_from(
    subject: Subject, beats: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it says that work goes on while they are decoded."""
    judge, images = subject.judge, subject.judge.data.images
    asked: list[Split] = []

    def decoding(split: Split, progress: Progress) -> ImageSet:
        asked.append(split)
        progress(1, 2)
        assert beats, "decoding beats"
        return images(split)

    monkeypatch.setattr(judge.data, "images", decoding)
    beats.clear()
    judge.starting_encoder()
    assert asked == ["pretrain"]


def test_own_statistics_are_of_what_has_a_chance_level(subject: Subject) -> None:
    section = Analyses(across_domains=True, images_per_domain=8, neighbours=2)
    found = subject.judge.metrics(section, subject)
    own = {name.removeprefix("own_statistics.") for name in found if name.startswith("own_statistics.")}
    assert own == {name.removesuffix("_chance") for name in found if name.endswith("_chance")} | {"domain_probe"}
    assert "images" in found and "images" not in own
