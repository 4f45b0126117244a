"""Tables and figure of analyses, from made-up cells and histories."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sslrun.drawing import save
from sslrun.jobs.analysing import Plane
from sslrun.report.purity_figure import MOST_PLANES, plot
from sslrun.report.purity_tables import HARDNESS, MEASURES, Analysed, as_json, references, tables

CHANCES = ("domain_purity", "domain_purity_same_class", "class_purity", "cluster_purity", "class_purity_across")


def analysed(name: str, seed: int, untrained: int = 0, hard: bool = True) -> Analysed:
    draw = random.Random(seed)
    metrics: dict[str, Any] = {f"{chance}_chance": 0.2 + 0.01 * i for i, chance in enumerate(CHANCES)}
    metrics |= {measure: draw.random() for measure in MEASURES} | {"images": 1200}
    other = random.Random(f"untrained {untrained}")
    metrics |= {f"untrained.{measure}": other.random() for measure in MEASURES}
    history: list[dict[str, Any]] = [{"epoch": epoch, "loss": 1.0} for epoch in range(6)]
    for row in history[:-1] if hard else []:
        row |= {f"hardness_none.{key}": draw.random() for key in HARDNESS} | {"std_within": draw.random()}
        row["hardness_none.style_gap"] = None  # as for data without domains
    return Analysed(name, metrics, history)


def test_the_table_has_the_runs_what_they_are_beside_and_chance() -> None:
    runs = [analysed("none", 0), analysed("bss", 1), analysed("bss-1", 2, untrained=1)]
    table = tables(runs)[0]
    rows = {row[0].text: row[1:] for row in table.rows}
    assert list(rows) == ["none", "bss", "bss-1", "untrained encoder of none", "untrained encoder of bss-1", "chance"]
    assert table.header[1:] == tuple(MEASURES.values())
    assert [cell.value for cell in rows["bss"]] == [runs[1].metrics[name] for name in MEASURES]
    assert [cell.text for cell in rows["chance"]] == ["0.200", "0.210", "0.230", "0.230", "0.220", "0.240"]
    assert "1,200 images" in table.notes[0]
    assert list(references(runs[:2])) == ["untrained encoder"]
    runs[2] = replace(runs[2], weights="/of/somebody/r18.safetensors")
    assert list(references(runs)) == ["untrained encoder of none", "starting encoder (r18.safetensors) of bss-1"]
    assert list(references(runs[2:])) == ["starting encoder (r18.safetensors)"]


def test_what_was_not_asked_has_no_column_and_own_statistics_have_a_table() -> None:
    runs = [analysed("none", 0, hard=False), analysed("vit", 1, hard=False)]
    for run in runs:
        for name in ("class_purity_across", "untrained.class_purity_across"):
            del run.metrics[name]  # type: ignore[attr-defined]  # a dict
    (table,) = tables(runs)
    assert table.header[1:] == tuple(title for name, title in MEASURES.items() if name != "class_purity_across")
    assert list(plot(runs, [("plane", plane(4))]).subfigs[0].axes[0].lines[0].get_ydata()) == [
        runs[0].metrics[name] for name in MEASURES if name != "class_purity_across"
    ]

    own = {f"own_statistics.{name}": 0.125 for name in MEASURES if name != "cluster_purity"}
    runs[0] = replace(runs[0], metrics={**runs[0].metrics, **own, **{f"untrained.{name}": 0.5 for name in own}})
    table = tables(runs)[1]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["none"] == ["0.125", "0.125", "–", "0.125", "0.125"]
    assert rows["vit"] == ["–"] * 5  # no batch norm
    assert rows["untrained encoder"] == ["0.500", "0.500", "–", "0.500", "0.500"]
    assert rows["chance"] == ["0.200", "0.210", "0.230", "0.230", "0.220"]


def test_hardness_is_shown_before_training_and_after_the_last_epoch_where_there_is_any() -> None:
    runs = [analysed("none", 0), analysed("plain", 1, hard=False)]
    _, table = tables(runs)
    first, last = runs[0].history[0], runs[0].history[4]
    assert [row[0].text for row in table.rows] == ["none"]
    name = "hardness_none.own_column"
    assert table.rows[0][1].text == f"{first[name]:.3f} → {last[name]:.3f}"
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["style gap"].text == "–"
    assert cells["std within"].value == last["std_within"]
    assert len(tables(runs[1:])) == 1


def test_json_has_every_epoch() -> None:
    run = analysed("none", 0)
    (told,) = as_json([run], at=3)["runs"]
    assert told["metrics"] == run.metrics
    assert told["hardness_none.largest"]["epochs"] == [0, 1, 2, 3, 4]
    assert told["hardness_none.largest"]["values"] == [row["hardness_none.largest"] for row in run.history[:-1]]
    assert "hardness_bss.largest" not in told


def plane(classes: int, seed: int = 0) -> Plane:
    r = np.random.default_rng(seed)
    names = tuple(map(str, range(classes)))
    domains, labels = np.repeat([0, 1, 3], 20), r.integers(0, classes, 60)
    return Plane(r.normal(size=(60, 2)), domains, labels, ("a", "b", "c", "d_$x"), names)


def test_everything_is_drawn_once(tmp_path: Path) -> None:
    runs = [analysed(f"run{i}", i, hard=i > 0) for i in range(3)]
    figure = plot(runs, [(run.name, plane(4)) for run in runs])
    lines, *rest = figure.subfigs[0].axes[0].lines, *figure.subfigs[1:]
    dots = [line for line in lines if line.get_marker() in ("o", "s")]
    assert len(dots) == 4  # three runs and the untrained encoder
    assert list(dots[1].get_ydata()) == [runs[1].metrics[name] for name in MEASURES]
    assert len(rest) == 2  # hardness of views with their own styles, and the planes
    drawn = [len(collection.get_offsets()) for collection in rest[1].axes[0].collections]
    assert sum(drawn) == 60
    assert len(drawn) == 4
    save(figure, tmp_path / "a.png")


def test_many_planes_and_many_classes_and_no_history(tmp_path: Path) -> None:
    figure = plot([analysed("run", 0, hard=False)], [("plane", plane(12, i)) for i in range(MOST_PLANES + 3)])
    assert len(figure.subfigs) == 2
    assert len(figure.subfigs[1].axes) == MOST_PLANES
    assert figure.subfigs[1].legends[0].get_texts()[-1].get_text() == r"d_\$x"
    save(figure, tmp_path / "b.png")
