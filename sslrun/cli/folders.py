"""The commands about runs that are there: runs, metrics, note, cite, remove."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslrun import console
from sslrun.cli.complete import recipe_or_run_names, run_names
from sslrun.cli.options import (
    ImportOption,
    JsonOption,
    NoteOption,
    ResultsArgument,
    ResultsOption,
    RunArgument,
    TaggedOption,
    TagOption,
    command,
    echo_json,
    names_in,
    results_folder,
    run_folder,
)
from sslrun.errors import InputError
from sslrun.paths import user_path

if TYPE_CHECKING:
    from sslrun.runs.cleaning import Removal


@command("look")
def runs(
    named: ResultsArgument = None,
    metric: Annotated[
        list[str], typer.Option("--metric", metavar="NAMES", help="Columns to show [accuracies, std, rank].")
    ] = [],  # noqa: B006
    grid: Annotated[str | None, typer.Option("--grid", help="Only the runs of this grid (name or file).")] = None,
    tags: TaggedOption = [],  # noqa: B006
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all runs with their numbers, the newest first.

    Example: sslrun runs --metric knn --metric rank
    """
    from sslrun.report.formats import show_table
    from sslrun.report.listing import runs_table

    table, found = runs_table(results_folder(results, named), names_in(metric), tags, grid)
    if as_json:
        echo_json({**table.as_json(), "left_out": [list(pair) for pair in found.left_out]})
        return
    if table.rows:
        show_table(table)
    else:
        console.say(table.notes[0])
    for path, why in found.left_out:
        console.say(f"left out   {path}: {why}")


@command("look")
def metrics(
    pattern: Annotated[str | None, typer.Argument(metavar="PATTERN", help="knn, linear.*, hardness, ... [all]")] = None,
    imports: ImportOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Explain the columns of reports and tables, each in a sentence; with --import also those of plug-ins.

    Without a pattern it leaves out the options of recipes, which `sslrun schema` explains.

    Example: sslrun metrics hardness
    """
    from sslrun.recipe.plugins import load_all
    from sslrun.recipe.schema import Recipe
    from sslrun.report.meanings import columns, matching

    load_all(imports)
    options = tuple(f"{name}." for name in Recipe.model_fields)
    found = matching(pattern) if pattern else [pair for pair in columns() if not pair[0].startswith(options)]
    if not found:
        raise InputError(f"no column fits {pattern!r}", remedy="All of them:\nsslrun metrics")
    if as_json:
        echo_json(dict(found))
        return
    widest = min(max(len(name) for name, _ in found), 40)
    for name, text in found:
        console.say(f"{name:{widest}}   {text}")


@command("run")
def note(
    run: RunArgument,
    note: NoteOption = None,
    tags: TagOption = [],  # noqa: B006
    untag: Annotated[list[str], typer.Option("--untag", metavar="WORD", help="Take this tag off.")] = [],  # noqa: B006
    results: ResultsOption = None,
) -> None:
    """Put a note and tags on a run, as pretrain does with the same options, or show what is there.

    A note replaces the one before, and an empty one (--note "") removes it.

    Example: sslrun note quickstart --note "first try" --tag paper
    """
    from sslrun.runs.notes import annotate

    folder = run_folder(run, results)
    noted = annotate(folder, note, tags, untag)
    console.say(f"{folder.path.name}   {noted.note or 'no note'}")
    console.say(f"tags   {', '.join(noted.tags) or 'none'}")


@command("look")
def cite(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN|RECIPE", help="A run; else a recipe's name.", autocompletion=recipe_or_run_names),
    ],
    results: ResultsOption = None,
    imports: ImportOption = [],  # noqa: B006
) -> None:
    """Print BibTeX of what a run, or else a recipe, stands on: the papers of its parts, and this tool.

    Example: sslrun cite quickstart
    """
    from sslrun.recipe import read_recipe
    from sslrun.recipe.shipped import shipped
    from sslrun.report.citing import bibtex

    try:
        recipe = run_folder(run, results).recipe
    except InputError:
        if run not in shipped() and not user_path(run, "RUN or RECIPE").is_file():
            raise
        recipe = Path(run)
    console.write(bibtex(read_recipe(str(recipe), imports=imports)) + "\n")


@command("run")
def remove(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Names or folders of runs.", autocompletion=run_names)
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    results: ResultsOption = None,
) -> None:
    """Remove runs with all that is in their folders, after asking.

    A name that several runs have is refused: give more of it. A sweep that had the run as a cell runs it again.

    Example: sslrun remove quickstart-3f9a
    """
    from sslrun.runs.cleaning import removal
    from sslrun.runs.resolving import resolve

    folder = results_folder(results)
    found = {one.path: one for one in (resolve(folder, run, only=True) for run in runs)}
    carry_out([removal(one) for one in found.values()], yes, "run")


def carry_out(listed: "list[Removal]", yes: bool, what: str = "file or folder") -> None:
    """List what would go, each one a `what`, ask unless `yes`, and remove just that."""
    from sslrun.runs.cleaning import remove as remove_all

    for one in listed:
        console.say(f"{one.size / 1e6:10,.1f} MB   {one.path}   {one.why}")
    if not listed:
        console.say("nothing to remove")
    elif yes or typer.confirm(f"Remove these {len(listed)}?" if len(listed) > 1 else f"Remove this {what}?"):
        left = remove_all(listed)
        for path in left:
            console.say(f"left: {path} is in use again")
        gone = len(listed) - len(left)
        console.say(f"removed {gone} {what if gone == 1 else {'run': 'runs'}.get(what, 'files or folders')}")
