"""verify: the commands of a kept table, run again, each as a process of its own: what its reports and looks print."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.options import DataOption, ResultsOption, command, results_folder
from sslrun.errors import InputError, Interrupted
from sslrun.report import verifying
from sslrun.report.verifying import LOOKS, REPORTS, RUNS, Asked, Compared

_WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}
"""A line that a page keeps is one line, however wide."""


@command("look")
def verify(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="A kept table: markdown with its commands.")],
    results: ResultsOption = None,
    data: DataOption = None,
    no_runs: Annotated[bool, typer.Option("--no-runs", help="Start no runs: use those that are there.")] = False,
) -> None:
    """Run the commands that a kept table says it was made with, and say which of its numbers come out again.

    Runs that are there are used as they are.

    Example: sslrun verify results/tables/casts.md
    """
    from sslrun.runs.environment import environment

    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError("is no text: a table is kept as markdown with its commands", where=str(table)) from None
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror or error}", where=str(table)) from None
    asked = verifying.commands(text)
    here = {"Python" if name == "python" else name: said for name, said in environment().items()}
    for name, there in verifying.versions(text).items():
        if here.get(name) not in (there, None):
            console.say(f"made with {name} {there}, here is {here[name]}: last digits may differ")
    console.say(f"this machine: {here['cpu']}")
    now, looked, missing = printed(asked, _verified(results, asked), data, runs=not no_runs)
    found, alone, unkept = verifying.compare(list(verifying.tables(text)), list(verifying.tables(now)))
    found += looked
    for one in found:
        differ = f", {len(one.differing)} differ{'s' * (len(one.differing) == 1)}" if one.differing else ""
        console.say(f"{one.title}: {one.same} numbers the same{differ}", style="yellow" if differ else "")
        for line in one.differing:
            console.say(f"  {line}")
    for other in alone:
        console.say(f"{other.title or ', '.join(other.header)}: no command prints such a table, not checked")
    for other in unkept:
        console.say(f"{other.title or ', '.join(other.header)}: printed, but not on the page")
    for why in missing:
        console.say(f"not checked: {why}", style="yellow")
    if not found and not missing:
        raise InputError("none of its tables is printed by its commands", where=str(table))
    tables = f"{len(found)} table{'s' * (len(found) != 1)} compared"
    console.say(f"{tables}; sentences and tables that no command prints are not compared with anything")
    raise typer.Exit(1 if any(one.differing for one in found) else 2 if missing else 0)


def _verified(given: Path | None, asked: Sequence[Asked]) -> Path:
    """The results folder: that of the page, if none is given and it is here."""
    named = next((Path(one.folder) for one in asked if one.folder), None)
    if given is None and "SSLRUN_RESULTS" not in os.environ and named is not None and named.is_dir():
        return results_folder(named)
    return results_folder(given)


def printed(
    commands: Sequence[Asked], results: Path, data: Path | None, *, runs: bool
) -> tuple[str, list[Compared], list[str]]:
    """The markdown that the reports among `commands` print of `results`, after the runs (found done, or done now; left
    alone unless `runs`); what the other commands print against the lines kept of it; and the commands that failed,
    with the reason. Nothing is written but runs."""
    texts, looked, failed, missing = [], [], [], False
    given = ["--data", str(data)] if data else []

    def told(asked: Asked, arguments: Sequence[str], *, quiet: bool = True) -> str | None:
        nonlocal missing
        done = _sslrun(arguments, quiet=quiet)
        if done.returncode == Interrupted.exit_code:
            raise typer.Exit(done.returncode)
        said = (done.stderr or "").rstrip()
        if not done.returncode:
            if said:
                console.error(said)
            return done.stdout or ""
        failed.append(f"{asked.said}: {said.partition(chr(10))[0] or f'exit code {done.returncode}'}")
        if done.returncode == InputError.exit_code and not runs:
            missing = True
        elif said:
            console.error(said)
        return None

    for one in commands:
        words = one.harmless
        if words[0] in RUNS and runs:
            console.say(one.said, style="bold")
            told(one, [*words, "--results", str(results), *given], quiet=False)
        elif words[0] in REPORTS:
            options = [word for at, word in enumerate(words[1:]) if word != "--json" and (at or word.startswith("-"))]
            text = told(one, ["report", str(results), *options, "--format", "markdown"])
            texts += [] if text is None else [text]
        elif words[0] in LOOKS and one.lines:
            with tempfile.TemporaryDirectory() as drawn:
                own = {"preview": [*given, "--out", f"{drawn}/sheet.png"], "theory": ["--results", str(results)]}
                text = told(one, [*words, *own[words[0]]])
                looked += [] if text is None else [verifying.compare_lines(one, text)]
    if missing:
        console.error(f"--no-runs looks at what is in {results} alone; without it these would run:")
        console.error("\n".join(f"  {one.said}" for one in commands if one.words[0] in RUNS))
    return "\n".join(texts), looked, failed


def _sslrun(arguments: Sequence[str], *, quiet: bool = False) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sslrun", *arguments],
        capture_output=quiet,
        env=os.environ | (_WIDE if quiet else {}),
        text=True,
        check=False,
    )
