"""What counts and names tell is told before anything is decoded, trained or made: by checks, `pretrain` and plans."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_trees import write_folders, write_picture
from tiny import small
from tiny_data import write_pictures

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.data.suiting import problems
from sslrun.errors import InputError
from sslrun.evaluation.analyses import analyse, balanced
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.schema import Analyses, DigitsStyles
from sslrun.recipe.schema.evaluation import _in_turn

Run = Callable[..., tuple[int, str, str]]

PICTURES = "data={kind: folder, path: set, store: 16}"
DOMAINS = "data={kind: domains, path: scenes, store: 16, held_out: [fog], validation: 0.5}"
FEW = "training={epochs: 1, batch_size: 4}"
NO_JUDGE = "evaluation={knn: null, linear: null}"


def recipe(*changes: str) -> Recipe:
    return read_recipe("quickstart", [FEW, *changes])


def told(root: Path, *changes: str) -> list[str]:
    plan = recipe(*changes)
    return [str(problem) for problem in problems(plan, open_dataset(plan.data, root))]


def test_a_trial_refuses_batches_that_the_whole_recipe_could_not_fill(
    sslrun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    said = []
    (tmp_path / "grid.yaml").write_text("base: quickstart\naxes: {lr: {a: {}}}\nset: {training.batch_size: 5000}\n")
    for command in (["pretrain", "quickstart", "--set", "training.batch_size=5000"], ["data", "check", "quickstart"]):
        said.append(sslrun(*command, *(["--set", "training.batch_size=5000"] * (command[0] == "data"))))
    said.append(sslrun("sweep", "--grid", tmp_path / "grid.yaml", "--plan", "--results", tmp_path))
    for code, out, err in said:
        assert code == 2 and "1,400 images don't fill one batch of 5,000" in out + err
    assert sslrun("data", "check", "quickstart")[0] == 0


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (["evaluation.knn.k=15", NO_JUDGE], None),
        (["evaluation.knn.k=16"], "evaluation.knn.k: 16 neighbours of 15 labelled training images"),
        (["data.limit=4", "evaluation.linear=null"], "evaluation.knn.k: 5 neighbours of 4 labelled"),
        (["data.limit=4", "evaluation.knn.k=1"], None),
        (["data.limit=3", "training.batch_size=2", "evaluation.knn.k=1"], "every class has one image"),
        (["data.limit=3", "training.batch_size=2", "evaluation={knn: null, linear: {decays: [0.1]}}"], None),
        (["training.batch_size=16"], "training.batch_size: 15 images don't fill one batch of 16"),
        (["training={batch_size: 14, last_batch: keep, epochs: 1}"], "15 images in batches of 14 leave a single one"),
        (["training={batch_size: 16, last_batch: keep, epochs: 1}"], None),
    ],
)
def test_of_class_folders(tmp_path: Path, changes: list[str], what: str | None) -> None:
    found = told(write_pictures(tmp_path), PICTURES, *changes)
    assert len(found) == (what is not None)
    assert what is None or what in found[0]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (["evaluation.udg={}"], None),
        (["evaluation.analyses.neighbours=5"], None),
        (["evaluation.analyses.neighbours=6"], "6 neighbours of an image that has 5 others of the same class"),
        (
            ["evaluation.analyses={neighbours: 2, clusters: 13}"],
            "analyses.clusters: 13 clusters of 12 images",
        ),
        (["evaluation.analyses={neighbours: 3, images_per_domain: 3}"], "3 neighbours of an image that has 2"),
    ],
)
def test_of_domains(tmp_path: Path, changes: list[str], what: str | None) -> None:
    found = told(write_folders(tmp_path, per_class=4), DOMAINS, NO_JUDGE, *changes)
    assert found == [] if what is None else what in found[0]


@pytest.mark.parametrize("name", ["overall", "avg", "labelled"])
def test_a_domain_may_not_be_called_as_a_number_is(tmp_path: Path, name: str) -> None:
    write_folders(tmp_path)
    (tmp_path / "scenes/fog").rename(tmp_path / f"scenes/{name}")
    [found] = told(tmp_path, DOMAINS.replace("fog", name), NO_JUDGE, "evaluation.udg={}")
    assert f"a domain can't be called '{name}'" in found
    assert not told(tmp_path, DOMAINS.replace("fog", name))


def test_turns_are_those_of_the_analyses() -> None:
    data = open_dataset(DigitsStyles(kind="digits_styles", held_out=("ink",)), Path())
    images = balanced([data.images("validation"), data.images("test")], 13)
    for domain in images.domains.unique().tolist():  # type: ignore[union-attr]
        labels = images.labels[images.domains == domain]
        split: Any = "test" if images.domain_names[domain] == "ink" else "validation"
        expected = _in_turn(data.counts(split).domains()[images.domain_names[domain]], 13)
        assert labels.bincount(minlength=10).tolist() == [expected[name] for name in images.class_names]
    section = Analyses(neighbours=int(labels.bincount().min()) * 4)
    with pytest.raises(InputError) as late:
        analyse(torch.rand(len(images), 3), images, section)
    with pytest.raises(InputError) as early:
        section.model_copy(update={"images_per_domain": 13}).suits(data.counts)
    assert str(late.value) == str(early.value)


def test_counts_are_those_of_the_images_decoded_or_not(tmp_path: Path) -> None:
    plan = recipe(PICTURES, "data.limit=7")
    root = write_pictures(tmp_path)
    before = open_dataset(plan.data, root).counts("train")
    assert (before.total, before.classes) == (7, {"cat": 3, "dog": 2, "fish": 2})
    open_dataset(plan.data, root).images("train")
    assert open_dataset(plan.data, root).counts("train") == before


def bare(root: Path, below: str = "") -> Path:
    """Pictures without classes for pretraining, and no others."""
    for at in range(8):
        write_picture(root / "set/train" / below / f"{at}.png", str(at))
    return root


@pytest.mark.parametrize("below", ["", "2021/05"])
def test_pretraining_alone_needs_no_labels(sslrun: Run, tmp_path: Path, below: str) -> None:
    where = ("--data", bare(tmp_path / "d", below), "--results", tmp_path / "r")
    alone = [*small("training={epochs: 1, batch_size: 4}")[2:], "--set", PICTURES]
    code, out, err = sslrun("data", "check", "quickstart", *alone, *where[:2])
    assert code == 2 and "evaluat" in out.lower(), err
    code, out, err = sslrun("pretrain", "quickstart", *alone, *where)
    assert code == 2 and "evaluations to null" in err
    assert not (tmp_path / "r").exists() and not list((tmp_path / "d").glob(".sslrun-cache/*/images.u8"))
    alone += ["--set", NO_JUDGE]
    code, out, err = sslrun("data", "check", "quickstart", *alone, *where[:2])
    assert (code, err) == (0, "") and "8 train" in out
    assert ("no labels" in out) == (below == "")
    code, out, err = sslrun("pretrain", "quickstart", *alone, *where)
    assert (code, err) == (0, "")


def test_domains_without_classes_can_be_pretrained_on(tmp_path: Path) -> None:
    for domain in ("a", "b"):
        for at in range(5):
            write_picture(tmp_path / f"scenes/{domain}/{at}.png", f"{domain}{at}")
    domains = "data={kind: domains, path: scenes, store: 16}"
    assert not told(tmp_path, domains, NO_JUDGE)
    [found] = told(tmp_path, domains)
    assert "no class folders, so these pictures have no labels" in found
    assert open_dataset(recipe(domains).data, tmp_path).images("pretrain").labels.tolist() == [-1] * 8


def test_tiny_imagenet_as_downloaded_is_known(tmp_path: Path) -> None:
    root = write_pictures(tmp_path)
    (root / "set/val/val_annotations.txt").write_text("val_0.JPEG\tn03444034\t0\t32\t44\t62\n")
    [found] = told(root, PICTURES)
    assert "this is tiny-imagenet-200 as it is downloaded" in found and "_boxes.txt" in found


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (["evaluation.knn.k=2000"], "2000 neighbours of 15"),
        (["training.batch_size=100000"], "15 images don't fill one batch of 100,000"),
    ],
)
def test_nothing_is_made_or_decoded(sslrun: Run, tmp_path: Path, changes: list[str], what: str) -> None:
    root, results = write_pictures(tmp_path / "d"), tmp_path / "r"
    asked = [part for change in (PICTURES, FEW, *changes) for part in ("--set", change)]
    for command in (("pretrain", "quickstart", "--results", results), ("data", "check", "quickstart")):
        code, out, err = sslrun(*command, *asked, "--data", root)
        assert code == 2 and what in out + err, command
    grid = tmp_path / "grid.yaml"
    grid.write_text("base: quickstart\naxes: {crop: {near: {}, far: {views.crop.scale: [0.5, 1.0]}}}\n")
    code, out, err = sslrun("sweep", "--grid", grid, "--plan", "--results", results, *asked, "--data", root)
    assert code == 2 and what in err and "in the cell crop=near" in err
    assert not results.exists()
    assert not list(root.glob(".sslrun-cache/*/images.u8"))


def test_what_a_recipe_does_not_need_may_be_missing(tmp_path: Path) -> None:
    root = write_pictures(tmp_path)
    (root / "set/val").rename(root / "set/.val")
    plan = recipe(PICTURES, NO_JUDGE)
    assert check(open_dataset(plan.data, root), plan).counts == {"train": 15}
    judged = check(open_dataset(plan.data, root), recipe(PICTURES))
    assert len(judged.problems) == 1 and "val: no such folder" in judged.problems[0]
    assert "Pretraining alone needs no val/" in judged.problems[0]
