import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic_runs import make_run

from sslrun.drawing import as_svg, save
from sslrun.errors import InputError
from sslrun.files import read_json
from sslrun.report import charts
from sslrun.report.collecting import collect
from sslrun.report.compare import compare, differences
from sslrun.report.plots import differing, plot_run, plot_two
from sslrun.runs.folder import RunFolder
from sslrun.runs.table import load_runs


def titles(figure: Figure) -> Iterator[str]:
    return (ax.get_title("left") for ax in figure.axes if ax.get_title("left"))


def test_a_run_is_drawn_with_all_that_its_history_holds(tmp_path: Path) -> None:
    figure = plot_run(make_run(tmp_path, 0))
    assert len(set(titles(figure))) == 7
    std = next(ax for ax in figure.axes if ax.get_title("left").startswith("Spread"))
    rows = [json.loads(line) for line in next(tmp_path.glob("*/history.jsonl")).read_text().splitlines()]
    assert list(std.lines[0].get_ydata()) == [row["std"] for row in rows]
    assert set(np.ravel(std.lines[1].get_ydata())) == {0.05}


def test_no_panel_reaches_into_another(tmp_path: Path) -> None:
    figure = plot_run(make_run(tmp_path, 0))
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes if ax.axison]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    shown = [ax.get_title("left") for ax in figure.axes if ax.get_legend() and not ax.get_legend_handles_labels()[0]]
    assert not shown  # a legend stands with its own curves


def test_half_finished_and_poorer_histories_are_drawn_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0, state="running")
    lines = folder.history.path.read_text().splitlines(keepends=True)
    folder.history.path.write_text(lines[0])
    save(plot_run(folder), tmp_path / "first.png")
    poor = {"epoch": 1, "std": None, "rank": 2.0, "spectrum": [0.0, 0.0], "p": [], "alignments": None, "loss": None}
    folder.history.path.write_text(json.dumps(poor) + "\n" + lines[2] + lines[3][:30])
    save(plot_run(folder), tmp_path / "poor.svg")
    (folder.path / "identity.json").unlink()
    folder.history.path.write_text(json.dumps({"epoch": 0, "std": 0.5, "probe.knn.accuracy": 0.4}) + "\n")
    assert "Probes on the way" in titles(plot_run(RunFolder(folder.path)))
    folder.history.path.unlink()
    with pytest.raises(InputError, match="no history yet"):
        plot_run(folder)


def test_a_run_that_failed_at_once_has_no_empty_panel_and_says_why(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0, state="failed", reason="the loss became NaN at step 3\nTry a lower rate.")
    folder.history.path.write_text(folder.history.path.read_text().splitlines(keepends=True)[0])
    figure = plot_run(folder)
    assert (figure.get_suptitle() or "").endswith(": the loss became NaN at step 3")
    assert "Loss" not in titles(figure)
    for ax in figure.axes:
        if ax.get_title("left"):
            marks = [line for line in ax.lines if line.get_marker() not in ("None", "", None)]
            assert marks or ax.collections, ax.get_title("left")  # one epoch is a point: of no line would be seen


def test_outputs_size_is_drawn_where_a_loss_is_of_it_and_fits_its_panel(tmp_path: Path) -> None:
    cosine = make_run(tmp_path, 0)
    squared = make_run(tmp_path, 0, "method={kind: byol, loss: squared}")
    assert "Size of the outputs" not in titles(plot_run(cosine))
    figure = plot_run(squared)
    size = next(ax for ax in figure.axes if ax.get_title("left") == "Size of the outputs")
    rows = squared.history.read()
    assert list(size.lines[0].get_ydata()) == [row["size"] for row in rows]
    assert size.get_ylim()[1] > max(row["size"] for row in rows) and "complete collapse" in size.get_xlabel()
    assert [title for title in titles(plot_two(cosine, squared)) if "Size" in title]


def test_a_history_that_is_damaged_from_its_first_line_on_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0)
    assert load_runs(tmp_path).attrs["left_out"] == []
    lines = folder.history.path.read_text().splitlines(keepends=True)
    folder.history.path.write_text("".join(["{\n", *lines[1:]]))
    with pytest.raises(InputError, match=r"history.jsonl:1: damaged: .*nothing to draw\nPut a copy of it back"):
        plot_run(folder)
    runs = load_runs(tmp_path)
    assert runs["std"].notna().all() and [path for path, _ in runs.attrs["left_out"]] == [f"{folder.history.path}:1"]


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0)
    for name in ("a.svg", "b.svg"):
        save(plot_run(folder), tmp_path / name)
    written = (tmp_path / "a.svg").read_text()
    assert written == (tmp_path / "b.svg").read_text()
    assert "Effective rank" in written


def test_other_suffixes_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"png, .svg, .pdf"):
        save(Figure(), tmp_path / "a.gif")


def test_names_are_no_mathematics(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0)
    odd = RunFolder(folder.path.rename(folder.path.with_name("a $\\frac$ b")))
    assert "$\\frac$" in as_svg(plot_run(odd))


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    a = make_run(tmp_path, 0, knn=0.9)
    b = make_run(tmp_path, 0, "method.stop_gradient=false", knn=0.5, state="collapsed", verdict="complete")
    runs, settings, outcome = compare(a, b)
    assert runs.texts == [["A", a.path.name], ["B", b.path.name]]
    assert [[cell.text for cell in row] for row in settings.rows] == [["method.stop_gradient", "true", "false"]]
    by_name = {row[0].text: [cell.text for cell in row[1:]] for row in outcome.rows}
    assert by_name["knn"] == ["0.9000", "0.5000", "-0.4000"]
    assert by_name["verdict"] == ["no collapse", "complete collapse", ""]
    assert not any("seconds" in name for name in by_name)
    figure = plot_two(a, b)
    assert len(list(titles(figure))) == 4
    about = read_json(a.path / "identity.json")
    assert about["recipe"]["method"]["stop_gradient"] is True


def test_a_run_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    a = make_run(tmp_path, 0)
    _, settings, _ = compare(a, a)
    assert (settings.rows, settings.notes) == ((), ("None.",))


def test_what_makes_two_runs_that_no_option_says(tmp_path: Path) -> None:
    """The fingerprint of the data, where both kept it; else what it may be. Of options of the data it goes without."""
    a, b = make_run(tmp_path, 0), make_run(tmp_path, 1)
    for changed in (b.recipe, b.path / "identity.json"):
        changed.write_text(changed.read_text().replace("seed: 1", "seed: 0").replace('"seed": 1', '"seed": 0'))
    (told,) = differences(a, b)
    assert told.path.startswith("not kept by these runs: the data's fingerprint") and told.a == a.identity[:16]
    _, settings, _ = compare(a, b)
    assert settings.title.endswith("another run") and len(settings.rows) == 1
    for folder, digit in ((a, "1"), (b, "2")):
        commit = {"hash": digit * 40, "changed": digit == "2"}
        about = {"data": digit * 64, "commit": commit, "torch": f"2.{digit}", "cpu": "one", "threads": int(digit)}
        folder.environment.write_text(json.dumps(about))
    assert [vars(each) for each in differences(a, b)] == [
        {"path": "the data's fingerprint", "a": "1" * 16, "b": "2" * 16, "part": "science"}
    ]
    (line,) = compare(a, b)[0].notes
    commits = "commit 1111111 and 2222222 with changes"
    assert line == f"made with other versions or on another machine: {commits}; torch 2.1 and 2.2; threads 1 and 2"
    assert compare(a, a)[0].notes == ()
    other = make_run(tmp_path, 0, "data.limit=100")
    other.environment.write_text(b.environment.read_text())
    assert [each.path for each in differences(a, other)] == ["data.limit"]
    b.environment.write_text("{")
    assert differences(a, b)[0].path.startswith("not kept") and compare(a, b)[0].notes == ()


@pytest.mark.parametrize("file", ["history.jsonl", "evaluations/knn-broken.json"])
def test_a_damaged_file_is_named(tmp_path: Path, file: str) -> None:
    a = make_run(tmp_path, 0)
    (a.path / file).write_text("{\n")
    with pytest.raises(InputError, match=f"{Path(file).stem}.*damaged|damaged.*{Path(file).stem}"):
        compare(a, a)


def test_one_epoch_is_a_point_and_no_text_lies_on_a_curve(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0, epochs=1)
    figure = plot_run(folder)
    loss, std, rank = figure.axes[:3]
    assert len(loss.lines[0].get_xdata()) == 1 and loss.lines[0].get_marker() == "."
    assert not [text for ax in (std, rank) for text in ax.texts]
    shown = std.get_xlabel(), rank.get_xlabel()
    assert shown[0].endswith("below 0.05\ncomplete collapse") and shown[1].endswith("below 2\ndimensional collapse")
    two = plot_two(folder, folder)
    assert (two.axes[1].get_xlabel(), two.axes[2].get_xlabel()) == shown


def test_curves_are_named_by_what_differs(tmp_path: Path) -> None:
    a, b = make_run(tmp_path, 0), make_run(tmp_path, 0, "method.stop_gradient=false")
    assert differing(a, b) == ("stop gradient true", "stop gradient false")
    assert differing(a, make_run(tmp_path, 3)) == ("seed 0", "seed 3")
    assert differing(a, make_run(tmp_path, 0, "method.predictor={kind: linear}")) == (
        "predictor directpred",
        "predictor linear",
    )
    many = make_run(tmp_path, 1, "training.batch_size=32", "optimizer.network.lr=0.1", "data.size=24")
    assert differing(a, many) == (a.path.name, many.path.name)
    legend = plot_two(a, b).legends[0]
    assert [text.get_text() for text in legend.texts] == ["stop gradient true", "stop gradient false"]


def test_means_are_dots_on_an_axis_where_they_are_and_collapse_is_marked(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, seed, knn=0.95 + seed / 100)
        make_run(tmp_path, seed, "method.stop_gradient=false", knn=0.85, state="collapsed", verdict="complete")
    results = collect(tmp_path)
    figure = charts.dots(results, "knn", False)
    assert figure is not None
    (ax,) = figure.axes
    assert not ax.patches and ax.get_xlim()[0] > 0.7
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "stop gradient false\n(3 of 3 collapsed)",
        "stop gradient true",
    ]
    named = [text.get_text() for text in figure.legends[0].texts]
    assert "with collapsed runs" in named and "untrained encoder, 0.800" in named
    assert ax.get_xlabel() == "knn, part of 1" and not figure.get_suptitle()
    spread = charts.dots(results, "std", False)
    assert spread is not None
    assert "complete collapse below 0.05" in [text.get_text() for text in spread.legends[0].texts]
    courses = charts.curves(charts.histories(results), results)
    assert courses is not None
    shown = plot_run(RunFolder(next(tmp_path.glob("quick-*"))))
    for panel in (1, 2):  # the same bound in every figure
        assert courses.axes[panel].get_xlabel() == shown.axes[panel].get_xlabel() != "epoch"


def test_more_conditions_than_fit_are_said_to_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (1, 2, 3):
        make_run(tmp_path, 0, f"optimizer.network.lr=0.{rate}")
    monkeypatch.setattr(charts, "MOST_DOTS", 2)
    figure = charts.dots(collect(tmp_path), "knn", False)
    assert figure is not None
    assert figure.get_suptitle() == "the first 2 of 3 conditions: --where and --mean choose"
    assert len(figure.axes[0].get_yticklabels()) == 2
