import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sslrun import console

TERMINAL = """
from sslrun import console
console.say("[bold] is text", style="bold")
with console.progress("epoch", 60, 20) as live:
    live.update(36.5, "loss 0.31")
    console.say("said meanwhile")
    live.update(60, "loss 0.25")
console.table([["this run", "0.970"]], ["", "kNN"])
"""


def on_a_terminal(code: str, **environment: str) -> str:
    """What `code` writes to a terminal of 90 columns."""
    parent, child = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "90", **environment}
    with subprocess.Popen([sys.executable, "-c", code], stdout=child, stderr=child, env=env) as process:
        os.close(child)
        written = b""
        try:
            while block := os.read(parent, 65536):
                written += block
        except OSError:  # the other end was closed
            pass
    os.close(parent)
    assert process.returncode == 0, written
    return written.decode()


def test_lines_and_tables_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a [bold]b[/bold] " + "x" * 200, style="bold green")
    console.table([["this run", "0.970", "0.9"], ["raw pixels √", "1", "0.95"]], header=["", "kNN", "linear"])
    console.table([])
    console.error("recipe.yaml:3:1: wrong")
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "a [bold]b[/bold] " + "x" * 200,
        "                 kNN   linear",
        "this run       0.970      0.9",
        "raw pixels √       1     0.95",
    ]
    assert err == "recipe.yaml:3:1: wrong\n"


def test_progress_without_a_terminal_is_a_line_now_and_then_and_the_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with console.progress("epoch", 10, start=2) as live:
        for step in range(81):
            live.update(2 + step / 10, f"loss {step}")
            clock[0] += 0.25
    # A quarter of a second a tenth of an epoch: 2.5 s an epoch, a line every 5 s.
    assert capsys.readouterr().out.splitlines() == [
        "epoch 2/10  loss 0",
        "epoch 4/10  loss 20  15s left",
        "epoch 6/10  loss 40  10s left",
        "epoch 8/10  loss 60  5s left",
        "epoch 10/10  loss 80",
    ]


def test_time_left_has_hours_and_starts_when_there_is_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with console.progress("epoch", 100) as live:
        assert live.left() == ""
        clock[0] = 3723 / 99
        live.update(1)
        assert live.left() == "1h 02m"


def test_what_is_said_is_kept_with_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "run" / "log.txt"
    for word in ("first", "second"):
        with console.logging_to(log):
            console.say(word)
            console.error("wrong\nhow")
            with console.progress("epoch", 2) as live:
                live.update(2, "loss 1")
    console.say("afterwards")
    lines = log.read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d "
    assert all(re.match(stamp, line) for line in lines)
    once = ["wrong", "how", "epoch 2/2  loss 1"]
    assert [re.sub(stamp, "", line) for line in lines] == ["first", *once, "second", *once]
    assert "afterwards" in capsys.readouterr().out


def test_on_a_terminal_there_is_one_live_line() -> None:
    written = on_a_terminal(TERMINAL, NO_COLOR="")
    assert "\x1b[1m[bold] is text" in written
    assert "epoch 37/60" in written
    assert "━" in written
    assert "\x1b[2K" in written  # the line is redrawn
    assert written.count("said meanwhile") == 1
    last = [line for line in re.split(r"[\r\n]", written) if "epoch 60/60" in line][-1]
    assert "loss 0.25" in last
    assert "left" not in last
    assert re.search(r"\x1b\[[39]\d", written)


def test_no_color_and_dumb_terminals_are_respected() -> None:
    without_colour = on_a_terminal(TERMINAL, NO_COLOR="1")
    assert "━" in without_colour
    assert not re.search(r"\x1b\[[39]\d", without_colour)
    dumb = on_a_terminal(TERMINAL, TERM="dumb")
    assert "\x1b" not in dumb
    assert "epoch 60/60  loss 0.25" in dumb


def test_rich_is_not_imported_before_it_is_needed() -> None:
    code = "import sys; from sslrun import console; console.say('a'); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a\nFalse\n"


STEERING = "\x1b[31mred\x1b]0;title\x07\u202edesrever\x9b2J\r\x00\u2028"


def test_what_steers_a_terminal_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(STEERING)
    console.error(STEERING)
    console.table([[STEERING, "a\nb"], ["x", "|"]], header=["h\x1b", ""])
    shown = r"\u001b[31mred\u001b]0;title\u0007\u202edesrever\u009b2J\u000d\u0000\u2028"
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == shown and err == f"{shown}\n"
    assert out.splitlines()[2].split() == [shown, "a", "b"]
    assert not set(out + err) & set(STEERING) - set(shown)
    assert console.visible("tabs\tand\nlines, é – 😀 stay") == "tabs\tand\nlines, é – 😀 stay"
