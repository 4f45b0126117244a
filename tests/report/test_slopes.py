"""Slopes against the normal equations, and the table of them in a report."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_runs import make_run

from sslrun.errors import InputError
from sslrun.report.collecting import collect
from sslrun.report.document import as_json, build
from sslrun.report.slopes import slope

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("n", [3, 4, 15])
def test_slope_interval_and_p_are_those_of_the_normal_equations(n: int) -> None:
    r = np.random.default_rng(n)
    x, y = r.normal(size=n), r.normal(size=n)
    ours = slope(x.tolist(), y.tolist())
    A = np.stack([x, np.ones(n)], axis=1)
    fitted = np.linalg.solve(A.T @ A, A.T @ y)
    error = np.sqrt(np.sum((y - A @ fitted) ** 2) / (n - 2) * np.linalg.inv(A.T @ A)[0, 0])
    half = stats.t.ppf(0.975, n - 2) * error
    assert (ours.n, ours.slope) == (n, pytest.approx(fitted[0]))
    assert ours.p == pytest.approx(2 * stats.t.sf(abs(fitted[0]) / error, n - 2))
    assert (ours.low, ours.high) == pytest.approx((fitted[0] - half, fitted[0] + half))


def test_what_too_few_points_cannot_tell() -> None:
    two = slope([1.0, 3.0], [5.0, 4.0])
    assert two.slope == -0.5
    assert all(map(math.isnan, (two.low, two.high, two.p)))
    assert math.isnan(slope([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]).slope)
    assert math.isnan(slope([], []).slope)
    exact = slope([0.0, 1.0, 2.0], [1.0, 1.5, 2.0])
    assert exact.slope == 0.5 and all(map(math.isnan, (exact.low, exact.high, exact.p)))
    level = slope([0.0, 1.0, 2.0, 2.0], [0.9, 0.9, 0.9, 0.9])
    assert level.slope == 0 and math.isnan(level.p)


def test_a_report_lays_metrics_against_doublings_of_the_batch(sslrun: Run, tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    points: dict[str, list[tuple[float, float]]] = {"linear": [], "none": []}
    for kind, found in points.items():
        for size in (32, 64, 256):
            for seed in range(2):
                knn = 0.6 + 0.02 * math.log2(size) + 0.01 * r.normal()
                make_run(tmp_path, seed, f"method.predictor={{kind: {kind}}}", f"training.batch_size={size}", knn=knn)
                found.append((math.log2(size), knn))
    tables = build(collect(tmp_path), metrics=["knn"], slope="batch_size").tables
    table = next(table for table in tables if table.title == "knn per doubling of batch_size")
    assert [row[0].text for row in table.rows] == ["linear", "none"]
    for row, found in zip(table.rows, points.values(), strict=True):
        theirs = stats.linregress(*zip(*found, strict=True))
        assert row[1].value == pytest.approx(theirs.slope)
        assert row[1].text == f"{theirs.slope:+.4f}"
        assert row[-1].text == "6"
    rows = as_json(build(collect(tmp_path), metrics=["knn"], slope="batch_size"))["slopes"]
    assert [row["predictor"] for row in rows] == ["linear", "none"]
    assert {(row["metric"], row["doubling_of"], row["n"]) for row in rows} == {("knn", "batch_size", 6)}
    assert [row["slope"] for row in rows] == [row[1].value for row in table.rows]
    code, out, _ = sslrun("report", tmp_path, "--metric", "knn", "--slope", "batch_size")
    assert code == 0
    assert "per doubling of batch_size" in out
    with pytest.raises(InputError, match="'linear' is not a positive number"):
        build(collect(tmp_path), metrics=["knn"], slope="predictor")
