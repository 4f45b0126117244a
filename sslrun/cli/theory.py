"""The command that asks the theory: what becomes of a mode, the paper's figures, and the flow laid over a run."""

from pathlib import Path
from typing import Annotated

import typer

from sslrun import console
from sslrun.cli.options import JsonOption, OutOption, ResultsOption, SetOption, command, draw, echo_json, run_folder
from sslrun.errors import InputError


@command("theory")
def theory(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A recipe to take decay, rates and EMA from.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Compare the theory with this run.")] = None,
    figure: Annotated[
        int | None, typer.Option("--figure", help="Redraw the paper's figure 3, 4, 5, 7, 8, 9 or 10.")
    ] = None,
    phase: Annotated[
        str | None, typer.Option("--phase", help="Map outcomes over the start and one of: decay, ema.")
    ] = None,
    p0: Annotated[float | None, typer.Option("--p0", help="The predictor's eigenvalue at the start [0.2].")] = None,
    s0: Annotated[float | None, typer.Option("--s0", help="That of the features [on the invariant parabola].")] = None,
    tau0: Annotated[
        float, typer.Option("--tau0", help="Target network over online network at the start; without EMA always.")
    ] = 1.0,
    alpha_p: Annotated[
        float | None, typer.Option("--alpha-p", help="Predictor's over network's learning rate [1].")
    ] = None,
    eta: Annotated[float | None, typer.Option("--eta", help="Weight decay [0.04].")] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="EMA's over network's learning rate [no EMA].")] = None,
    sigma2: Annotated[float | None, typer.Option("--sigma2", help="Variance of the augmentation [0.0009].")] = None,
    changes: SetOption = [],  # noqa: B006
    out: OutOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a mode grows or collapses in DirectPred's theory, redraw the paper's figures, or compare a run.

    A mode is useful if its features end at a size above zero.

    Example: sslrun theory --p0 0.03 --eta 0.04
    """
    if sum(asked is not None for asked in (recipe or phase, run, figure)) > 1:
        raise InputError("ask for one thing: a recipe (with --phase or without), --run, or --figure", where="theory")
    numbers = {"--p0": p0, "--s0": s0, "--alpha-p": alpha_p, "--eta": eta, "--beta": beta, "--sigma2": sigma2}
    used = {name for name, value in numbers.items() if value is not None}
    used |= ({"--tau0"} if tau0 != 1.0 else set()) | ({"--set"} if changes else set())
    _nothing_idle(used, recipe, run, figure)
    if out is not None:
        _check_out(out, any(asked is not None for asked in (run, figure, phase)))
    if run is not None:
        _overlay(run, results, out, as_json)
        return
    if figure is not None:
        from sslrun.theory import figures

        draw(figures.draw(figure), out or Path(f"figure{figure}.png"), err=True)
        return
    from sslrun.theory.setting import P0, flags_setting, forecast, setting_of

    if recipe is not None:
        from sslrun.recipe import read_recipe

        for name, given in (("--alpha-p", alpha_p), ("--eta", eta), ("--beta", beta)):
            if given is not None:
                raise InputError(
                    "the recipe says it", where=name, remedy="Change the recipe with --set, or leave it out."
                )
        setting = setting_of(read_recipe(recipe, changes))
        needed = {*setting.starts(), *(["tau0"] if phase else [])}
        if idle := used & {f"--{name}" for name in ("p0", "s0", "tau0") if name not in needed}:
            raise InputError(f"changes nothing of what {recipe} foretells", where=min(idle), remedy="Leave it out.")
    else:
        setting = flags_setting(alpha_p, eta, beta)
    found = forecast(setting, p0=P0 if p0 is None else p0, s0=s0, tau0=tau0, sigma2=sigma2)
    if as_json:
        echo_json(found.numbers)
    elif phase is None:  # a map is of many starts, of which no single one is told
        console.say("\n".join(found.lines))
    if phase is not None:
        from sslrun.theory.figures import phase_figure

        flow, sigma2 = setting.flow, found.numbers["sigma2"]
        drawn = phase_figure(phase, alpha_p=flow.alpha_p, eta=flow.eta, beta=flow.beta, tau0=tau0, sigma2=sigma2)
        draw(drawn, out or Path(f"phase_{phase}.png"), err=True)


def _nothing_idle(given: set[str], recipe: str | None, run: str | None, figure: int | None) -> None:
    """Whether each option that is given changes something. Raises `InputError` naming one that doesn't."""
    idle = given if run is not None or figure is not None else given & {"--set"} if recipe is None else set()
    if idle:
        asked = f"--run {run}" if run is not None else f"--figure {figure}" if figure is not None else "no recipe"
        raise InputError(f"changes nothing with {asked}", where=min(idle), remedy="Leave it out.")


def _check_out(out: Path, drawn: bool) -> None:
    """Whether a figure can be written there, and there is one. Raises `InputError`."""
    from sslrun.drawing import check_suffix

    check_suffix(out)
    if not drawn:
        raise InputError("there is no figure to draw", where="--out", remedy="Ask for --figure, --phase or --run.")


def _overlay(run: str, results: Path | None, out: Path | None, as_json: bool) -> None:
    from sslrun.theory import overlay as laid

    found = laid.overlay(run_folder(run, results))
    if as_json:
        echo_json(laid.as_json(found))
    else:
        first, *rest = laid.closing(found)
        console.say(first)
        rows = laid.table(found)
        console.say()
        console.table(rows[1:], header=rows[0])
        console.say()
        for line in rest:
            console.say(line)
    if out is not None:
        from sslrun.theory.figures import overlay_figure

        draw(overlay_figure(found), out, err=True)
