"""Main effects and effects given another part, against a linear model that they are known of; and the map of a grid."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from synthetic_runs import make_run

from sslrun.drawing import save
from sslrun.report.charts import draw_map
from sslrun.report.collecting import Results, collect
from sslrun.report.document import as_json, build
from sslrun.report.effects import effects


@pytest.fixture
def lattice(tmp_path: Path) -> Results:
    """Predictor × EMA × decay, three seeds: knn = 0.5 + seed/100 + 0.1·linear + 0.2·off − 0.3·(linear and off)."""
    rng = np.random.default_rng(0)
    cells = []
    conditions = list(product(("none", "linear", "mlp"), ("on", "off"), ("0", "1")))
    for number, (predictor, ema, decay) in enumerate(conditions):
        for seed in range(3):
            linear, off = predictor == "linear", ema == "off"
            knn = 0.5 + seed / 100 + 0.1 * linear + 0.2 * off - 0.3 * (linear and off) + 1e-4 * rng.normal()
            dead = {"state": "collapsed", "verdict": "complete"} if linear and off else {}
            run = make_run(tmp_path, seed, f"optimizer.network.lr=0.{number + 1:02}", knn=knn, **dead)
            labels = {"predictor": predictor, "EMA": ema, "decay": decay}
            cells.append({"labels": labels, "seed": seed, "identity": run.identity, "evaluations": {}})
    axes = {"predictor": ["none", "linear", "mlp"], "EMA": ["on", "off"], "decay": ["0", "1"]}
    (tmp_path / "sweeps").mkdir()
    record = {"grid": "lattice", "axes": axes, "baseline": {"predictor": "none"}, "cells": cells}
    (tmp_path / "sweeps" / "lattice.json").write_text(json.dumps(record))
    return collect(tmp_path, "lattice")


def test_effects_are_those_of_the_model_that_made_the_numbers(lattice: Results) -> None:
    found = {(one.axis, one.label, one.given): one for one in effects(lattice, "knn", lattice.baseline)}
    expected = {
        ("predictor", "linear", None): 0.1 - 0.15,
        ("predictor", "mlp", None): 0.0,
        ("EMA", "off", None): 0.2 - 0.1,
        ("decay", "1", None): 0.0,
        ("predictor", "linear", ("EMA", "on")): 0.1,
        ("predictor", "linear", ("EMA", "off")): -0.2,
        ("EMA", "off", ("predictor", "linear")): -0.1,
        ("EMA", "off", ("predictor", "mlp")): 0.2,
    }
    for key, value in expected.items():
        assert found[key].difference.estimate.mean == pytest.approx(value, abs=3e-4), key
        assert found[key].difference.estimate.n == 3
    assert found[("predictor", "linear", None)].conditions == 4
    assert found[("EMA", "off", ("predictor", "linear"))].conditions == 2
    assert len(found) == 4 + 2 * (2 + 2) + 1 * (3 + 2) + 1 * (3 + 2)


def test_programs_have_the_effects_too(lattice: Results) -> None:
    rows = as_json(build(lattice, metrics=["knn"], effects=True))["effects"]
    assert len(rows) == 22
    one = next(row for row in rows if row["label"] == "linear" and row["given"] == {"EMA": "off"})
    assert (one["metric"], one["axis"], one["reference"]) == ("knn", "predictor", "none")
    assert one["mean"] == pytest.approx(-0.2, abs=3e-4) and one["low"] < one["mean"] < one["high"]
    assert (one["conditions"], one["n"]) == (2, 3) and one["p"] <= one["p_holm"] < 0.01
    assert as_json(build(lattice))["effects"] == []


def test_the_report_has_both_tables_in_place_of_comparisons(lattice: Results) -> None:
    titles = [table.title for table in build(lattice, metrics=["knn"], effects=True).tables]
    assert titles[1:] == ["knn: what each part does, mean over all others", "knn: what each part does, given another"]


def test_cells_that_lack_a_number_are_named_where_effects_lack_seeds(lattice: Results) -> None:
    def notes() -> tuple[str, ...]:
        tables = build(lattice, metrics=["knn"], effects=True).tables
        return next(table.notes for table in tables if table.title.endswith("given another"))

    assert len(notes()) == 1
    lattice.runs.loc[lattice.runs["axis.predictor"] == "mlp", "status"] = "failed"
    lattice.runs.loc[1, "status"] = "failed"
    _, told = notes()
    assert told.startswith(
        "The grid is not whole: no knn of none, on, 0 (seed 1); mlp, on, 0; mlp, on, 1; mlp, off, 0;"
    )


def test_the_map_has_a_square_for_each_condition_and_marks_collapses(lattice: Results, tmp_path: Path) -> None:
    figure = draw_map(lattice, "knn", ["predictor"], ["EMA", "decay"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 12
    assert sum(text.endswith("×××") for text in texts) == 2
    save(figure, tmp_path / "map.png")
    assert imread(tmp_path / "map.png").std() > 0.1


def test_a_small_map_has_room_for_its_legend_and_says_why_a_square_has_no_number(tmp_path: Path) -> None:
    linear, no_ema = "method.predictor={kind: linear}", "method.ema={kind: none}"
    make_run(tmp_path, 0, state="collapsed", verdict="dimensional")
    make_run(tmp_path, 0, linear, no_ema, state="failed", reason="out of memory")
    make_run(tmp_path, 0, linear)
    figure = draw_map(collect(tmp_path), "knn", ["predictor"], ["ema"])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["0.950", "0.950\n○", "1 failed"]  # one is empty
    save(figure, tmp_path / "map.png")
    legend = next(text for text in figure.texts if "complete" in text.get_text())
    assert "×  complete\n○  few dimensions" in legend.get_text()
    figure.draw_without_rendering()
    assert legend.get_window_extent().x1 < figure.bbox.x1
