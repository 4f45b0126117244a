"""What the end of a run says: the verdict with its bounds, and what training was worth."""

import json
import math
from pathlib import Path

import pytest
from synthetic_runs import make_run

from sslrun.report.summary import verdict_line, worth
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import EvaluationRecord


def cell(
    kind: str, accuracy: float, untrained: float | None, n: int | None = 400, at: int | None = None
) -> EvaluationRecord:
    metrics = {"accuracy": accuracy} | ({} if untrained is None else {"untrained.accuracy": untrained})
    if n is not None:
        metrics |= {
            name.replace("accuracy", "standard_error"): math.sqrt(p * (1 - p) / n) for name, p in metrics.items()
        }
    return EvaluationRecord(kind=kind, at=at, identity="a", settings={}, metrics=metrics)


@pytest.mark.parametrize(
    ("cells", "weights", "said"),
    [
        ([cell("knn", 0.96, 0.86)], None, "over the untrained encoder   kNN +0.100 ± 0.020 (standard error)"),
        (
            [cell("knn", 0.88, 0.86)],
            None,
            "not clearly over the untrained encoder   kNN +0.020 ± 0.024 (standard error)",
        ),
        ([cell("knn", 0.7, 0.86, at=3), cell("linear", 0.7, None)], None, None),
        (
            [cell("knn", 0.96, 0.9), cell("linear", 0.5, 0.6)],
            "/x/w.pt",
            "over the starting encoder (w.pt)   kNN +0.060 ± 0.018, linear -0.100 ± 0.035 (standard error)",
        ),
        ([cell("knn", 0.9, 0.8, n=None)], None, "over the untrained encoder   kNN +0.100 (standard error)"),
    ],
)
def test_what_training_was_worth(cells: list[EvaluationRecord], weights: str | None, said: str | None) -> None:
    assert worth(cells, weights) == said


SEEN = [{"epoch": 0, "spectrum": [1.0] * 16}]


def test_the_verdict_is_said_with_its_bounds(tmp_path: Path) -> None:
    none, complete = make_run(tmp_path, 0), make_run(tmp_path, 1, state="collapsed", verdict="complete")
    assert verdict_line(none, SEEN).startswith("no collapse   std 0.8")
    assert "(complete below 0.05), effective rank 7." in verdict_line(none, SEEN)
    assert "of 16 (dimensional below 2)" in verdict_line(none, SEEN)
    assert verdict_line(complete, SEEN).startswith("complete collapse   std 0.0")


@pytest.mark.parametrize(
    ("std", "rank", "said"),
    [
        (0.0471, 1.96, "std 0.047 (complete below 0.05), effective rank 1.96 (dimensional below 2)"),
        (0.0499999, 1.99999, "std 0.0499999 (complete below 0.05), effective rank 1.99999 (dimensional below 2)"),
        (0.0501, 2.01, "std 0.0501 (complete below 0.05), effective rank 2.01 (dimensional below 2)"),
        (0.05, 2.0, "std 0.05 (complete below 0.05), effective rank 2.0 (dimensional below 2)"),
        (0.0449, 1.94, "std 0.04 (complete below 0.05), effective rank 1.9 (dimensional below 2)"),
        (math.nan, math.inf, "std nan (complete below 0.05), effective rank inf (dimensional below 2)"),
    ],
)
def test_signals_have_the_digits_that_show_their_side_of_the_bound(
    tmp_path: Path, std: float, rank: float, said: str
) -> None:
    folder = make_run(tmp_path, 0)
    seen = {"std": std, "rank": rank, "std_threshold": 0.05, "rank_threshold": 2.0}
    status = json.loads((folder.path / "status.json").read_text()) | {"evidence": seen}
    (folder.path / "status.json").write_text(json.dumps(status))
    assert verdict_line(RunFolder(folder.path), ()).endswith(f"   {said}")


@pytest.mark.parametrize(
    ("name", "course", "verdict", "said"),
    [
        ("size", [0.5 * 0.9**epoch for epoch in range(17)], "none", "0.05; it was 0.5, and still falls)"),
        ("size", [0.5 * 0.9**epoch for epoch in range(17)], "dimensional", None),
        ("size", [0.5 * 0.9**epoch for epoch in range(7)], "none", None),  # more than half of it is there
        ("size", [0.5, *[0.09] * 12], "none", None),  # and stays
        ("size", [0.5, *[0.09 - 0.0001 * epoch for epoch in range(30)]], "none", None),  # hardly falls
        ("std", [0.9, 0.8, 0.3], "none", "0.05; it was 0.9, and still falls)"),
        ("std", [0.9], "none", None),
    ],
)
def test_a_run_that_still_shrinks_has_not_collapsed_yet(
    tmp_path: Path, name: str, course: list[float], verdict: str, said: str | None
) -> None:
    folder = make_run(tmp_path, 0)
    rank = 1.5 if verdict == "dimensional" else 8.0
    seen = {"std": 0.8, "size": 0.09, "rank": rank} | {name: course[-1]}
    bounds = {"std_threshold": 0.05, "size_threshold": 0.05, "rank_threshold": 2.0}
    status = json.loads((folder.path / "status.json").read_text()) | {"evidence": seen | bounds, "verdict": verdict}
    (folder.path / "status.json").write_text(json.dumps(status))
    history = [{"epoch": epoch, "std": 0.8, "size": 0.4, name: value} for epoch, value in enumerate(course)]
    line = verdict_line(RunFolder(folder.path), history)
    assert line.startswith("no collapse yet   ") == (said is not None)
    assert f"(complete below {said}" in line if said else "falls" not in line
