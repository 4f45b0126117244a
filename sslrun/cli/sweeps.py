"""The commands about many runs under way: sweep, status, logs, clean."""

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
    only: Annotated[list[str], typer.Option("--only", metavar="AXIS=LABEL", help="Only these cells.")] = [],  # noqa: B006
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many runs now.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="At most so much device time now, e.g. 6h.")] = None,
    small: Annotated[bool, typer.Option("--small", help="With the grid's own `small` options: a trial.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Jobs at once on each device; on a GPU at most so many.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads a job.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do runs that failed before again.")] = False,
    devices_per_job: Annotated[
        int | None, typer.Option("--devices-per-job", min=1, help="Devices of a job, with a process on each [1].")
    ] = None,
    hang_after: Annotated[
        str | None, typer.Option("--hang-after", help="End a job that shows no life for so long [30m].")
    ] = None,
    stop_on_failure: Annotated[bool, typer.Option("--stop-on-failure", help="Stop when a run is given up.")] = False,
    slurm: Annotated[
        Path | None, path_option("--slurm", "Submit the runs to Slurm, as this file says, and end.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow submitted runs until all are done.")] = False,
    note: NoteOption = None,
    tags: TagOption = [],  # noqa: B006
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
) -> None:
    """Do all cells of a grid, or the trials of its search. The same command again goes on; two at once share the work.

    Under --small and --set the cells are others: reports know them by another name, which the plan says.

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
            console.say(f"next:\n  sslrun {next_one} {session.results}{of}")


@command("sweep")
def status(
    named: ResultsArgument = None,
    tags: TaggedOption = [],  # noqa: B006
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where the runs and sweeps of a results folder stand, from anywhere.

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
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows, until Ctrl-C.")] = False,
    results: ResultsOption = None,
) -> None:
    """Print the end of a run's log.

    Example: sslrun logs quickstart --follow
    """

    folder = run_folder(run, results)
    for line in folder.last_lines(lines):
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

    carry_out(removals(results_folder(results), failed=failed, checkpoints=checkpoints), yes)
