"""One `sslrun sweep`: read the jobs, show the plan, do it, and say how it went."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sslrun import console
from sslrun.errors import Interrupted, RunFailed
from sslrun.grids import Cell, Grid
from sslrun.jobs import places
from sslrun.sweep.costs import Cost
from sslrun.sweep.plan import Plan, make_plan, select
from sslrun.sweep.pool import LocalPool
from sslrun.sweep.progress import Board, counts
from sslrun.sweep.scheduler import Sweep
from sslrun.sweep.slots import slots
from sslrun.sweep.work import Job, grid_record, jobs_of


@dataclass(frozen=True)
class Options:
    """What the command line says; see `sslrun sweep --help`."""

    results: Path | None = None
    data: Path | None = None
    device: str | None = None
    jobs: int | None = None
    threads: int | None = None
    only: tuple[str, ...] = ()
    limit: int | None = None
    budget: float | None = None
    retry: bool = False
    hang_after: float = 1800.0


@contextmanager
def opened(grid: Grid, options: Options, *, start: bool) -> Iterator[LocalPool]:
    """The pool that works on a grid; `start`: it will, so it may warm up meanwhile."""
    first = grid.cells[0].recipe
    where = places(first, options.results, options.data)
    room = slots(options.device or first.run.device, options.jobs, options.threads or first.run.threads)
    with LocalPool(room, where, options.hang_after) as pool:
        if start:
            pool.warm_up()
        yield pool


def measuring(grid: Grid, pool: LocalPool) -> Callable[[Job], Cost]:
    """How to time a job of which no earlier run tells."""
    return lambda job: pool.measure(job, pool.where.results / "sweeps" / f"{grid.name}.measure.log")


@contextmanager
def planned(grid: Grid, options: Options, *, start: bool) -> Iterator[tuple[Plan, LocalPool]]:
    """The plan of a grid and the pool that can carry it out; no job is begun.

    `start`: it will be carried out, so the pool may warm up meanwhile, and the sweep's record is written: a plan alone
    must not change what reports read.
    """
    cells = select(grid, options.only)
    with opened(grid, options, start=start) as pool:
        jobs = jobs_of(grid.cells, pool.where.data.root, pool.slots.operational)
        plan = make_plan(
            grid,
            _only(jobs, cells),
            pool.where.results,
            pool.slots,
            measuring(grid, pool),
            retry=options.retry,
            limit=options.limit,
            budget=options.budget,
        )
        if start:
            grid_record(grid, jobs).write(pool.where.results)
        yield plan, pool


def _only(jobs: list[Job], wanted: list[Cell]) -> list[Job]:
    keys = {cell.key for cell in wanted}
    kept = [replace(job, cells=tuple(cell for cell in job.cells if cell.key in keys)) for job in jobs]
    return [job for job in kept if job.cells]


def carry_out(plan: Plan, pool: LocalPool, *, stop_on_failure: bool = False, quiet: bool = False) -> Sweep:
    """Do what the plan chose. Raises `Interrupted` if stopped on the way, `RunFailed` if a job was given up."""
    with Board(quiet=quiet) as board:
        sweep = Sweep(plan, pool, board, pool.where.results, stop_on_failure=stop_on_failure)
        sweep.run()
    if not quiet:
        console.say(counts(sweep))
    if sweep.failures:
        names = "\n".join(f"  {failure.job}: {failure.reason.splitlines()[0]}" for failure in sweep.failures)
        count = len(sweep.failures)
        raise RunFailed(
            f"{count} of {len(plan.chosen)} runs failed",
            remedy=f"{names}\n`sslrun logs RUN` shows what was said, `sslrun sweep --retry` does them again.",
        )
    if sweep.stops and (sweep.queue or sweep.alone or sweep.watched):
        raise Interrupted("stopped", remedy="The same command goes on.")
    return sweep
