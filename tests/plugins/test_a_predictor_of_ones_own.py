"""A predictor rule from outside the package: the README's own, trained, judged again, swept, told in tables."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import SMALL, small

from sslrun.networks.predictors import build_predictor, predictor_from_correlation
from sslrun.recipe import read_recipe

MIXED = Path(__file__).parent / "mixed.py"
README = Path(__file__).parents[2] / "README.md"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _here(written: Callable[[str, str], Path]) -> None:
    written("mixed", MIXED.read_text())


def test_the_readme_has_it_whole() -> None:
    code = MIXED.read_text().partition('"""\n')[2].strip()
    assert f"```python\n{code}\n```" in README.read_text()


def test_it_is_the_rule_that_it_says() -> None:
    section = read_recipe("quickstart", ["method.predictor={kind: mixed, mix: 0.25}"], imports=["mixed"])
    z_ND = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    rule = build_predictor(section.method.predictor, 6, torch.Generator().manual_seed(1))
    rule.observe([z_ND], [z_ND])
    rule.after_step(0)
    F_DD = z_ND.T @ z_ND / len(z_ND)
    expected_DD = 0.25 * torch.eye(6) + 0.75 * predictor_from_correlation(F_DD)
    torch.testing.assert_close(rule.matrix_DD, expected_DD)


def test_it_is_trained_and_judged(tmp_path: Path, sslrun: Run) -> None:
    changes = small("training.epochs=1", "method.predictor={kind: mixed, mix: 0.2}", "evaluation.linear=null")
    code, out, err = sslrun("pretrain", "quickstart", "--import", "mixed.py", *changes, "--results", "r")
    assert code == 0, err
    assert "BYOL, mixed predictor" in out
    (run,) = Path("r").glob("quickstart-*")
    assert "mix: 0.2" in (run / "recipe.yaml").read_text()
    code, out, err = sslrun("evaluate", run, "--set", "evaluation.knn.k=3", "--json")
    assert code == 0, err
    code, out, err = sslrun("theory", "--run", run)
    assert code == 0, err


@pytest.mark.parametrize(
    ("wrong", "code", "told"),
    [
        ("W_DD.diagonal()", 2, r"^Mixed\.compute_matrix: gave \(16,\) where W_p is \(16, 16\)\n"),
        ("W_DD[:10]", 2, r"^Mixed\.compute_matrix: gave \(10, 16\) where W_p is \(16, 16\)\n"),
        ("self.mx * W_DD", 1, r"^\S+mixed\.py:27: AttributeError: 'Mixed' object has no attribute 'mx'\n.*log\.txt$"),
        ("W_DD * float('nan')", 1, r"NaN at step 1\n(.|\n)*Or the numbers of mixed are the cause"),
    ],
)
def test_what_goes_wrong_in_it_is_said_at_its_line(
    written: Callable[[str, str], Path], sslrun: Run, wrong: str, code: int, told: str
) -> None:
    written("mixed", MIXED.read_text().replace("return self.mix *", f"return {wrong}  # self.mix *"))
    changes = small("training.epochs=1", "method.predictor={kind: mixed}", "run.verbosity=quiet")
    found, _, err = sslrun("pretrain", "quickstart", "--import", "mixed.py", *changes, "--results", "r")
    assert found == code
    assert re.search(told, err.strip()), err
    assert "Traceback" not in err
    (run,) = Path("r").glob("quickstart-*")
    assert "Traceback" in (run / "log.txt").read_text()
    assert json.loads((run / "status.json").read_text())["reason"].splitlines()[0] == err.splitlines()[0]


def test_a_sweep_and_its_jobs_know_it(tmp_path: Path, sslrun: Run) -> None:
    """Jobs start from a server that has never heard of it: so this is no process that was forked from the tests'."""
    axes = "axes: {rule: {ours: {}, mixed: {method.predictor: {kind: mixed, mix: 0.3}}}}\n"
    Path("g.yaml").write_text(f"base: quickstart\nimports: [mixed]\n{axes}")
    changes = [part for change in [*SMALL, "training.epochs=1", "evaluation.linear=null"] for part in ("--set", change)]
    command = [sys.executable, "-m", "sslrun", "sweep", "--grid", "g.yaml", "--results", "r", *changes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    _, out, err = sslrun("report", "r", "--format", "csv", "--metric", "knn")
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == ["ours", "mixed"], err
