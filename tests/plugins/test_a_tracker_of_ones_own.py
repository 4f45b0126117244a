"""A tracker from outside the package: one file, named on the command line."""

from collections.abc import Callable
from pathlib import Path

from report.synthetic_runs import make_run

Run = Callable[..., tuple[int, str, str]]


def test_runs_told_to_it(tmp_path: Path, written: Callable[[str, str], Path], sslrun: Run) -> None:
    written("lines", (Path(__file__).parent / "lines.py").read_text())
    run = make_run(tmp_path / "results", 0, epochs=2)
    code, _, err = sslrun("export-logs", "--import", "lines", "--to", "lines", "--out", "told")
    assert code == 0, err
    lines = Path(f"told/{run.path.name}.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "knn"]
