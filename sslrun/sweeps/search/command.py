"""One `sslrun sweep` of a grid with a `search` block: show what it takes, do it, show the best and how to do it again.

`trials` is the work itself; `sslrun.sweeps.session` is the same for grids of axes.
"""

import shlex

from optuna.trial import FrozenTrial

from sslrun import console
from sslrun.errors import InputError, Interrupted, RunFailed
from sslrun.grids import Grid
from sslrun.grids.space import Space
from sslrun.recipe.shipped import shipped
from sslrun.runs.records import State
from sslrun.sweeps.plan import Entry, estimate, renamed
from sslrun.sweeps.search.study import REASON
from sslrun.sweeps.search.trials import Trials, label
from sslrun.sweeps.session import Options, Session, opened

_SHOWN = 5


def search(grid: Grid, space: Space, options: Options, *, start: bool) -> None:
    """Print the plan of a search; if `start`, carry it out and print its best trials.

    Raises `InputError` for options that searches don't have, `Interrupted` if stopped on the way, and `RunFailed` if
    no trial came to an end.
    """
    if options.only or options.retry:
        given = "--only" if options.only else "--retry"
        raise InputError("is for grids of axes; this one is a search", where=given, remedy="A search asks by itself.")
    with opened(grid, options, start=start) as session:
        trials = Trials(grid, space, session.results, session.data, session.engine.run_options)
        console.say(_plan(trials, session))
        if not start:
            return
        sweep = session.work(feed=trials)
        _show_best(trials)
        if sweep.stops and trials.open:
            raise Interrupted("stopped", remedy="The same command goes on.")


def _plan(trials: Trials, session: Session) -> str:
    """What there is to do and what it takes; sets how much of it is done now."""
    block, options, job, runs = trials.space.search, session.options, trials.example[0], len(trials.space.seeds)
    seconds, cost = session.costs.left(job, None), session.costs.of(job)
    trials.seconds = seconds or 0.0
    if options.limit is not None:
        trials.most = options.limit // runs
    if options.budget is not None and seconds:
        trials.most = min(trials.most, options.budget // (runs * seconds * session.costs.devices))

    found = trials.counts
    wanted = " and ".join(f"{way} {name}" for name, way in block.objectives.items())
    over = f"over {len(block.fields)} options ({block.sampler})"
    count = int(min(trials.most, found["under way"] + found["to come"])) * runs
    entry = Entry(job, State.MISSING, True, seconds, cost.size if cost else 0)
    return "\n".join(
        [
            f"{trials.name}   {block.trials} trials: {wanted} {over}",
            *renamed(trials.grid.record_name, trials.name),
            " · ".join(f"{count} {word}" for word, count in found.items() if count),
            *estimate([entry] * count, session.engine, session.costs),
        ]
    )


def _show_best(trials: Trials) -> None:
    """The best trials as a table, and the commands that do them again."""
    best = trials.study.best()
    if not best:
        if reasons := {one.user_attrs[REASON] for one in trials.study.trials() if REASON in one.user_attrs}:
            raise RunFailed("no trial came to an end", remedy="\n".join(sorted(reasons)))
        return
    objectives, fields = trials.space.search.objectives, trials.space.search.fields
    rows = []
    for trial in best[:_SHOWN]:
        point = trials.study.point(trial)
        names = " ".join(folder.path.name for folder in trials.runs(trial))
        values = [f"{value:.4g}" for value in trial.values]
        rows.append([str(trial.number), *values, *(label(point[name]) for name in fields), names])
    console.say()
    console.table(rows, header=["trial", *objectives, *fields, "run"])
    console.say()
    for trial in best[: 1 if len(objectives) == 1 else _SHOWN]:
        console.say(f"trial {trial.number} again   {command(trials, trial)}")


def command(trials: Trials, trial: FrozenTrial) -> str:
    """The command that does a trial's first run, without the grid."""
    base = trials.space.base.spot(()).value.source
    name = next((name for name, path in shipped().items() if str(path) == base), base)
    settings = [*trials.space.settings(trials.study.point(trial)), f"seed={trials.space.seeds[0]}"]
    return shlex.join(["sslrun", "pretrain", name, *(part for text in settings for part in ("--set", text))])
