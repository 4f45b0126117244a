"""The commands that take what runs have learned elsewhere: embed, export-logs."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.complete import run_names
from sslrun.cli.options import (
    DataOption,
    DeviceOption,
    ImportOption,
    ResultsOption,
    RunArgument,
    command,
    path_option,
    results_folder,
    run_folder,
)
from sslrun.errors import InputError


@command("run")
def embed(
    run: RunArgument,
    pictures: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Any pictures, at any depth [the run's training images].")
    ] = None,
    out: Annotated[Path | None, path_option("--out", "The table of features: a parquet, npz or csv file.")] = None,
    sheet: Annotated[Path | None, path_option("--sheet", "Pictures with their nearest neighbours: a png file.")] = None,
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    imports: ImportOption = [],  # noqa: B006
) -> None:
    """Write the features that a run's encoder computes from pictures, and draw some with their nearest neighbours.

    Example: sslrun embed pictures ~/photos --out features.parquet
    """
    if out is None and sheet is None:
        raise InputError("there is nothing to write", where="embed", remedy="Name --out FILE, --sheet FILE, or both.")
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise InputError("a sheet of pictures is written as .png", where=str(sheet), remedy=f"--sheet {sheet.stem}.png")
    folder = run_folder(run, results)
    from sslrun.jobs import embedding
    from sslrun.paths import user_path
    from sslrun.recipe.plugins import load_all
    from sslrun.runs.verdict import COLLAPSES, WORDS

    with suppress(InputError):  # a folder that was copied in part may lack its status
        if (verdict := folder.status.verdict) in COLLAPSES:
            console.error(
                f"warning: {folder.path.name} ended in {WORDS[verdict]}: its features may say little of the pictures"
            )
    load_all(imports)
    if out is not None:
        embedding.check_format(out)
    wanted = None if pictures is None else user_path(pictures, "FOLDER")
    place, both = device or "auto", sheet is not None
    with console.counting("picture") as watch:
        found = embedding.embed(folder, wanted, data=data, device=place, before=both, watch=watch)
    if out is not None:
        embedding.write_features(found, out)
        count, dim = found.features.shape
        console.say(f"{count:,} pictures, {dim} features each, written to {out}")
    if sheet is not None:
        embedding.neighbour_sheet(found, sheet)
        console.say(f"drawn to {sheet}")


@command("look")
def export_logs(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Runs [all].", autocompletion=run_names)
    ] = None,
    to: Annotated[str, typer.Option("--to", help="tensorboard, wandb, trackio, csv, hub, or a plug-in's.")] = "csv",
    grid: Annotated[str | None, typer.Option("--grid", help="Only the runs of this grid (name or file).")] = None,
    out: Annotated[Path | None, path_option("--out", "The folder to write to [logs/TRACKER].")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep writing while runs go on; Ctrl-C ends it.")] = False,
    results: ResultsOption = None,
    imports: ImportOption = [],  # noqa: B006
) -> None:
    """Write runs' logs for another program: an experiment tracker, a table, a model hub. Nothing is sent anywhere.

    It reads what runs have kept, while they train or long after. What it wrote of a run before is replaced.

    Example: sslrun export-logs --to tensorboard --follow
    """
    from sslrun.recipe.plugins import load_all

    load_all(imports)  # they may bring trackers
    from sslrun.trackers.telling import tell, told_runs
    from sslrun.trackers.told import choose

    if runs and grid is not None:
        raise InputError("name runs, or a grid", where="--grid")
    tracker, target, place = choose(to), out or Path("logs") / to, results_folder(results)
    chosen = [run_folder(run, results) for run in dict.fromkeys(runs or ())]
    damaged: dict[str, str] = {}
    runs_now = partial(told_runs, place, chosen, grid, damaged)
    try:
        count = tell(runs_now, tracker.begin, target, follow=follow, say=console.say)
    finally:
        for name, why in damaged.items():
            console.say(f"{name}   left out: {why}")
    console.say(f"{count} run{'s' * (count != 1)} written for {to}, in {target}")
