"""What several commands take and do alike: their arguments and options, how a recipe or a run is found from them, and
how a result is printed or drawn. Each command registers with `app`.
"""

import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sslrun import console
from sslrun.cli.complete import recipe_names, run_names, tag_names
from sslrun.cli.help import Command, Commands
from sslrun.paths import user_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sslrun.recipe.schema import Recipe
    from sslrun.runs.folder import RunFolder

Function = TypeVar("Function", bound=Callable[..., Any])

app = typer.Typer(
    name="sslrun",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 160},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from sslrun import __version__

        console.say(f"sslrun {__version__}")
        raise typer.Exit


@app.callback()
def sslrun(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Self-supervised learning experiments: why does this not collapse, and which part makes it work?"""


def command(group: str, cls: type[Command] = Command) -> Callable[[Function], Function]:
    """Register a function as a command of one of `help.GROUPS`."""
    return app.command(cls=cls, rich_help_panel=group)


def path_option(name: str, text: str) -> Any:
    """An option that is a path."""

    def meant(value: Path | None) -> Path | None:
        return None if value is None else user_path(value, name)

    return typer.Option(name, help=text, callback=meant)


RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.", autocompletion=recipe_names),
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's folder, name, or the beginning of either.", autocompletion=run_names),
]


_HERE = re.compile(r"^(data\.path=)(\.\.?/.*)$|^(data=\{(?:[^{}]*,)?\s*path:\s*)(\.\.?/[^,{}]*)")


def _from_here(changes: list[str]) -> list[str]:
    """A data.path that begins with ./ or ../ is one below the current folder: recipes count from the data folder."""

    def whole(found: re.Match[str]) -> str:
        before, path = (found[1], found[2]) if found[1] else (found[3], found[4])
        return before + json.dumps(str(Path(path.strip()).resolve()), ensure_ascii=False)

    return [_HERE.sub(whole, each) for each in changes]


SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one option, e.g. training.epochs=3; may be repeated.",
        callback=_from_here,
    ),
]
DevicesOption = Annotated[
    str | None, typer.Option("--devices", metavar="N|all", help="Use so many devices, one process on each [1].")
]
ImportOption = Annotated[
    list[str],
    typer.Option("--import", metavar="PLUGIN", help="Load a plug-in: a module's name, or a .py file."),
]
NoteOption = Annotated[str | None, typer.Option("--note", help="What a reader should know of the run; kept with it.")]
TagOption = Annotated[list[str], typer.Option("--tag", metavar="WORD", help="A word to find it by; may be repeated.")]
TaggedOption = Annotated[
    list[str],
    typer.Option(
        "--tag", metavar="WORD", help="Only runs with this tag; repeated, with all of them.", autocompletion=tag_names
    ),
]
ResultsOption = Annotated[Path | None, path_option("--results", "Results folder [$SSLRUN_RESULTS, else results].")]
ResultsArgument = Annotated[Path | None, typer.Argument(metavar="RESULTS", help="The same as --results.")]
DataOption = Annotated[Path | None, path_option("--data", "Data folder [$SSLRUN_DATA, else data].")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps [the recipe's].")]
OutOption = Annotated[Path | None, path_option("--out", "The figure to draw: a png, svg or pdf file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\s*")


def seconds(text: str, option: str) -> float:
    """A length of time, `1h30m` as 5400.0. Raises `InputError` naming the option for anything else."""
    from sslrun.errors import InputError

    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip() or all(float(number) == 0 for number, _ in parts):
        raise InputError(f"{text!r} is not a length of time", where=option, remedy="Write 90s, 30m, 6h, 2d or 1h30m.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def read(name: str, changes: list[str], device: str | None = None, imports: Sequence[str] = ()) -> "Recipe":
    """The recipe of that path or name, with its changes and further plug-ins."""
    from sslrun.recipe import read_recipe
    from sslrun.recipe.combining import on_device

    return read_recipe(name, [*changes, *on_device(device)], imports=imports)


def noted(note: str | None, tags: Sequence[str]) -> list[str]:
    """A note and tags as changes of a recipe."""
    about = [f"run.note={json.dumps(note)}"] if note is not None else []
    return about + ([f"run.tags={json.dumps(list(tags))}"] if tags else [])


def as_given(context: typer.Context, but: Sequence[str]) -> str:
    """The running command as one types it again, without the parameters of the names `but`."""
    words = ["sslrun", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in but or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [] if parameter.param_type_name == "argument" else [max(parameter.opts, key=len)]
            words += [] if one is True else [str(one)]
    return shlex.join(words)


def names_in(given: Sequence[str]) -> list[str]:
    """The names in an option that may be repeated, or have commas between them."""
    return [name.strip() for entry in given for name in entry.split(",") if name.strip()]


def results_folder(given: Path | None, named: Path | None = None) -> Path:
    """--results, or the argument RESULTS of commands that have it, else SSLRUN_RESULTS, else `results`."""
    from sslrun.runs import folder

    if given is not None and named is not None and given != named:
        from sslrun.errors import InputError

        raise InputError(f"two results folders: {named} and {given}", where="--results", remedy="Name one.")
    return folder.results_folder(given or named)


def run_folder(run: str, results: Path | None) -> "RunFolder":
    """The run of that folder, name, or beginning of either."""
    from sslrun.runs.resolving import resolve

    return resolve(results_folder(results), run)


def echo_json(value: Any) -> None:
    """Print a result for programs."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    console.write(json.dumps(value, indent=2, ensure_ascii=not unicode) + "\n")


def draw(figure: "Figure", out: Path, *, err: bool = False) -> None:
    """Write a figure and say where, on stderr where stdout has a result."""
    from sslrun.drawing import save

    save(figure, out)
    (console.error if err else console.say)(f"drawn to {out}")
