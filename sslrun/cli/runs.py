"""The commands that make and judge runs: pretrain, evaluate, analyse."""

import sys
from inspect import Parameter, Signature
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sslrun import console
from sslrun.cli.complete import run_names
from sslrun.cli.help import Command
from sslrun.cli.options import (
    DataOption,
    DeviceOption,
    DevicesOption,
    ImportOption,
    JsonOption,
    NoteOption,
    OutOption,
    RecipeArgument,
    ResultsOption,
    RunArgument,
    SetOption,
    TagOption,
    command,
    draw,
    echo_json,
    noted,
    read,
    run_folder,
)

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet
    from sslrun.recipe.schema import Recipe
    from sslrun.runs.folder import RunFolder
    from sslrun.runs.records import EvaluationRecord

_KINDS = "sslrun.evaluations"
"""Where a command's context keeps the evaluations that its flags ask for."""


@command("run")
def pretrain(
    recipe: RecipeArgument,
    changes: SetOption = [],  # noqa: B006  # typer copies defaults
    imports: ImportOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    devices: DevicesOption = None,
    note: NoteOption = None,
    tags: TagOption = [],  # noqa: B006
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Set an old run aside under another name and start anew.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Pretrain one run, evaluate it, and say whether it collapsed. Given again, it resumes the run or shows it.

    On several devices it is the same run, with a part of every batch on each; so it is under torchrun or srun.

    Example: sslrun pretrain quickstart --set training.epochs=5
    """
    plan = read(recipe, [*changes, *noted(note, tags)], device, imports)
    import torch

    from sslrun.jobs import choose_device, follow_job, places, pretrain_job, processes
    from sslrun.jobs.screen import Screen
    from sslrun.jobs.threads import why_so_many
    from sslrun.report.summary import headline
    from sslrun.sweeps.costs import expected

    _launch(devices, plan)
    where, kind = places(plan, results, data), choose_device(plan.run.device).type

    def first_line(folder: "RunFolder", images: "ImageSet", start: int) -> str:
        threads = torch.get_num_threads() if kind == "cpu" else 0
        several = f"{group.size} × " if group.size > 1 else ""
        said = f"{threads} thread{'s' * (threads > 1)} ({why_so_many()})" if threads else ""
        line = headline(plan, folder, len(images), images.side, several + kind, said)
        known = expected(plan, where.results, kind, threads or None, group.size)
        if known is not None:
            train, judge = known.epoch * (plan.training.epochs - start), known.evaluation
            about = f"{console.span(train)} to train and {console.span(judge)} to judge"
            line += f"\nwill take about {about}, as runs like it did"
        else:
            line += "\nhow long it will take is said as it trains: no run like it is here to tell"
        return f"{line}\ngoing on after epoch {start}, with as many threads as it began with" if start else line

    with processes.joined(plan.run.device) as group:
        if not group.leads:
            follow_job(plan, where, group)
            return
        with Screen(plan, first_line, quiet=as_json or plan.run.verbosity == "quiet") as screen:
            folder, cells = pretrain_job(
                plan, where, fresh=fresh, begin=screen.begin, watch=screen.watch, say=screen.say, group=group
            )
    _show_run(folder, plan, cells, as_json)


class _Evaluate(Command):
    """Takes a flag for each evaluation that there is; the names of those that are set lie in the context's `meta`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Load plug-ins first: theirs have flags too."""
        from sslrun.recipe.plugins import load_all

        words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--import=") else [arg])]
        load_all(name for flag, name in pairwise(words) if flag == "--import")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        from sslrun.recipe.schema import Evaluation
        from sslrun.recipe.schema.base import defined
        from sslrun.recipe.schema.judging import EvaluationSection

        def flag(name: str) -> Any:
            def note(wanted: bool) -> None:
                if wanted:
                    ctx.meta.setdefault(_KINDS, []).append(name)

            about, text = f"--{name.replace('_', '-')}", Evaluation.model_fields[name].description
            return Annotated[bool, typer.Option(about, help=text, callback=note, expose_value=False)]

        def flags() -> None: ...

        found = {section.NAME: flag(section.NAME) for section in defined(EvaluationSection)}
        flags.__annotations__ = found
        flags.__signature__ = Signature(  # type: ignore[attr-defined]
            [Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=of) for name, of in found.items()]
        )
        alone = typer.Typer(add_completion=False)
        alone.command(add_help_option=False)(flags)
        return [*typer.main.get_command(alone).params, *super().get_params(ctx)]


@command("run", cls=_Evaluate)
def evaluate(
    context: typer.Context,
    run: RunArgument,
    at: Annotated[int | None, typer.Option("--at", help="Judge the encoder kept after this epoch [the last].")] = None,
    changes: SetOption = [],  # noqa: B006
    imports: ImportOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    devices: DevicesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a finished run's encoder, without pretraining again. What has been evaluated before is only shown.

    Without an evaluation's name it does those that the recipe asks for.

    Example: sslrun evaluate quickstart --knn
    """
    from sslrun.jobs import processes
    from sslrun.jobs.evaluating import asking_recipe, evaluate_by

    folder = run_folder(run, results)
    kinds = context.meta.get(_KINDS, ())
    recipe = asking_recipe(folder, kinds, changes, device, imports)
    _launch(devices, recipe)
    with processes.joined(recipe.run.device) as group:
        cells = evaluate_by(recipe, folder, kinds, at=at, data=data, group=group)
    if group.leads:
        _show_run(folder, recipe, cells, as_json)


def _launch(devices: str | None, recipe: "Recipe") -> None:
    """If `--devices` asks for several: run this command in so many processes, and exit as they do."""
    from sslrun.jobs import choose_device, processes

    if devices is not None and processes.place() is None:
        count = processes.how_many(devices, choose_device(recipe.run.device).type)
        if count > 1:
            raise typer.Exit(processes.launch(count, sys.argv[1:]))


@command("run")
def analyse(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Runs on the same data.", autocompletion=run_names)],
    at: Annotated[int | None, typer.Option("--at", help="Use the encoders kept after this epoch [the last].")] = None,
    out: OutOption = None,
    changes: SetOption = [],  # noqa: B006  # typer copies defaults
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare how much the features of runs tell of the domains, and how hard the negatives were.

    Example: sslrun analyse pacs-none pacs-bss
    """
    from sslrun.drawing import check_suffix
    from sslrun.jobs.analysing import analyse_runs, planes, style_of
    from sslrun.report import purity_tables
    from sslrun.report.formats import show_table

    if out is not None:
        check_suffix(out)
    folders = [run_folder(run, results) for run in dict.fromkeys(runs)]
    cells = analyse_runs(folders, changes, at=at, data=data, device=device)
    found = [
        purity_tables.Analysed(
            folder.path.name, cell.metrics, folder.history.read(), folder.record.recipe["network"]["weights"]
        )
        for folder, cell in zip(folders, cells, strict=True)
    ]
    if as_json:
        echo_json(purity_tables.as_json(found, at))
    else:
        for table in purity_tables.tables(found):
            show_table(table)
        style_of(folders[0], data).show(f"what a style can do here, by the views of {folders[0].path.name}")
    if out is not None:
        from sslrun.report.purity_figure import MOST_PLANES, plot
        from sslrun.report.summary import starting

        shown = folders[: MOST_PLANES - 1]
        drawn = planes(shown, changes, at=at, data=data, device=device)
        titles = [*(folder.path.name for folder in shown), starting(found[0].weights)]
        draw(plot(found, list(zip(titles, drawn, strict=True))), out, err=as_json)


def _show_run(folder: "RunFolder", recipe: "Recipe", cells: "list[EvaluationRecord]", as_json: bool) -> None:
    """The end of a run: one table, the verdict with its evidence, the folder, the next command."""
    from sslrun.report import summary

    if as_json:
        echo_json(summary.as_json(folder, cells))
        return
    weights = recipe.network.weights
    with console.logging_to(folder.log):
        console.say()
        for rows in (summary.scores(cells, weights), summary.unseen(cells, weights)):
            if rows:
                console.table(rows[1:], header=rows[0])
                console.say()
        if not recipe.judged() and recipe.data.HOLDS == "images":
            console.say(f"what it finds alike   sslrun embed {folder.path} --sheet neighbours.png")
        for line in summary.closing(folder, cells, weights):
            console.say(line)
