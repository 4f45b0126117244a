"""A kept table is run again from its own commands, and what no longer comes out is named."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import warm
from synthetic_runs import make_run
from tiny import SMALL

from sslrun.errors import InputError
from sslrun.report.collecting import collect
from sslrun.report.document import build
from sslrun.report.formats import as_markdown
from sslrun.report.verifying import commands, compare, tables, versions

HEAD = """# A table

torch 0.0.1, Python 3.11.7, one thread.

```
sslrun sweep --grid casts   # 70 cells
sslrun report results/ --grid casts \\
    --mean unseen
sslrun plot casts
```

"""


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The report of some runs, as one keeps it."""
    for seed, knn in enumerate((0.9531, 0.9412)):
        make_run(tmp_path, seed, knn=knn)
        make_run(tmp_path, seed, "method.predictor={kind: linear}", knn=knn - 0.1)
    return as_markdown(build(collect(tmp_path), metrics=["knn"], baseline="predictor=linear"))


def test_commands_are_those_that_run_and_report() -> None:
    assert commands(HEAD) == [
        ["sweep", "--grid", "casts"],
        ["report", "results/", "--grid", "casts", "--mean", "unseen"],
    ]
    assert versions(HEAD) == {"torch": "0.0.1", "Python": "3.11.7"}
    with pytest.raises(InputError, match="names no `sslrun report`"):
        commands("# no commands\n\n| a |\n")


def test_the_same_numbers_are_the_same_and_others_are_named(kept: str) -> None:
    printed = list(tables(kept))
    assert len(printed) == 2
    same, alone = compare(list(tables(HEAD + kept)), printed)
    assert [one.differing for one in same] == [[], []] and not alone
    assert same[0].same >= 8 and same[1].same >= 3
    mean = next(cell for cell in printed[0].rows[0] if cell.startswith("0.947"))
    changed, _ = compare(list(tables(kept.replace(mean, mean.replace("0.947", "0.949"), 1))), printed)
    (line,) = [line for one in changed for line in one.differing]
    assert "directpred, knn: 0.949" in line and "0.947" in line and "(apart by 0.002" in line


def test_a_table_of_another_shape_is_not_checked(kept: str) -> None:
    mine = "### By hand\n\n| what | n |\n| --- | --- |\n| a | 1 |\n\n"
    found, alone = compare(list(tables(mine + kept)), list(tables(kept)))
    assert len(found) == 2 and [table.title for table in alone] == ["By hand"]


def test_the_command_runs_a_small_sweep_and_then_finds_it_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    """As a reviewer has it: the first time it runs the cells, and numbers of another machine are told apart."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "tiny.yaml").write_text(
        "base: quickstart\nset:\n"
        + "".join(f"  {line.replace('=', ': ', 1)}\n" for line in SMALL)
        + "  training.epochs: 1\n  evaluation.linear: null\n  evaluation.baselines: []\n"
        "axes: {ema: {on: {}, off: {method.ema: {kind: none}}}}\nbaseline: {ema: 'on'}\n"
    )
    text = "```\nsslrun sweep --grid tiny.yaml\nsslrun report results/ --grid tiny\n```\n\n"
    table = "| ema | knn | 95 % interval | n | outcome |\n| :-- | --: | --: | --: | --: |\n"
    (tmp_path / "tiny.md").write_text(text + table + "| on | 0.5 | – | 1 | x |\n| off | 0.5 | – | 1 | x |\n")

    monkeypatch.setattr(subprocess, "Popen", warm.popen)
    code, said, _ = sslrun("verify", "tiny.md", "--results", "r")
    assert code == 1 and "on, knn: 0.5 there, 0." in said, said
    _, printed, _ = sslrun("report", "r", "--grid", "tiny", "--format", "markdown")
    (tmp_path / "tiny.md").write_text(text + printed)
    code, said, _ = sslrun("verify", "tiny.md", "--results", "r", "--no-runs")
    assert code == 0 and "numbers the same" in said and "differ" not in said, said
    (tmp_path / "other.md").write_text(text.replace("tiny", "other"))
    code, _, said = sslrun("verify", "other.md", "--results", "r", "--no-runs")
    assert code == 2 and "without it these would run:\n  sslrun sweep --grid other.yaml" in said, said
