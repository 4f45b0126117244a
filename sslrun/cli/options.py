"""What several commands take and do alike: their arguments and options, and how a recipe is read from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, name, or the beginning of either.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change one field, e.g. training.epochs=3.")
]
ImportOption = Annotated[
    list[str], typer.Option("--import", metavar="PLUGIN", help="Load this module, or this .py file, with its kinds.")
]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="Results folder [SSLRUN_RESULTS, or results].")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder [SSLRUN_DATA, or data].")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps or auto.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def read(name: str, changes: list[str], device: str | None = None, imports: Sequence[str] = ()) -> "Recipe":
    """The recipe of that path or name, with its changes and with plug-ins beside its own."""
    from sslrun.recipe import read_recipe

    return read_recipe(name, [*changes, *([f"run.device={device}"] if device else [])], imports=imports)


def results_folder(given: Path | None) -> Path:
    """--results, else SSLRUN_RESULTS, else `results`."""
    from sslrun.runs import folder

    return folder.results_folder(given)
