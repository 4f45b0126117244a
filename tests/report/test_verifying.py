"""A kept table is run again from its own commands, and what no longer comes out is named."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import warm
from synthetic_runs import make_run
from tiny import SMALL

from sslrun.errors import InputError
from sslrun.report.collecting import collect
from sslrun.report.document import build
from sslrun.report.formats import as_markdown
from sslrun.report.verifying import Asked, commands, compare, compare_lines, tables, versions

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
        Asked(("sweep", "--grid", "casts")),
        Asked(("report", "results/", "--grid", "casts", "--mean", "unseen")),
    ]
    assert versions(HEAD) == {"torch": "0.0.1", "Python": "3.11.7"}
    assert versions("Python 3.11 or newer, torch\n2.14.1") == {"torch": "2.14.1"}
    for nothing in ("# no commands\n\n| a |\n", "```\nsslrun preview casts\nsslrun theory --eta 0.1\n```\n"):
        with pytest.raises(InputError, match="names no `sslrun report`"):
            commands(nothing)


LOST = "```\n$ sslrun theory --run lost\nmode p s\n```\n"
LOOK = """```
$ sslrun theory --p0 0.5 \\
    --eta 0.04
mode   p        s
1      0.8763   0.7705

the mode lives
$ sslrun status
nothing
```
"""


def test_lines_kept_of_a_command_are_compared_with_what_it_prints() -> None:
    (asked,) = commands(LOOK)
    assert asked.words == ("theory", "--p0", "0.5", "--eta", "0.04")
    assert asked.lines == ("mode   p        s", "1      0.8763   0.7705", "the mode lives")
    same = compare_lines(asked, "more\nmode p s\n1  0.8763  0.7705\nthe mode lives\n")
    assert same.same == 3 and not same.differing and same.title == "sslrun theory --p0 0.5 --eta 0.04"
    other = compare_lines(asked, "mode  p  s\n2  0.1  0.2\n1  0.8765  0.7705\nthe mode dies")
    assert other.differing == [
        "1 0.8763 0.7705 there, 1 0.8765 0.7705 here (apart by 0.0002)",
        "the mode lives there, no such line here",
    ]


def test_every_page_of_results_tables_can_be_verified() -> None:
    pages = sorted(Path(__file__).parents[2].glob("results/tables/*.md"))
    assert len(pages) > 10
    for page in pages:
        assert commands(page.read_text(encoding="utf-8")), page


def test_the_command_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    """What theory and preview print is read whole, however narrow the terminal, and leaves no picture behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(subprocess, "Popen", warm.popen)
    styles = "preview bss/digits_casts --set data.limit=256"
    _, looked, _ = sslrun(*styles.split(), "--out", str(tmp_path / "sheet.png"))
    (tmp_path / "sheet.png").unlink()
    _, foretold, _ = sslrun("theory", "--p0", "0.5")
    kept = f"```\n$ sslrun {styles}\n{looked.partition('what a')[1]}{looked.partition('what a')[2]}\n"
    (tmp_path / "page.md").write_text(f"{kept}$ sslrun theory --p0 0.5\n{foretold}```\n")
    monkeypatch.setenv("COLUMNS", "60")
    code, said, _ = sslrun("verify", "page.md")
    assert code == 0 and said.count("numbers the same") == 2 and "differ" not in said, said
    assert " ".join(said.split()).endswith(
        "2 tables compared; sentences and tables that no command prints are not compared with anything"
    )
    assert not list(tmp_path.glob("*.png"))
    changed = (tmp_path / "page.md").read_text().replace("chance", "choice", 1)
    (tmp_path / "page.md").write_text(changed)
    code, said, _ = sslrun("verify", "page.md")
    assert code == 1 and "no such line here" in " ".join(said.split()), said
    assert "numbers the same, 1 differs" in said


def test_the_same_numbers_are_the_same_and_others_are_named(kept: str) -> None:
    printed = list(tables(kept))
    assert len(printed) == 2
    same, alone, _ = compare(list(tables(HEAD + kept)), printed)
    assert [one.differing for one in same] == [[], []] and not alone
    assert same[0].same >= 8 and same[1].same >= 3
    mean = next(cell for cell in printed[0].rows[0] if cell.startswith("0.947"))
    changed, _, _ = compare(list(tables(kept.replace(mean, mean.replace("0.947", "0.949"), 1))), printed)
    (line,) = [line for one in changed for line in one.differing]
    assert "directpred, knn: 0.949" in line and "0.947" in line and "(apart by 0.002" in line


def test_a_table_made_by_hand_is_not_checked_and_one_left_out_is_named(kept: str) -> None:
    mine = "### By hand\n\n| what | n |\n| --- | --- |\n| a | 1 |\n\n"
    printed = list(tables(kept))
    found, alone, unkept = compare(list(tables(mine + kept)), printed)
    assert len(found) == 2 and [table.title for table in alone] == ["By hand"] and not unkept
    heading = f"### {printed[1].title}\n"
    below = list(tables(kept.replace(heading, f"{heading}{mine.partition(chr(10))[2]}")))
    found, alone, _ = compare(below, printed)
    assert [one.differing for one in found] == [[], []] and [table.header for table in alone] == [("what", "n")]
    _, alone, unkept = compare(printed[:1], printed)
    assert (alone, unkept) == ([], printed[1:])


def test_rows_and_columns_that_are_others_are_named(kept: str) -> None:
    results, versus = tables(kept)
    gone, other = results.rows
    numbers = other[1:]
    changed = replace(results, rows=((other[0], "0.999", *numbers[1:]),))
    found, alone, _ = compare([changed, versus], [results, versus])
    assert not alone and found[0].same == 0 and not found[1].differing
    assert found[0].differing == [
        f"{', '.join(changed.rows[0])}: there, no such row here",
        f"{', '.join(gone)}: here, no such row there",
        f"{', '.join(other)}: here, no such row there",
    ]
    more = replace(results, rows=(*results.rows, ("magic", *numbers)))
    (found_more,) = compare([more], [results])[0]
    assert found_more.same > 8 and found_more.differing == [f"magic, {', '.join(numbers)}: there, no such row here"]
    (found_twice,) = compare([replace(results, rows=(*results.rows, other))], [results])[0]
    assert found_twice.differing == ["3 rows there, 2 here"]
    narrow = replace(results, header=results.header[:2], rows=tuple(row[:2] for row in results.rows))
    (found_narrow,) = compare([results], [narrow])[0]
    assert found_narrow.differing == [
        f"columns: {', '.join(results.header)} there, {', '.join(results.header[:2])} here"
    ]


def test_a_page_names_no_place_to_write_to() -> None:
    line = "report 'my results' --grid g --out=a.md --map m.png --live l.html --metric knn --out b.md"
    page = f"```\nsslrun {line}\nsslrun pretrain r --fresh --results elsewhere --set seed=1\n```\n"
    report, pretrain = commands(page)
    assert report.harmless == ["report", "my results", "--grid", "g", "--metric", "knn"]
    assert pretrain.harmless == ["pretrain", "r", "--set", "seed=1"]
    assert (report.folder, pretrain.folder) == ("my results", "elsewhere")
    assert commands("```\nsslrun report --grid g\n```\n")[0].folder is None


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
    (tmp_path / "both.md").write_text(f"{LOST}{text.replace('tiny', 'other')}{text}{printed}")
    code, said, _ = sslrun("verify", "both.md", "--results", "r", "--no-runs")
    missing = [line for line in said.splitlines() if line.startswith("not checked: ")]
    assert code == 2 and "numbers the same" in said and "2 tables compared" in said, said
    assert missing == [
        "not checked: sslrun theory --run lost: no run 'lost' in r",
        "not checked: sslrun report results/ --grid other: no grid 'other' here",
    ]
    (tmp_path / "both.md").write_text(f"{LOST}{text}{printed.replace('| on |', '| up |')}")
    code, said, _ = sslrun("verify", "both.md", "--results", "r", "--no-runs")
    assert code == 1 and "not checked: sslrun theory --run lost" in said, said
    (tmp_path / "p.png").write_bytes(b"\x89PNG")
    # As `report r --out own.md --map p.png` writes it, in a folder of results of its own: nothing is written again.
    own = "```\nsslrun sweep --grid tiny.yaml --results r\nsslrun report r --grid tiny --out own.md --map p.png\n```\n"
    (tmp_path / "own.md").write_text(own + printed)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    code, said, err = sslrun("verify", "own.md", "--no-runs")
    assert code == 0 and "numbers the same" in said and "differ" not in said, said + err
    (cut,) = [line for line in printed.splitlines() if line.startswith("| off |")][:1]
    (tmp_path / "own.md").write_text((own + printed).replace(f"{cut}\n", "", 1))
    code, said, _ = sslrun("verify", "own.md", "--no-runs")
    assert code == 1 and "here, no such row there" in said, said
    assert {path for path in tmp_path.iterdir() if path.is_file()} == set(before)
    assert all(path.read_bytes() == kept for path, kept in before.items() if path.name != "own.md")
    assert "p.png: is no text" in sslrun("verify", "p.png")[2]
