"""The commands about many runs under way: sweep, status, logs, clean."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.complete import grid_names
from sslrun.cli.folders import carry_out
from sslrun.cli.options import (
    DataOption,
    DeviceOption,
    ImportOption,
    JsonOption,
    NoteOption,
    ResultsArgument,
    ResultsOption,
    RunArgument,
    SetOption,
    TaggedOption,
    TagOption,
    command,
    echo_json,
    noted,
    path_option,
    results_folder,
    run_folder,
    seconds,
)


@command("sweep")
def sweep(
    grid: Annotated[
        str,
        typer.Option("--grid", help="A grid file, or the name of a shipped one.", autocompletion=grid_names),
    ],
    plan: Annotated[bool, typer.Option("--plan", help="Show what there is to do and its cost; start nothing.")] = False,
    only: Annotated[list[str], typer.Option("--only", metavar="AXIS=LABEL", help="Only cells with this label.")] = [],  # noqa: B006
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Do at most so many runs now [all].")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="At most so much device time now, e.g. 6h.")] = None,
    small: Annotated[bool, typer.Option("--small", help="A trial: with the grid's own `small` options.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Most jobs at once on each device [as cores allow; 1 on a GPU]."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each job [the recipe's, else 1 to 4].")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run again what failed before.")] = False,
    devices_per_job: Annotated[
        int | None, typer.Option("--devices-per-job", min=1, help="Devices of each job, one process on each [1].")
    ] = None,
    hang_after: Annotated[
        str | None, typer.Option("--hang-after", help="End a job that made no progress for so long [30m].")
    ] = None,
    stop_on_failure: Annotated[
        bool, typer.Option("--stop-on-failure", help="Stop when a run is given up as failed.")
    ] = False,
    slurm: Annotated[
        Path | None, path_option("--slurm", "Submit the runs to Slurm, as this YAML file says, and exit.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="With --slurm: follow the runs until all are done.")] = False,
    note: NoteOption = None,
    tags: TagOption = [],  # noqa: B006
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
) -> None:
    """Run the cells of a grid, or the trials of its search. Given again, it does what is left; two at once share it.

    With --small or --set the cells are other runs, which reports list under another grid's name: --plan says which.

    Example: sslrun sweep --grid ablations_digits --plan
    """
    from sslrun.grids import read_grid
    from sslrun.grids.engines import Local, read_slurm

    longest = seconds(hang_after, "--hang-after") if hang_after else None
    most = seconds(budget, "--budget") if budget else None
    cells = read_grid(grid, [*changes, *noted(note, tags)], small=small, imports=imports)
    engine = read_slurm(slurm) if slurm is not None else None
    from sslrun.sweeps.warming import warm_up

    if not plan and isinstance(engine or cells.file.engine, Local):
        warm_up(threads or cells.cells[0].recipe.run.threads or 1)  # while this process imports the rest
    from sslrun.sweeps.session import Options, carry_out, planned

    options = Options(
        *(results, data, device, jobs, threads, tuple(only), limit, most, retry, longest, stop_on_failure),
        devices_per_job=devices_per_job,
        engine=engine,
        watch=watch,
    )
    if cells.space is not None:
        from sslrun.sweeps.search.command import search

        search(cells, cells.space, options, start=not plan)
        return
    with planned(cells, options, start=not plan) as (todo, session):
        console.say(todo.text())
        if plan:
            header, rows = todo.conditions()
            console.say()
            console.table(rows, header)
        else:
            carry_out(todo, session)
            next_one = "status" if session.hands_over else "report"
            of = "" if session.hands_over else f" --grid {todo.name}"
            console.say(f"next:\n  sslrun {next_one} {shlex.quote(str(session.results))}{of}")


@command("sweep")
def status(
    named: ResultsArgument = None,
    tags: TaggedOption = [],  # noqa: B006
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far the runs and sweeps of a results folder are, whichever machine they run on.

    A run that is done ended without collapse; a cell is unjudged whose run ended and lacks an evaluation asked for.

    Example: sslrun status results
    """
    from sslrun.runs.status import overview
    from sslrun.sweeps.slurm.standing import standing

    folder = results_folder(results, named)
    jobs = standing(folder)
    found = overview(folder, tags, jobs.queued if jobs else None)
    said = jobs.lines if jobs else []
    echo_json({**found.as_json(), "queue": said}) if as_json else console.say("\n".join([*found.lines(), *said]))


@command("look")
def logs(
    run: RunArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines, from the end.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print what is added, until Ctrl-C.")] = False,
    results: ResultsOption = None,
) -> None:
    """Print the end of a run's log.

    Example: sslrun logs quickstart --follow
    """

    folder = run_folder(run, results)
    last = folder.last_lines(lines)
    for line in last or [
        f"{folder.path.name} has no log: nothing was said of it yet, or it was run where none is kept"
    ]:
        console.say(line)
    if follow:
        for text in folder.follow_log():
            console.write(text)
            if getattr(sys.stdout, "unread", False):
                return


@command("run")
def clean(
    failed: Annotated[bool, typer.Option("--failed", help="Failed runs too.")] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Checkpoints of finished runs too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    results: ResultsOption = None,
) -> None:
    """List what can go (runs set aside by --fresh, left-over temporary files), ask, and remove just that.

    Example: sslrun clean --checkpoints
    """
    from sslrun.runs.cleaning import removals

    folder = results_folder(results)
    listed = removals(folder, failed=failed, checkpoints=checkpoints)
    count = 0 if failed else len(removals(folder, failed=True, checkpoints=checkpoints)) - len(listed)
    if count:
        console.say(f"{count} failed run{'s' * (count > 1)} not listed: add --failed")
    carry_out(listed, yes)
