"""What a person reads fits the terminal: no line wider, no word broken, commands to copy whole, on their own lines."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from report.synthetic_runs import make_run
from test_install import commands
from tiny import small

from sslrun.folding import listed, table_lines, wrapped

Run = Callable[..., tuple[int, str, str]]
WIDTHS = (60, 80, 160)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    for seed in range(2):
        make_run(folder / "r", seed, knn=0.95 + seed / 100)
        make_run(folder / "r", seed, "method.predictor={kind: linear}", knn=(0.92, 0.97)[seed])
    make_run(folder / "r", 3, "training.batch_size=16", state="failed", reason="its loss was not finite " * 9)
    return folder


READ: list[list[str]] = [
    ["report", "r", "--baseline", "predictor=linear"],
    ["compare", "A", "B", "--results", "r"],
    ["status", "r"],
    ["recipes"],
    ["doctor"],
    ["explain", "quickstart", "linear_theory"],
    ["pretrain", "quickstart", "--set", "method.predictor.epsilom=1"],
    *([*command, "--help"] for command in [[], *commands()]),
]


@pytest.mark.parametrize("arguments", READ, ids=" ".join)
def test_what_is_read_fits(arguments: list[str], runs: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    names = sorted(path.name for path in (runs / "r").iterdir())
    arguments = [{"A": names[0], "B": names[1]}.get(word, word) for word in arguments]
    _, *wide = sslrun(*arguments)
    words = {word for text in wide for word in text.split()}
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        for text in sslrun(*arguments)[1:]:
            too_wide = [line for line in text.splitlines() if len(line) > width]
            assert not too_wide
            if arguments[-1] != "--help":  # its indentation differs, and its usage line
                new = set(text.split()) - {f"{word}:" for word in words} - words
                assert not {word for word in new if not re.fullmatch(r"[\d.,]+", word)}  # free memory is another now


def test_a_run_fits_and_its_next_command_stands_alone(
    tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = sslrun("pretrain", "quickstart", "--results", "r", *small("training.epochs=1"))
    assert code == 0
    assert max(map(len, out.splitlines())) <= 60
    (run,) = (path.name for path in (tmp_path / "r").iterdir() if path.name.startswith("quickstart"))
    assert out.splitlines()[-1] == f"  sslrun plot r/{run}"


def test_a_table_folds_between_columns_and_keeps_those_that_tell_rows_apart() -> None:
    header = ["predictor", "ema", "knn", "interval", "linear", "interval"]
    rows = [["direct", "yes", "0.1", "1 to 2", "0.3", "5 to 6"], ["direct", "no", "0.2", "3 to 4", "0.4", "7 to 8"]]
    whole = [line for line, _ in table_lines(rows, header, None)]
    assert whole[1] == "direct      yes   0.1     1 to 2      0.3     5 to 6"
    assert [line for line, _ in table_lines(rows, header, 40)] == [
        "predictor   ema   knn   interval",
        "direct      yes   0.1     1 to 2",
        "direct       no   0.2     3 to 4",
        "",
        "predictor   ema   linear   interval",
        "direct      yes      0.3     5 to 6",
        "direct       no      0.4     7 to 8",
    ]
    long = [["a", "many words about it all", ""], ["b", "more words", "1"]]
    assert [line for line, _ in table_lines(long, ["run", "reason", "n"], 25)] == [
        *("run a", "  reason   many words", "           about it all"),
        *("run b", "  reason   more words", "  n        1"),
    ]
    told = [["a", "1", "2", "3", "many words about it all"], ["b", "4", "5", "6", "more words"]]
    assert [line for line, _ in table_lines(told, ["run", "n", "m", "k", "reason"], 25)] == [
        *("run   n   m   k", "a     1   2   3", "b     4   5   6", ""),
        *("run a", "  reason   many words", "           about it all", "run b", "  reason   more words"),
    ]
    alike = [[name, "the same long words", name * 9] for name in "abcd"]
    assert [line for line, _ in listed(alike, ["run", "reason", "word"], 1, 25)][:4] == [
        *("common to all", "  reason   the same long", "           words", "run a"),
    ]


def test_lines_break_between_words_and_commands_do_not_break() -> None:
    command = "  sslrun pretrain quickstart --set method.stop_gradient=false"
    assert wrapped(command, 20) == [command]
    assert wrapped("or fetch it: sslrun data check RECIPE --download", 30) == [
        "or fetch it:",
        "  sslrun data check RECIPE --download",
    ]
    assert wrapped("name   some words about it", 20) == ["name   some words", "       about it"]
    assert wrapped("results   /a/long/path, there", 20) == ["results", "  /a/long/path,", "  there"]
    assert wrapped("see `sslrun logs RUN` for it", 12) == ["see", "`sslrun logs RUN`", "for it"]
    assert wrapped("       │     ^^^ did you mean it?", 24) == ["       │     ^^^ did you", "       │     mean it?"]
    assert wrapped("14 │     epsilom: 0.1 and more than fits", 20) == ["14 │     epsilom: 0.1 and more than fits"]
