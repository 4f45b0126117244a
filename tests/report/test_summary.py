"""What the end of a run says: the verdict with its bounds, and what training was worth."""

import math
from pathlib import Path

import pytest
from synthetic_runs import make_run

from sslrun.report.summary import verdict_line, worth
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
        ([cell("knn", 0.88, 0.86)], None, "did not beat the untrained encoder   kNN +0.020 ± 0.024 (standard error)"),
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


def test_the_verdict_is_said_with_its_bounds(tmp_path: Path) -> None:
    none, complete = make_run(tmp_path, 0), make_run(tmp_path, 1, state="collapsed", verdict="complete")
    assert verdict_line(none, 16).startswith("no collapse   std 0.8")
    assert "(complete below 0.05), effective rank 7." in verdict_line(none, 16)
    assert "of 16 (dimensional below 2)" in verdict_line(none, 16)
    assert verdict_line(complete, 16).startswith("complete collapse   std 0.0")
