"""The commands: parse, call one function, print. Nothing heavy is imported before a command needs it."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sslrun.cli_machine import machine_app
from sslrun.cli_report import report_app
from sslrun.cli_theory import theory_app
from sslrun.errors import InputError, SslrunError

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe
    from sslrun.runs.folder import RunFolder

app = typer.Typer(
    name="sslrun",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Self-supervised learning experiments: why does this not collapse, and which part makes it work?",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The images on this machine.")
app.add_typer(data_app, name="data")
app.add_typer(machine_app)
app.add_typer(report_app)
app.add_typer(theory_app)

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, name, or the beginning of either.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change one field, e.g. training.epochs=3.")
]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="Results folder [SSLRUN_RESULTS, or results].")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder [SSLRUN_DATA, or data].")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps or auto.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Run a command; a designed error becomes its text and exit code, without a stack trace."""
    from sslrun import console

    try:
        if code := app(standalone_mode=False):  # what a command gave to typer.Exit
            sys.exit(code)
    except SslrunError as error:
        console.error(str(error))
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        console.error("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        show = getattr(error, "show", None)  # click's usage errors print themselves
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))


def _read(name: str, changes: list[str], device: str | None = None) -> "Recipe":
    from sslrun.recipe import read_recipe

    return read_recipe(name, [*changes, *([f"run.device={device}"] if device else [])])


def _results(given: Path | None) -> Path:
    return given or Path(os.environ.get("SSLRUN_RESULTS") or "results")


@app.command()
def pretrain(
    recipe: RecipeArgument,
    changes: SetOption = [],  # noqa: B006  # typer copies defaults
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Keep an old run under another name and start anew.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pretrain one run, evaluate it, and say whether it collapsed. The same command again goes on, or shows it.

    Example: sslrun pretrain quickstart --set method.stop_gradient=false
    """
    plan = _read(recipe, changes, device)
    from sslrun.jobs import choose_device, places, pretrain_job
    from sslrun.report.progress import Screen

    where = places(plan, results, data)
    quiet = as_json or plan.run.verbosity == "quiet"
    with Screen(plan, choose_device(plan.run.device).type, quiet) as screen:
        folder, cells = pretrain_job(plan, where, fresh=fresh, begin=screen.begin, watch=screen.watch, say=screen.say)
    _show_run(folder, cells, as_json)


@app.command()
def evaluate(
    run: RunArgument,
    knn: Annotated[bool, typer.Option("--knn", help="Nearest neighbours.")] = False,
    linear: Annotated[bool, typer.Option("--linear", help="The linear probe.")] = False,
    authors_probe: Annotated[bool, typer.Option("--authors-probe", help="The DirectPred code's probe.")] = False,
    at: Annotated[int | None, typer.Option("--at", help="Judge the encoder kept after this epoch.")] = None,
    changes: SetOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a finished run's frozen features, without pretraining again. Cells that exist are only shown.

    Example: sslrun evaluate quickstart --linear --knn --set evaluation.knn.k=20
    """
    from sslrun.jobs import evaluate_run
    from sslrun.runs.resolving import resolve

    asked = {"knn": knn, "linear": linear, "authors_probe": authors_probe}
    folder = resolve(_results(results), run)
    kinds = [kind for kind, wanted in asked.items() if wanted]
    _show_run(folder, evaluate_run(folder, kinds, changes, at=at, data=data, device=device), as_json)


def _show_run(folder: "RunFolder", cells: "list[dict[str, Any]]", as_json: bool) -> None:
    """The end of a run: one table, the verdict with its evidence, the folder, the next command."""
    from sslrun import console
    from sslrun.report import summary

    if as_json:
        typer.echo(json.dumps(summary.as_json(folder, cells), indent=2, ensure_ascii=False))
        return
    rows = summary.scores(cells)
    with console.logging_to(folder.log):
        console.say()
        if cells:
            console.table(rows[1:], header=rows[0])
            console.say()
        for line in summary.closing(folder, cells):
            console.say(line)


@app.command()
def show(recipe: RecipeArgument, changes: SetOption = [], data: DataOption = None) -> None:  # noqa: B006
    """Print a recipe with every field resolved, and its identity on the data found here.

    Example: sslrun show quickstart --set training.epochs=3
    """
    from sslrun.errors import DataError
    from sslrun.recipe import to_yaml

    plan = _read(recipe, changes)
    typer.echo(to_yaml(plan), nl=False)
    from sslrun.jobs import identify, places

    try:
        typer.echo(f"# identity: {identify(plan, places(plan, None, data).data)}")
    except DataError as error:
        typer.echo(f"# identity: not known without the data ({error.what})")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes: every field, its default and its meaning.

    Example: sslrun schema > recipe.schema.json
    """
    from sslrun.recipe import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command()
def explain(
    a: Annotated[str, typer.Argument(metavar="A", help="A run or a recipe.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why two runs or recipes are, or are not, the same science.

    Example: sslrun explain cifar10_directpred cifar10_directpred_paper
    """
    from sslrun.recipe.explain import explain as compare
    from sslrun.report.differences import differences_text

    comparison = compare(_recipe_or_run(a, results), _recipe_or_run(b, results))
    if as_json:
        rows = [vars(difference) for difference in comparison.differences]
        typer.echo(json.dumps({"same_science": comparison.same_science, "differences": rows}, indent=2))
    else:
        typer.echo(differences_text(comparison))


def _recipe_or_run(text: str, results: Path | None) -> "Recipe":
    """A recipe by path or name; else a run, whose kept recipe is read."""
    from sslrun.recipe import read_recipe
    from sslrun.recipe.shipped import shipped
    from sslrun.runs.resolving import resolve

    if Path(text).is_file() or text in shipped():
        return read_recipe(text)
    return read_recipe(resolve(_results(results), text).recipe)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy it into the current folder instead.")] = False,
) -> None:
    """List the shipped recipes and grids, print one, or copy one to change it.

    Example: sslrun recipes stl10_directpred --copy
    """
    from sslrun.recipe.reading import locate
    from sslrun.recipe.shipped import shipped, shipped_grids

    every = {**shipped(), **shipped_grids()}
    if name is None:
        for known, path in every.items():
            about = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            typer.echo(f"{known:28} {about}".rstrip("."))
        return
    path = locate(name, every)
    text = path.read_text(encoding="utf-8")
    if not copy:
        typer.echo(text, nl=False)
        return
    target = Path(path.name)
    if target.exists():
        raise InputError("is here already", where=str(target), remedy="Remove or rename it first.")
    target.write_text(text, encoding="utf-8")
    typer.echo(f"copied to {target}")


@app.command()
def preview(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", help="The PNG to write.")] = Path("preview.png"),
    changes: SetOption = [],  # noqa: B006
    data: DataOption = None,
) -> None:
    """Draw a sheet of training images and the views made of them.

    Example: sslrun preview imagenette_directpred --out views.png
    """
    plan = _read(recipe, changes)
    from sslrun.data.sources import load
    from sslrun.jobs import places
    from sslrun.views.sheet import preview_sheet

    images = load(plan.data, places(plan, None, data).data, "pretrain")
    preview_sheet(plan, images, out)
    typer.echo(f"drawn to {out}")


@data_app.command("check")
def data_check(
    recipe: RecipeArgument,
    changes: SetOption = [],  # noqa: B006
    data: DataOption = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch STL-10 or CIFAR first, by network.")
    ] = False,
) -> None:
    """Say what of a recipe's data is there, what is missing, and how to get it.

    Example: sslrun data check cifar10_directpred --download
    """
    from sslrun.data.check import check
    from sslrun.data.check import download as fetch
    from sslrun.jobs.places import places

    plan = _read(recipe, changes)
    root = places(plan, None, data).data
    if download:
        fetch(plan.data, root)
    report = check(plan.data, root)
    typer.echo(report.text())
    if not report.ok:
        raise typer.Exit(2)


@app.command()
def sweep(
    grid: Annotated[str, typer.Option("--grid", help="A grid file, or the name of a shipped one.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show what there is to do and its cost; start nothing.")] = False,
    only: Annotated[list[str], typer.Option("--only", metavar="AXIS=LABEL", help="Only these cells.")] = [],  # noqa: B006
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many runs now.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="At most so much device time now, e.g. 6h.")] = None,
    small: Annotated[bool, typer.Option("--small", help="With the grid's own `small` options: a trial.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Jobs at once on each device.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads a job.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do runs that failed before again.")] = False,
    hang_after: Annotated[str, typer.Option("--hang-after", help="End a job that shows no life for so long.")] = "30m",
    stop_on_failure: Annotated[bool, typer.Option("--stop-on-failure", help="Stop when a run is given up.")] = False,
    changes: SetOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
) -> None:
    """Do all cells of a grid. The same command again goes on; two at once share the work.

    Example: sslrun sweep --grid ablations_digits --plan
    """
    from sslrun import console
    from sslrun.recipe.grid import read_grid
    from sslrun.sweep.durations import seconds

    longest, most = seconds(hang_after, "--hang-after"), seconds(budget, "--budget") if budget else None
    cells = read_grid(grid, changes, small=small)
    from sslrun.sweep.session import Options, carry_out, planned

    options = Options(results, data, device, jobs, threads, tuple(only), limit, most, retry, longest)
    with planned(cells, options, soon=not plan) as (bill, pool):
        console.say(bill.text())
        if not plan:
            carry_out(bill, pool, stop_on_failure=stop_on_failure)
            console.say(f"next   sslrun report {pool.where.results}")


@app.command()
def status(
    results: Annotated[Path | None, typer.Argument(metavar="[RESULTS]", help="A results folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where the runs and sweeps of a results folder stand, from anywhere.

    Example: sslrun status results
    """
    from sslrun.report.status import overview

    found = overview(_results(results))
    typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False) if as_json else "\n".join(found.lines()))


@app.command()
def logs(
    run: RunArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows, until Ctrl-C.")] = False,
    results: ResultsOption = None,
) -> None:
    """Print the end of a run's log.

    Example: sslrun logs quickstart --follow
    """
    from sslrun.runs.resolving import resolve
    from sslrun.runs.standing import follow_log, last_lines

    folder = resolve(_results(results), run)
    for line in last_lines(folder, lines):
        typer.echo(line)
    if follow:
        for text in follow_log(folder):
            typer.echo(text, nl=False)


@app.command()
def clean(
    failed: Annotated[bool, typer.Option("--failed", help="Failed runs too.")] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Checkpoints of finished runs too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    results: ResultsOption = None,
) -> None:
    """List what can go (runs set aside by --fresh, left-over temporary files), ask, and remove just that.

    Example: sslrun clean --checkpoints
    """
    from sslrun.report.cleaning import removals, remove

    listed = removals(_results(results), failed=failed, checkpoints=checkpoints)
    for one in listed:
        typer.echo(f"{one.size / 1e6:10,.1f} MB   {one.path}   {one.why}")
    if not listed:
        typer.echo("nothing to remove")
    elif yes or typer.confirm(f"Remove these {len(listed)}?"):
        for path in remove(listed):
            typer.echo(f"left: {path} is at work again")
