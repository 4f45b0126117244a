"""An engine from outside the package, named in a grid: it carries the sweep out."""

from collections.abc import Callable
from pathlib import Path

from tiny import SMALL

GRID = """\
base: quickstart
imports: [serial]
engine: {kind: serial}
axes: {predictor: {ours: {}, none: {method.predictor: {kind: none}}}}
"""


def test_it_carries_a_sweep_out(
    written: Callable[[str, str], Path], sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    written("serial", (Path(__file__).parent / "serial.py").read_text())
    Path("g.yaml").write_text(GRID)
    changes = [part for change in [*SMALL, "training.epochs=1", "evaluation.linear=null"] for part in ("--set", change)]
    code, out, err = sslrun("sweep", "--grid", "g.yaml", "--results", "r", *changes)
    assert code == 0, err
    assert "one after the other, in this process" in out
    assert "failed" not in out
    assert len(list(Path("r").glob("g-*/evaluations/knn-*.json"))) == 2
    Path("g.yaml").write_text(GRID.replace("kind: serial", "kind: serail"))
    code, _, err = sslrun("sweep", "--grid", "g.yaml", "--results", "r", *changes)
    assert code == 2
    assert "g.yaml:3:16" in err and "did you mean 'serial'?" in err
