"""The commands that take what a run has learned elsewhere: embed."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.options import DataOption, DeviceOption, ResultsOption, RunArgument, command, path_option, run_folder
from sslrun.errors import InputError


@command("run")
def embed(
    run: RunArgument,
    pictures: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Any pictures, at any depth [the run's training images].")
    ] = None,
    out: Annotated[Path | None, path_option("--out", "The table of features: a parquet, npz or csv file.")] = None,
    sheet: Annotated[Path | None, path_option("--sheet", "A picture of nearest neighbours: a png file.")] = None,
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
) -> None:
    """Write the features that a run's encoder gives pictures, and draw which ones it finds alike.

    Example: sslrun embed pictures ~/photos --out features.parquet
    """
    if out is None and sheet is None:
        raise InputError("there is nothing to write", where="embed", remedy="Name --out FILE, --sheet FILE, or both.")
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise InputError("a sheet of pictures is written as .png", where=str(sheet), remedy=f"--sheet {sheet.stem}.png")
    folder = run_folder(run, results)
    from sslrun.jobs import embedding
    from sslrun.paths import user_path

    if out is not None:
        embedding.check_format(out)
    with ExitStack() as stack:
        lines: list[console.Live] = []

        def watch(done: int, total: int) -> None:
            if not lines:
                lines.append(stack.enter_context(console.progress("picture", total)))
            lines[0].update(done)

        wanted = None if pictures is None else user_path(pictures, "FOLDER")
        found = embedding.embed(folder, wanted, data=data, device=device or "auto", watch=watch)
    if out is not None:
        embedding.write_features(found, out)
        count, dim = found.features.shape
        console.say(f"{count:,} pictures, {dim} features each, written to {out}")
    if sheet is not None:
        embedding.neighbour_sheet(found, sheet)
        console.say(f"drawn to {sheet}")
