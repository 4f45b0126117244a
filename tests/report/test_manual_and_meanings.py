"""Everything is explained: each option of recipes and grids in the manual, each column of a report in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_runs import make_run, write_cell

from sslrun.grids.schema import GridFile
from sslrun.recipe.manual import manual, sections_of
from sslrun.recipe.schema import Recipe
from sslrun.report.meanings import columns, matching, meaning
from sslrun.runs import history, load_runs

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("root", [Recipe, GridFile])
def test_every_option_is_explained(root: type[Recipe] | type[GridFile]) -> None:
    entries = [entry for path in ["", *sections_of(root)] for entry in manual(root, path)]
    assert len(entries) > 4
    for entry in entries:
        assert entry.about
        for name, default, allowed, about, _ in entry.rows:
            assert about and allowed, (entry.title, name)
            assert default or name == "notes" or entry.title == "run"


def test_a_section_is_explained_kind_by_kind_with_its_source(sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = sslrun("schema", "views.style")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("views.style")] == [
        f"views.style, kind: {kind}" for kind in ("none", "fa", "bss")
    ]
    assert "our choice" in out and "allowed   one of half, area" in out
    rows = json.loads(sslrun("schema", "method.predictor.rho", "--json")[1])
    assert {row["source"] for entry in rows for row in entry["rows"]} == {"arXiv 2102.06810", "arXiv 2110.04947"}
    grid = sslrun("schema", "grid")[1]
    for name in ("base", "set", "axes", "exclude", "search", "seeds", "baseline", "small", "imports"):
        assert f"option {name}\n" in grid
    assert "properties" in json.loads(sslrun("schema", "grid", "--json")[1])
    assert "$defs" in json.loads(sslrun("schema", "--json")[1])
    kinds = sslrun("schema", "method.predictor")[1]
    assert "method.predictor, kind: directpred\nDirectPred" in kinds and "option" not in kinds
    assert sslrun("schema", "method.predictor.directpred")[1].count("arXiv 2102.06810\n") == 1  # said of all at once
    code, _, said = sslrun("schema", "training.epoch")
    assert code == 2 and "did you mean 'epochs'" in said
    assert "did you mean 'method.ema'?" in sslrun("schema", "ema")[2]
    assert sslrun("schema", "network.backbone.resnet18") == sslrun("schema", "network.backbone")
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, sslrun("schema", "views.style")[1].splitlines())) <= 60


def test_every_column_has_a_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0)
    write_cell(run, "knn", 0.7, {"k": 20, "temperature": 0.07})
    missing = [name for name in load_runs(tmp_path) if not meaning(str(name))]
    assert not missing
    assert all(map(meaning, history._NUMBERS | history._LISTS))
    for name in (
        *("untrained.linear@100.train_accuracy", "pixels.knn[k=20]", "knn.seconds", "probe.knn.accuracy"),
        *("udg.nn.avg", "udg.0.5.sketch", "udg.100.validation", "analyses.class_purity_chance", "std_within"),
        *("linear.held_out.0.01", "hardness_bss.largest", "authors_probe.best_on_test", "method.predictor.rho"),
    ):
        assert meaning(name), name
    assert meaning("nonsense") is None and meaning("udg.nonsense") is None
    assert all(text.endswith(".") for name, text in columns() if "." not in name and name not in Recipe.model_fields)


def test_metrics_are_found_by_a_part_of_their_names(sslrun: Run) -> None:
    assert ("knn", meaning("knn")) in matching("knn")
    code, out, _ = sslrun("metrics", "untrained.linear@100")
    assert code == 0 and "kept after epoch 100" in out
    assert sslrun("metrics", "rank*")[1].startswith("rank ")
    code, _, said = sslrun("metrics", "nonsense")
    assert code == 2 and "no column fits" in said
