"""A report format from outside the package: one file, named on the command line."""

from collections.abc import Callable
from pathlib import Path

from report.synthetic_runs import make_run

Run = Callable[..., tuple[int, str, str]]


def test_a_report_in_it(tmp_path: Path, written: Callable[[str, str], Path], sslrun: Run) -> None:
    written("orgmode", (Path(__file__).parent / "orgmode.py").read_text())
    for seed in range(2):
        make_run(tmp_path / "results", seed, knn=0.95 + seed / 100)
    code, out, _ = sslrun("report", "results", "--metric", "knn", "--import", "orgmode", "--format", "org")
    assert code == 0
    head, line, row = out.splitlines()
    assert head.startswith("| ")
    assert line == "|-"
    assert "| knn | 2 | 0.955" in row
    code, _, _ = sslrun("report", "results", "--import", "orgmode.py", "--out", "table.org")
    assert code == 0
    assert Path("table.org").read_text().startswith("| ")
    code, _, err = sslrun("report", "results", "--format", "organ")
    assert code == 2
    assert "no format 'organ'" in err
