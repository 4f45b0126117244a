"""The commands about this machine: bench and doctor."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ResultsOption,
    SetOption,
    command,
    echo_json,
    path_option,
    read,
)
from sslrun.errors import InputError

RecipeArgument = Annotated[
    str | None, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")
]


@command("machine")
def bench(
    recipe: RecipeArgument = None,
    only: Annotated[
        str,
        typer.Option(
            "--only", help="step, views, style, rule, parts, limit, graph, jobs, devices; several with commas, or all."
        ),
    ] = "all",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each is measured, in turn.")] = 5,
    batch: Annotated[
        int | None, typer.Option("--batch", min=2, help="Images per batch [128; for steps on a CPU 32].")
    ] = None,
    changes: SetOption = [],  # noqa: B006
    data: DataOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    out: Annotated[Path | None, path_option("--out", "Write the report to this file too, as JSON.")] = None,
) -> None:
    """Measure the speed of step, views, style and predictor rule against plain references, taking turns.

    It also measures how near a step comes to the device's own rate for matrices (limit), how long its parts take
    (parts), what a CUDA graph gains (graph), and how fast 2 and 4 jobs on one GPU (jobs) or 2 processes on one CPU
    (devices) are. Without a recipe it takes shipped ones, on stand-in images. On a CPU it uses one thread.

    Example: sslrun bench --only step,limit
    """
    from sslrun import bench as benching
    from sslrun.files import write_json
    from sslrun.jobs import choose_device, places
    from sslrun.recipe import read_recipe
    from sslrun.sweeps.mps import shared

    kinds = list(benching.KINDS) if only == "all" else only.split(",")
    if not set(kinds) <= set(benching.KINDS):
        raise InputError(
            f"{only} can't be measured", where="--only", remedy=f"Choose among {', '.join(benching.KINDS)}."
        )
    plan = None if recipe is None else read_recipe(recipe, changes)
    place = choose_device(device or (plan.run.device if plan else "auto"))
    step_batch = batch or (32 if place.type == "cpu" else 128)  # minutes on a slow processor
    settings = benching.Settings(place, rounds=rounds, batch=batch or 128, step_batch=step_batch)
    one = None if plan is None else benching.subject(plan, places(plan, None, data).data, settings)
    images = "the recipe's own images" if one is not None and one.own else "stand-in images"
    rows = []
    if not as_json:
        for line in benching.caption(settings, images):
            console.say(line)
    for kind in kinds:
        with shared() if kind == "jobs" and place.type == "cuda" else nullcontext():
            (part,) = benching.measure([kind], settings, one, changes)
        rows += part
        if part and not as_json:
            header, cells = benching.table(part)
            console.say()
            console.table(cells, header=header)
    report = benching.as_json(rows, settings, images)
    if as_json:
        echo_json(report)
    if out is not None:
        write_json(out, report)


@command("machine")
def doctor(
    recipe: RecipeArgument = None,
    changes: SetOption = [],  # noqa: B006
    results: ResultsOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what this machine has and lacks; with a recipe, also whether its images are there and would fit.

    Exits with 2 if a recipe's images are not all there.

    Example: sslrun doctor imagenette_directpred
    """
    from sslrun.doctor import examine, fit, fit_lines, machine_lines
    from sslrun.jobs import places
    from sslrun.jobs.places import folders

    plan = None if recipe is None else read(recipe, changes, device)
    found = examine(*folders(plan, results, data))
    fitted = None if plan is None else fit(plan, places(plan, results, data).data)
    if as_json:
        report = found if fitted is None else found | {"recipe": fitted}
        echo_json(report)
    else:
        for label, text in [*machine_lines(found), *(fit_lines(fitted) if fitted else [])]:
            console.say(f"{label:<14}   {text}")
    if fitted is not None and not fitted["data"]["ready"]:
        raise typer.Exit(2)
