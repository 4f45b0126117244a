"""The commands about recipes and their data: show, schema, explain, recipes, preview, data check."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslrun import console
from sslrun.cli.complete import recipe_or_run_names
from sslrun.cli.help import Command, Commands
from sslrun.cli.options import (
    DataOption,
    ImportOption,
    JsonOption,
    RecipeArgument,
    ResultsOption,
    SetOption,
    app,
    command,
    echo_json,
    path_option,
    read,
    run_folder,
)
from sslrun.errors import InputError, RecipeError
from sslrun.paths import user_path

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe
    from sslrun.runs.folder import RunFolder

data_app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check which of a recipe's data are here.",
)
app.add_typer(data_app, name="data", rich_help_panel="recipe")

_EITHER = "A recipe's file or name; else a run's folder, name, or the beginning of either."
MOST_IN_FULL = 4
"""Of more kinds than these, `schema` says only what each is."""


@command("recipe")
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help=_EITHER, autocompletion=recipe_or_run_names)],
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
) -> None:
    """Print a recipe, or a run's as it was run, with every field resolved, and its identity.

    The identity of a recipe is the one that its run would have on the data found here.

    Example: sslrun show quickstart --set training.epochs=3
    """
    from sslrun.errors import DataError
    from sslrun.recipe import to_yaml
    from sslrun.runs.notes import notes_of

    plan, run = _recipe_or_run(recipe, results, changes, imports)
    if run is not None:  # what it keeps has none of what may be said of it at any time
        noted = notes_of(run)
        plan = plan.model_copy(update={"run": plan.run.model_copy(update={"note": noted.note, "tags": noted.tags})})
    console.write(to_yaml(plan))
    if run is not None and not changes:
        console.say(f"# identity: {run.identity}")
        return
    from sslrun.jobs import identify, places

    try:
        console.say(f"# identity: {identify(plan, places(plan, None, data).data)}")
    except DataError as error:
        console.say(f"# identity: not known without the data ({error.what})")


@command("recipe")
def schema(
    section: Annotated[
        str | None, typer.Argument(metavar="SECTION", help="A section, kind or option, e.g. method.predictor; or grid.")
    ] = None,
    imports: ImportOption = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; without a section, the JSON Schema.")] = False,
) -> None:
    """Explain what a recipe or a grid may hold: each option, its default, what is allowed, what it means.

    Without a section it lists the sections. With --import it explains the kinds of plug-ins too.

    Example: sslrun schema views.style
    """
    from sslrun.grids.schema import GridFile
    from sslrun.recipe import json_schema
    from sslrun.recipe.manual import HEADER, manual, sections_of
    from sslrun.recipe.plugins import load_all
    from sslrun.recipe.schema import Recipe

    load_all(imports)
    whole, _, below = (section or "").partition(".")
    root, path = (GridFile, below) if whole == "grid" else (Recipe, section or "")
    if as_json and not path:
        echo_json(json_schema() if root is Recipe else GridFile.model_json_schema())
        return
    if as_json:
        entries = manual(root, path)
        options = [[dict(zip(HEADER, row, strict=True)) for row in entry.rows] for entry in entries]
        echo_json([vars(entry) | {"rows": rows} for entry, rows in zip(entries, options, strict=True)])
        return
    if section is None:
        rows = [*sections_of(Recipe).items(), ("grid", "A grid file: " + " ".join((GridFile.__doc__ or "").split()))]
        for name, about in rows:
            console.say(f"{name:{max(len(name) for name, _ in rows)}}   {about}")
        console.say("\nOne of them in full:\n  sslrun schema views.style")
        return
    entries = manual(root, path)
    for entry in entries:
        console.say(entry.title, style="bold")
        console.say(f"{entry.about}\n")
        if entry.rows and len(entries) <= MOST_IN_FULL:
            console.entries(entry.rows, HEADER)
            console.say()
    if len(entries) > MOST_IN_FULL:
        console.say(f"One of them in full:\n  sslrun schema {section}.{entries[-1].title.rpartition(' ')[2]}")


@command("recipe")
def explain(
    a: Annotated[str, typer.Argument(metavar="A", help=_EITHER, autocompletion=recipe_or_run_names)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another recipe or run.", autocompletion=recipe_or_run_names)],
    results: ResultsOption = None,
    imports: ImportOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Say whether two runs or recipes are the same science (would have the same numbers), and what differs.

    Example: sslrun explain cifar10_directpred stl10_directpred
    """
    from sslrun.recipe.explain import Comparison
    from sslrun.recipe.explain import explain as compare
    from sslrun.recipe.plugins import load_all
    from sslrun.report.compare import differences, plugins_since  # of runs more is known

    load_all(imports)

    (ours, run_a), (theirs, run_b) = (_recipe_or_run(name, results) for name in (a, b))
    if run_a is not None and run_b is not None:
        comparison = Comparison(tuple(differences(run_a, run_b)))
    else:
        of_b = plugins_since(ours, run_b) if run_b is not None else []
        of_a = [replace(one, a=one.b, b=one.a) for one in plugins_since(theirs, run_a)] if run_a is not None else []
        comparison = Comparison((*compare(ours, theirs).differences, *of_a, *of_b))
    if as_json:
        rows = [vars(difference) for difference in comparison.differences]
        echo_json({"same_science": comparison.same_science, "differences": rows})
    else:
        console.say(comparison.text())


def _recipe_or_run(
    text: str, results: Path | None, changes: Sequence[str] = (), imports: Sequence[str] = ()
) -> "tuple[Recipe, RunFolder | None]":
    """A recipe by path or name; else a run, with the recipe that it kept. Raises `InputError` if it is neither."""
    from sslrun.recipe import read_recipe
    from sslrun.recipe.shipped import shipped

    if user_path(text, "RUN or RECIPE").is_file() or text in shipped():
        return read_recipe(text, changes, imports=imports), None
    try:
        run = run_folder(text, results)
    except InputError as no_run:
        try:
            return read_recipe(text, changes, imports=imports), None
        except RecipeError as error:
            raise RecipeError(error.what, where=error.where, remedy=f"{error.remedy}\n{no_run}") from None
    return read_recipe(run.recipe, changes, imports=imports), run


@command("recipe")
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this one [list all].")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy NAME into the current folder instead.")] = False,
) -> None:
    """List the shipped recipes and grids, print one, or copy one to change it.

    Example: sslrun recipes stl10_directpred --copy
    """
    from sslrun.recipe.reading import locate
    from sslrun.recipe.shipped import about, shipped, shipped_grids

    if name is None:
        for found, use in (
            (shipped(), "recipes: sslrun pretrain NAME"),
            (shipped_grids(), "grids: sslrun sweep --grid NAME"),
        ):
            console.say(use, style="bold")
            widest = max(map(len, found))
            for known, path in found.items():
                console.say(f"{known:{widest}}   {about(path)}")
            console.say()
        return
    path = locate(name, {**shipped(), **shipped_grids()})
    text = path.read_text(encoding="utf-8")
    if not copy:
        console.write(text)
        return
    target = Path(path.name)
    if target.exists():
        raise InputError("is here already", where=str(target), remedy="Remove or rename it first.")
    target.write_text(text, encoding="utf-8")
    console.say(f"copied to {target}")


@command("recipe")
def preview(
    recipe: RecipeArgument,
    out: Annotated[Path, path_option("--out", "The PNG to write.")] = Path("preview.png"),
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    data: DataOption = None,
) -> None:
    """Draw a sheet of training images and the views made of them; with a style, also of what FA and BSS do to them.

    With a style, or several domains, it says what a style can do on these images, before anything is trained.

    Example: sslrun preview imagenette_directpred --out views.png
    """
    if out.suffix.lower() != ".png" and not out.is_dir():
        raise InputError("a sheet of pictures is written as .png", where=str(out), remedy=f"--out {out.stem}.png")
    plan = read(recipe, changes, imports=imports)
    from sslrun.evaluation.style_measures import measure_style
    from sslrun.jobs import places
    from sslrun.views.preview import preview_sheet, spread

    opened = places(plan, None, data).data
    preview_sheet(plan, opened.some("pretrain", spread), out)
    console.say(f"drawn to {out}")
    if plan.views.style.kind != "none" or plan.data.SEVERAL_DOMAINS:
        measure_style(plan, opened).show()


@data_app.command("check", cls=Command, rich_help_panel="recipe")
def data_check(
    recipe: RecipeArgument,
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    data: DataOption = None,
    download: Annotated[
        bool, typer.Option("--download", help="First download what is missing of STL-10 or CIFAR.")
    ] = False,
) -> None:
    """Say which of a recipe's data are there, what is missing or can't be read, and how to get it.

    Pictures in files are all decoded, as the first run will do.

    Example: sslrun data check cifar10_directpred --download
    """
    from sslrun.data.check import check
    from sslrun.jobs.places import places

    plan = read(recipe, changes, imports=imports)
    opened = places(plan, None, data).data
    if download:
        opened.download()
    with console.counting("picture") as watch:
        report = check(opened, plan, watch)
    console.say(report.text())
    if not report.ok:
        raise typer.Exit(2)
