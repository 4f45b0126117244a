"""The commands that read what runs left behind: report, plot, compare, export."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslrun import console
from sslrun.cli.options import (
    ImportOption,
    JsonOption,
    OutOption,
    ResultsArgument,
    ResultsOption,
    RunArgument,
    TaggedOption,
    as_given,
    command,
    draw,
    echo_json,
    names_in,
    path_option,
    results_folder,
    run_folder,
)
from sslrun.errors import InputError
from sslrun.report.formats import FORMATS, TERMINAL, choose, show, show_entries, show_table

if TYPE_CHECKING:
    from sslrun.report.claims import Claim
    from sslrun.report.document import Document


@command("look")
def report(
    context: typer.Context,
    named: ResultsArgument = None,
    grid: Annotated[str | None, typer.Option("--grid", help="Only the cells of this grid (name or file).")] = None,
    tags: TaggedOption = [],  # noqa: B006
    where: Annotated[list[str], typer.Option("--where", metavar="AXIS=LABEL", help="Only runs with these.")] = [],  # noqa: B006
    rows: Annotated[list[str], typer.Option("--rows", metavar="AXES", help="Axes down the side [all].")] = [],  # noqa: B006
    columns: Annotated[list[str], typer.Option("--columns", metavar="AXES", help="Axes along the top.")] = [],  # noqa: B006
    mean: Annotated[list[str], typer.Option("--mean", metavar="AXES", help="Axes to average over in each seed.")] = [],  # noqa: B006
    metric: Annotated[list[str], typer.Option("--metric", metavar="NAMES", help="knn, linear, std, ...")] = [],  # noqa: B006
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="AXIS=LABEL", help="What to compare with, seed by seed [the grid's own]."),
    ] = None,
    slope: Annotated[
        str | None,
        typer.Option(
            "--slope", metavar="AXIS", help="How metrics change with each doubling of this axis, e.g. batch_size."
        ),
    ] = None,
    effects: Annotated[
        bool, typer.Option("--effects", help="What each axis does given the others, in place of comparisons.")
    ] = False,
    drawn: Annotated[
        Path | None, path_option("--map", "Draw the conditions to this file as a map, coloured by the first metric.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)} [--out's suffix, else text].")
    ] = None,
    out: Annotated[
        Path | None,
        path_option("--out", "Write the report to this file; a png, svg or pdf has the first metric drawn."),
    ] = None,
    live: Annotated[
        Path | None, path_option("--live", "Write an HTML page again and again while runs go on; it reloads itself.")
    ] = None,
    without_collapsed: Annotated[
        bool, typer.Option("--without-collapsed", help="Leave collapsed runs out of the means.")
    ] = False,
    other_data: Annotated[
        bool, typer.Option("--other-data", help="Compare with the papers' numbers on other data too.")
    ] = False,
    results: ResultsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    imports: ImportOption = [],  # noqa: B006
) -> None:
    """Put all runs of a results folder into tables: means over seeds, intervals, comparisons with a baseline.

    Options that take several axes or metrics may be repeated, or have commas between them.

    Example: sslrun report --grid ablations_digits --columns ema
    """
    from sslrun.drawing import SUFFIXES, check_suffix
    from sslrun.files import write_text
    from sslrun.recipe.plugins import load_all
    from sslrun.report.collecting import collect
    from sslrun.report.document import build

    load_all(imports)  # they may bring formats
    given = "json" if as_json else format_
    picture = given is None and out is not None and out.suffix.lower() in SUFFIXES
    chosen = TERMINAL if picture else choose(given, out)
    if drawn is not None:
        check_suffix(drawn)
    if effects and (picture or chosen == "csv"):
        others = ", ".join(name for name in FORMATS if name not in ("csv", TERMINAL))
        raise InputError("a figure or csv has no effects in it", where="--effects", remedy=f"--format: {others}.")

    folder = results_folder(results, named)

    def look() -> "Document":
        return build(
            collect(folder, grid, tags=tags),
            where=where,
            rows=names_in(rows),
            columns=names_in(columns),
            mean=names_in(mean),
            metrics=names_in(metric),
            baseline=baseline,
            slope=slope,
            without_collapsed=without_collapsed,
            other_data=other_data,
            effects=effects,
        )

    if live is not None:
        from sslrun.report.page import keep_live

        console.say(f"{live.resolve().as_uri()} is rewritten while runs go on; Ctrl-C ends it")
        keep_live(live, folder, look, grid, tags)
        return
    document = look()
    if chosen == "csv" and len(document.comparisons):
        others = ", ".join(name for name in FORMATS if name not in ("csv", TERMINAL))
        console.error(f"csv holds the means alone; other formats have the differences from the baseline: {others}")
    if drawn is not None:
        from sslrun.report.charts import draw_map

        axes = document.results.axes
        across = [document.results.axis(name) for name in names_in(columns)] or list(axes[len(axes) // 2 :])
        along = [axis for axis in axes if axis not in across]
        draw(draw_map(document.results, document.metrics[0], along, across), drawn, err=True)
    if out is not None and picture:
        from sslrun.report.charts import dots, names_of
        from sslrun.report.tables import values

        if (figure := dots(document.results, document.metrics[0], without_collapsed)) is None:
            raise InputError(f"no run that is done has {document.metrics[0]}", where=str(folder))
        draw(figure, out)
        found = values(document.results, document.metrics[0], without_collapsed)
        if bare := [name for labels, name in names_of(document.results).items() if not found[labels]]:
            console.error(f"not drawn, as no run has {document.metrics[0]}: {'; '.join(bare)}")
    elif out is not None:
        again = as_given(context, but=("out", "drawn", "format_", "as_json"))
        write_text(out, FORMATS[chosen].write(replace(document, command=again)))
        other = "" if FORMATS[chosen].suffix == out.suffix.lower() else f", as {chosen}"
        console.say(f"written to {out}{other}")
    elif chosen == TERMINAL:
        show(document)
    else:
        console.write(FORMATS[chosen].write(document))


@command("look")
def claims(
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="Only claims, or grids, with all of these.")] = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """List what the papers claim, with their numbers, and which shipped grids test each of them.

    Example: sslrun claims "Table 3"
    """
    from sslrun.report.claim_list import claim_table
    from sslrun.report.claims import read_claims

    every = read_claims()
    texts = [f"{claim.setting} {claim.paper}, {claim.table} {claim.value}" for claim in every]
    wanted = _with(words, every, texts)
    if not wanted:  # then by the grids
        wanted = _with(words, every, [" ".join(cell.text for cell in row) for row in claim_table(every).rows])
    if not wanted:
        raise InputError(f"no claim has {' and '.join(map(repr, words))} in it", remedy="All of them:\nsslrun claims")
    table = claim_table(wanted)
    echo_json(table.as_json()) if as_json else show_entries(table)


def _with(words: Sequence[str], claims: Sequence["Claim"], texts: Sequence[str]) -> list["Claim"]:
    pairs = zip(claims, texts, strict=True)
    return [claim for claim, text in pairs if all(word.lower() in text.lower() for word in words)]


@command("look")
def plot(run: RunArgument, out: OutOption = None, results: ResultsOption = None) -> None:
    """Draw a run, finished or not: loss, signals of collapse, spectrum, alignment, the predictor's eigenvalues.

    Example: sslrun plot quickstart --out quickstart.svg
    """
    from sslrun.drawing import check_suffix
    from sslrun.report.plots import plot_run

    folder = run_folder(run, results)
    path = check_suffix(out or Path(f"{folder.path.name}.png"))
    draw(plot_run(folder), path)
    if damage := folder.history.damage() or folder.last_row(folder.status)[1]:
        typer.echo(f"drawn up to {': '.join(damage)}", err=True)


@command("look")
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run, as its folder or name.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another run.")],
    out: OutOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs: what differs in their recipes and in their outcomes; with --out also their curves.

    Example: sslrun compare quickstart-3f9a quickstart-77b2
    """
    from sslrun.report import compare as comparing

    a, b = (run_folder(run, results) for run in (run_a, run_b))
    tables = comparing.compare(a, b, whole=as_json)
    if as_json:
        echo_json([table.as_json() for table in tables])
    else:
        for table in tables:
            show_table(table)
    if out is not None:
        from sslrun.report.plots import plot_two

        draw(plot_two(a, b), out, err=as_json)


@command("run")
def export(
    run: RunArgument,
    to: Annotated[str, typer.Option("--to", help="safetensors, torchvision, timm or onnx.")],
    out: Annotated[Path | None, path_option("--out", "The file to write [named as the run].")] = None,
    results: ResultsOption = None,
    imports: ImportOption = [],  # noqa: B006
) -> None:
    """Write a run's encoder for other programs, and print the Python that loads it and feeds it a picture.

    Example: sslrun export stl10_directpred --to torchvision
    """
    from sslrun.jobs.exporting import export as export_encoder
    from sslrun.jobs.exporting import feeding, loading_here
    from sslrun.recipe.plugins import load_all
    from sslrun.runs.records import State
    from sslrun.runs.verdict import NONE, WORDS

    load_all(imports)
    folder = run_folder(run, results)
    path, lines = export_encoder(folder, to, out)
    with suppress(InputError):  # a run without a readable status has an encoder all the same
        if folder.status.state == State.COLLAPSED:
            console.error(f"{folder.path.name} ended in {WORDS[folder.status.verdict or NONE]}: `sslrun show {run}`")
    console.say(f"written to {path}\n")
    code = [lines]
    if see := feeding(folder, to):
        code.append(f"# a picture as it was trained to see them:\n{see}")
    if "sslrun.load_encoder" not in lines:
        code.append(loading_here(folder, to))
    console.write("\n\n".join(code) + "\n")  # not said: to be copied, a line stays whole
