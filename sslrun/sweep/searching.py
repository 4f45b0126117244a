"""One `sslrun sweep` of a grid with a `search` block: show what it takes, do it, show the best and how to do it again.

`search` is the work itself; `session` is the same for grids of axes.
"""

import math
import shlex

from optuna.trial import FrozenTrial

from sslrun import console
from sslrun.errors import InputError, Interrupted, RunFailed
from sslrun.grids import Grid
from sslrun.grids.space import Space
from sslrun.recipe.shipped import shipped
from sslrun.runs.records import State
from sslrun.sweep.costs import earlier
from sslrun.sweep.plan import MEASURED, Entry, Plan, cost_of
from sslrun.sweep.pool import LocalPool
from sslrun.sweep.progress import Board, counts
from sslrun.sweep.scheduler import Sweep
from sslrun.sweep.search import Search, label
from sslrun.sweep.session import Options, measuring, opened
from sslrun.sweep.study import REASON

_SHOWN = 5


def search(grid: Grid, space: Space, options: Options, *, start: bool, stop_on_failure: bool = False) -> None:
    """Print the plan of a search; if `start`, carry it out and print its best trials.

    Raises `InputError` for options that searches don't have, `Interrupted` if stopped on the way, and `RunFailed` if
    no trial came to an end.
    """
    if options.only or options.retry:
        given = "--only" if options.only else "--retry"
        raise InputError("is for grids of axes; this one is a search", where=given, remedy="A search asks by itself.")
    with opened(grid, options, start=start) as pool:
        trials = Search(grid, space, pool.where.results, pool.where.data.root, pool.slots.operational)
        console.say(_plan(trials, pool, options))
        if not start:
            return
        with Board() as board:
            nothing = Plan(grid, (), pool.slots, "")
            sweep = Sweep(nothing, pool, board, trials.results, stop_on_failure=stop_on_failure, source=trials)
            sweep.run()
        console.say(counts(sweep))
        _show_best(trials)
        if sweep.stops and trials.open:
            raise Interrupted("stopped", remedy="The same command goes on.")


def _plan(trials: Search, pool: LocalPool, options: Options) -> str:
    """What there is to do and what it takes; sets how much of it is done now."""
    grid, block, costs = trials.grid, trials.space.search, earlier(trials.results)
    known, job = len(costs), trials.example[0]
    cost = cost_of(job, costs, measuring(grid, pool))
    trials.seconds = cost.epoch * job.recipes[0].training.epochs + cost.evaluation
    runs = len(trials.space.seeds)
    budget = math.inf if options.budget is None else options.budget // (runs * trials.seconds)
    trials.most = min(budget, math.inf if options.limit is None else options.limit // runs)

    found = trials.counts
    wanted = " and ".join(f"{way} {name}" for name, way in block.objectives.items())
    head = f"{grid.record_name}   {block.trials} trials: {wanted} over {len(block.fields)} options ({block.sampler})"
    count = int(min(trials.most, found["under way"] + found["to come"])) * runs
    entry = Entry(job, State.MISSING, True, trials.seconds, cost.size)
    how = "measured on earlier runs" if len(costs) == known else MEASURED
    bill = Plan(grid, (entry,) * count, pool.slots, how).bill()
    told = " · ".join(f"{count} {word}" for word, count in found.items() if count)
    return "\n".join([head, told, *bill])


def _show_best(trials: Search) -> None:
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


def command(trials: Search, trial: FrozenTrial) -> str:
    """The command that does a trial's first run, without the grid."""
    base = trials.space.base.spot(()).value.source
    name = next((name for name, path in shipped().items() if str(path) == base), base)
    settings = [*trials.space.settings(trials.study.point(trial)), f"seed={trials.space.seeds[0]}"]
    return shlex.join(["sslrun", "pretrain", name, *(part for text in settings for part in ("--set", text))])
