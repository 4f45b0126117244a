"""One `sslrun sweep`: open what it works with, show the plan, do it, and say how it went.

`plan` and `scheduler` are the work itself; `search.command` is the same for grids that search.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from sslrun import console
from sslrun.data import Dataset, open_dataset
from sslrun.data.cache import size_text
from sslrun.errors import DataError, InputError, Interrupted, RunFailed
from sslrun.grids import Cell, Grid
from sslrun.grids.engines import Engine as EngineSection
from sslrun.grids.grid import select
from sslrun.jobs.places import folders
from sslrun.recipe.schema.judging import Counts
from sslrun.runs.folder import by_identity
from sslrun.runs.notes import take_along
from sslrun.sweeps import local as local  # engines register when they are imported
from sslrun.sweeps.costs import Costs
from sslrun.sweeps.engine import HANG_SECONDS, Engine, open_engine
from sslrun.sweeps.partners import Feed
from sslrun.sweeps.plan import Entry, Plan, make_plan
from sslrun.sweeps.progress import Board, counts
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.slurm import engine as slurm_engine  # noqa: F401
from sslrun.sweeps.work import Job, Known, grid_record, jobs_of

ASSUMED = {"pretrain": 10_000, "train": 10_000, "validation": 2_000, "test": 2_000}
"""Images of a set of which nothing is known."""


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
    hang_after: float | None = None
    stop_on_failure: bool = False
    devices_per_job: int | None = None
    engine: EngineSection | None = None
    """In place of the grid's."""
    watch: bool = True
    """Whether to stay until all is done, where jobs go on without."""


@dataclass(frozen=True)
class Session:
    """What a sweep works with: who does its jobs, the folders of results and data, and what runs cost."""

    engine: Engine
    results: Path
    data: Path
    costs: Costs
    options: Options

    @property
    def hands_over(self) -> bool:
        """Whether jobs are only started here, and go on by themselves."""
        return self.engine.detached and not self.options.watch

    def work(self, entries: Sequence[Entry] = (), feed: Feed | None = None, *, quiet: bool = False) -> Sweep:
        """Do what was chosen of `entries`, and what `feed` adds, or hand it over; say where that got to.

        A feed needs somebody who stays. Raises `Interrupted` if it was left to go on by itself.
        """
        with Board(quiet=quiet) as board:
            sweep = Sweep(
                entries,
                self.engine,
                board,
                self.results,
                stop_on_failure=self.options.stop_on_failure,
                hang_after=self.options.hang_after or HANG_SECONDS,
                feed=feed,
            )
            if feed is None and self.hands_over:
                sweep.hand_over()
            else:
                sweep.run()
        if not quiet:
            console.say(counts(sweep))
        if sweep.left:
            remedy = "They go on by themselves: `sslrun status` says how far; the same command follows them again."
            raise Interrupted("no longer watching the runs under way", remedy=remedy)
        return sweep


@contextmanager
def opened(grid: Grid, options: Options, *, start: bool) -> Iterator[Session]:
    """What a sweep of the grid works with; `start`: it will be carried out, so the engine may warm up meanwhile."""
    first = grid.cells[0].recipe
    results, data = folders(first, options.results, options.data)
    given = {"device": options.device or first.run.device, "threads": options.threads or first.run.threads}
    run = first.run.model_copy(update=given)
    section = _as_asked(options.engine or grid.file.engine, options)
    with closing(open_engine(section, run, results, options.jobs)) as engine:
        if start:
            engine.warm_up()
        log = results / "sweeps" / f"{grid.name}.measure.log"
        devices = getattr(section, "devices_per_job", 1)
        costs = Costs(results, lambda job: engine.measure(job, log), anywhere=engine.detached, devices=devices)
        yield Session(engine, results, data, costs, options)


def _as_asked(section: EngineSection, options: Options) -> EngineSection:
    """The engine's section, with what the command line says of it. Raises `InputError` if it has no such option."""
    asked: dict[str, Any] = {"devices_per_job": options.devices_per_job}
    if options.hang_after is not None and "hang_minutes" in type(section).model_fields:
        asked["hang_minutes"] = options.hang_after / 60
    given = {name: value for name, value in asked.items() if value is not None}
    if missing := given.keys() - type(section).model_fields.keys():
        what = f"the engine of this sweep, {section.kind}, has none"
        raise InputError(what, where=f"--{missing.pop().replace('_', '-')}")
    return section.model_copy(update=given)


@contextmanager
def planned(grid: Grid, options: Options, *, start: bool) -> Iterator[tuple[Plan, Session]]:
    """The plan of a grid and the session that can carry it out; no job is begun.

    `start`: it will be carried out, so the sweep's record is written: a plan alone must not change what reports read.
    """
    cells = select(grid, options.only)
    with opened(grid, options, start=start) as session:
        missing: list[str] = []
        try:
            devices = session.costs.devices
            jobs = jobs_of(grid.cells, session.data, session.engine.run_options, devices=devices)
        except DataError:
            if start:
                raise
            known, missing = stand_ins(grid.cells, session.data)
            jobs = jobs_of(grid.cells, session.data, session.engine.run_options, known, check=False)
        plan = make_plan(
            grid,
            _only(jobs, cells),
            session.results,
            session.engine,
            session.costs,
            retry=options.retry,
            limit=options.limit,
            budget=options.budget,
        )
        record = grid_record(grid, jobs)
        record = record.write(session.results) if start else record.apart(session.results)
        if start:
            _note_finished(grid, jobs, session.results)
        yield replace(plan, name=record.grid, missing=tuple(missing)), session


def _note_finished(grid: Grid, jobs: Sequence[Job], results: Path) -> None:
    """Give runs that are there already the note and tags that the sweep has; the others take them along."""
    run = grid.cells[0].recipe.run
    if run.note or run.tags:
        folders = by_identity(results)
        there = [folders[job.identity] for job in jobs if job.identity in folders]
        kept = [folder for folder in there if take_along(folder, run.note, run.tags)]
        if kept:
            which = (
                "1 run that was done before keeps its note"
                if len(kept) == 1
                else (f"{len(kept)} runs that were done before keep their notes")
            )
            console.say(f"{which}: `sslrun note` replaces one")


def _only(jobs: list[Job], wanted: list[Cell]) -> list[Job]:
    keys = {cell.key for cell in wanted}
    kept = [replace(job, cells=tuple(cell for cell in job.cells if cell.key in keys)) for job in jobs]
    return [job for job in kept if job.cells]


def carry_out(plan: Plan, session: Session, *, quiet: bool = False) -> None:
    """Do what the plan chose. Raises `Interrupted` if stopped on the way, `RunFailed` if a job was given up, or could
    not be begun as its run can't be read."""
    sweep = session.work(plan.entries, quiet=quiet)
    damaged = [(entry.job, entry.damage.what) for entry in plan.entries if entry.damage]
    if lost := [*((one.job, one.reason) for one in sweep.failures), *damaged]:
        names = "\n".join(f"  {job}: {reason.splitlines()[0]}" for job, reason in lost)
        raise RunFailed(
            f"{len(lost)} of {len(plan.chosen) + len(damaged)} runs failed",
            remedy=f"{names}\n"
            + "`sslrun logs RUN` shows what was said, `sslrun sweep --retry` does them again." * bool(sweep.failures),
        )
    if sweep.stops and (sweep.queue or sweep.watched):
        raise Interrupted("stopped", remedy="The same command goes on.")


def stand_ins(cells: Iterable[Cell], root: Path) -> tuple[Known, list[str]]:
    """What `jobs_of` must know of the data of cells; and a line for each set that is not here."""
    known: Known = {}
    said: dict[str, None] = {}
    for cell in cells:
        recipe = cell.recipe
        key = (recipe.data.model_dump_json(), recipe.network.weights)
        if key in known:
            continue
        data = open_dataset(recipe.data, root)
        try:
            known[key] = open_dataset(recipe.data, root, data.fingerprint), None
        except DataError as error:
            data = open_dataset(recipe.data, root, "0" * 64)
            for split, count in (data.published() or ASSUMED).items():
                limit = data.limit(split)  # type: ignore[arg-type]
                data.counted[split] = Counts(count if limit is None else min(count, limit))
            known[key] = data, None
            said[f"not here: {error}"] = None
            said[_size(data)] = None
    return known, list(said)


def _size(data: Dataset) -> str:
    counts = data.published()
    name = data.section.words()
    if counts is None:
        return f"planned as if {name} had {ASSUMED['pretrain']:,} images to pretrain on: their number is not known"
    parts = {data.part(split): count for split, count in counts.items()}  # what several splits see is stored once
    within = {name for part in parts if "+" in part for name in part.split("+")}
    pixels = sum(count for part, count in parts.items() if part not in within) * prod(data.shape)
    fetched = f"{size_text(data.download_bytes)} to download, " if data.download_bytes else ""
    kept = f"{size_text(pixels)} {'of cache beside the pictures' if data.cached else 'on disk'}"
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    return f"planned for {name} as published ({listed}): {fetched}{kept}"
