"""Domains whose pictures have no classes: what they are, and that all that needs no label works on them as printed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from domain_trees import FOLDERS, write_folders, write_picture
from test_data_suiting import told

from sslrun.data.dataset import open_dataset
from sslrun.evaluation.analyses import analyse, balanced
from sslrun.evaluation.purity import folds
from sslrun.recipe.schema import Analyses
from sslrun.runs import load_runs

Run = Callable[..., tuple[int, str, str]]

WITHOUT = FOLDERS.model_copy(update={"classes": False})
DOMAINS = "data={kind: domains, path: scenes, store: 16, held_out: [fog], validation: 0.5, classes: false}"
ANALYSES = "evaluation.analyses={neighbours: 3, across_domains: true}"


def test_folders_below_a_domain_are_no_classes_and_other_files_are_passed_over(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    for name in ("fog/at_the_top.png", "sun/a/b/c/deep.png"):
        write_picture(root / "scenes" / name, name)
    (root / "scenes/night/car/notes.txt").write_text("none of ours")
    data = open_dataset(WITHOUT, root)
    counts = {split: data.counts(split) for split in ("train", "validation", "test")}  # type: ignore[arg-type]
    assert not any(one.labelled for one in counts.values())
    assert counts["test"].of_domain == {"fog": 21}
    assert counts["train"].of_domain == {"night": 16, "sun": 17}
    assert counts["validation"].of_domain == {"night": 4, "sun": 4}
    images = data.images("train")
    assert images.class_names == () and images.domain_names == ("fog", "night", "sun")
    assert images.labels.tolist() == [-1] * 33
    assert images.domains is not None and images.domains.tolist() == [1] * 16 + [2] * 17


def test_with_and_without_classes_the_cache_keeps_two(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    assert set(open_dataset(FOLDERS, root).images("train").labels.tolist()) == {0, 1}
    assert set(open_dataset(WITHOUT, root).images("train").labels.tolist()) == {-1}
    assert set(open_dataset(FOLDERS, root).images("train").labels.tolist()) == {0, 1}


def test_measures_of_domains_are_those_of_labelled_images(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    splits = ("validation", "test")
    with_classes, without = (
        balanced([open_dataset(data, root).images(split) for split in splits], None)  # type: ignore[arg-type]
        for data in (FOLDERS, WITHOUT)
    )
    assert len(without) == 12 and without.domains is not None
    assert torch.unique(without.domains, return_counts=True)[1].tolist() == [4, 4, 4]
    h = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) + without.domains[:, None]
    section = Analyses(neighbours=2, clusters=3)
    assert with_classes.domains is not None and torch.equal(with_classes.domains, without.domains)
    ours, theirs = analyse(h, without, section), analyse(h, with_classes, section)
    assert theirs.keys() - ours.keys() == {
        *("class_purity", "class_purity_chance"),
        *("domain_purity_same_class", "domain_purity_same_class_chance"),
    }
    same = [name for name in ours if name != "domain_probe"]  # whose folds deal out classes too
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    by_default = analyse(h, without, Analyses(neighbours=2, across_domains=True))
    assert by_default["cluster_purity"] == ours["cluster_purity"] and not any(
        "class_pur" in name for name in by_default
    )


def test_folds_without_labels_deal_out_each_domain() -> None:
    domains = torch.tensor([2, 0, 1, 0, 2, 1, 0, 0, 1, 2, 0, 2, 1, 1, 2])
    of_fold = folds(domains, torch.full((15,), -1))
    for domain in range(3):
        assert sorted(of_fold[domains == domain].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("analyses", "what"),
    [("{neighbours: 3}", None), ("{neighbours: 12}", "12 neighbours of an image that has 11 others in all")],
)
def test_what_counts_tell_of_analyses(tmp_path: Path, analyses: str, what: str | None) -> None:
    root = write_folders(tmp_path, per_class=4)
    found = told(root, DOMAINS, f"evaluation.analyses={analyses}")
    assert [what in one for one in found] == [True] if what else not found


def test_as_a_user_meets_it(sslrun: Run, tmp_path: Path) -> None:
    root, results = write_folders(tmp_path / "d", per_class=12), tmp_path / "r"
    small = ["network={backbone: {kind: small_resnet, width: 8}, projector: {hidden: 8, out: 4}}", "views.size=8"]
    asked = [*small, "training={epochs: 1, batch_size: 4}", DOMAINS, ANALYSES]
    options = [*(part for change in asked for part in ("--set", change)), "--data", root]
    code, out, err = sslrun("data", "check", "quickstart", *options)
    assert (code, err) == (0, "") and "no labels" in out and "24 test" in out
    code, out, err = sslrun(
        "preview", "quickstart", *options, "--set", "views.style={kind: bss}", "--out", tmp_path / "p.png"
    )
    assert (code, err) == (0, "") and "domain told inside one view" in out and "nearest source" not in out
    code, out, err = sslrun("pretrain", "quickstart", *options, "--results", results)
    assert (code, err) == (0, "") and "without labels: knn and linear left out" in out
    assert "domain purity" in out and "class purity" not in out and "  sslrun analyse " in out
    code, out, err = sslrun("analyse", "quickstart", "--out", tmp_path / "a.png", "--results", results)
    assert (code, err) == (0, "") and "of classes, none are known here" in out and (tmp_path / "a.png").is_file()
    code, _, err = sslrun("evaluate", "quickstart", "--knn", "--results", results)
    assert code == 2 and "knn compares labels, and domains data have none" in err
    [row] = load_runs(results).to_dict("records")
    of_run = {name for name in row if "purity" in name and "class" in name and np.isfinite(row[name] or np.nan)}
    assert not of_run and row["analyses.domain_purity"] <= 1 and row["analyses.own_statistics.domain_purity"] <= 1
