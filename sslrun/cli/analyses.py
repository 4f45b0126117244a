"""The command that analyses what runs' features know of the domains: analyse."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sslrun.cli.options import DataOption, DeviceOption, JsonOption, ResultsOption, SetOption, results_folder

analysis_app = typer.Typer(rich_markup_mode=None)


@analysis_app.command()
def analyse(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs on the same data.")],
    at: Annotated[int | None, typer.Option("--at", help="Analyse the encoders kept after this epoch.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Draw a figure: a png, svg or pdf file.")] = None,
    changes: SetOption = [],  # noqa: B006  # typer copies defaults
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lay runs side by side in what their features know of the domains, and in how hard their negatives were.

    Example: sslrun analyse pacs-none pacs-bss --out purity.png
    """
    from sslrun.drawing import check_suffix
    from sslrun.jobs.analysing import analyse_runs, planes
    from sslrun.recipe import read_recipe
    from sslrun.report import analyses
    from sslrun.report.formats import show_table
    from sslrun.runs.resolving import resolve

    if out is not None:
        check_suffix(out)
    folders = [resolve(results_folder(results), run) for run in dict.fromkeys(runs)]
    cells = analyse_runs(folders, changes, at=at, data=data, device=device)
    found = [
        analyses.Analysed(
            folder.path.name, cell.metrics, folder.history.read(), read_recipe(folder.recipe).network.weights
        )
        for folder, cell in zip(folders, cells, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps(analyses.as_json(found, at), indent=2, ensure_ascii=False))
    else:
        for table in analyses.tables(found):
            show_table(table)
    if out is not None:
        from sslrun.drawing import save
        from sslrun.report.analyses_plot import MOST_PLANES, plot
        from sslrun.report.summary import starting

        shown = folders[: MOST_PLANES - 1]
        drawn = planes(shown, changes, at=at, data=data, device=device)
        titles = [*(folder.path.name for folder in shown), starting(found[0].weights)]
        save(plot(found, list(zip(titles, drawn, strict=True))), out)
        typer.echo(f"drawn to {out}", err=as_json)
