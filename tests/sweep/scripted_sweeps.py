"""Sweeps whose jobs end as a test says, without processes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_engine import MemoryEngine

from sslrun.grids import read_grid
from sslrun.recipe import to_yaml
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.records import EvaluationRecord, State, Status
from sslrun.sweeps.costs import Costs
from sslrun.sweeps.engine import Outcome, Running
from sslrun.sweeps.plan import Plan, make_plan
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.work import Job

Script = Callable[[Job, int], Outcome | None]
"""How a job ends on its first, second, ... try; None while it goes on."""


def folder_of(job: Job, results: Path, state: str = State.QUEUED, **status: Any) -> RunFolder:
    folder = create(results, "run", job.identity, to_yaml(job.recipes[0]))
    folder.write_status(Status(State(state), **status))
    return folder


def evaluate(job: Job, folder: RunFolder) -> None:
    for identity, name in job.evaluations.items():
        folder.write_evaluation(EvaluationRecord(kind=name.kind, identity=identity, settings={}, metrics={}))


def plan_of(jobs: list[Job], grid: Path, results: Path, engine: MemoryEngine | None = None, **options: Any) -> Plan:
    engine = engine or MemoryEngine(lambda _: None)
    costs = Costs(results, lambda job: engine.measure(job, results / "log"))
    return make_plan(read_grid(grid), jobs, results, engine, costs, **options)


class Silent:
    def event(self, text: str) -> None:
        pass

    def draw(self, sweep: Sweep) -> None:
        pass


def scripted(script: Script, **how: Any) -> MemoryEngine:
    """An engine whose jobs end as the script says, those that are done with their evaluations."""

    def turn(one: Running) -> Outcome | None:
        outcome = script(one.job, sum(job is one.job for job, _, _ in engine.started))
        if outcome is not None and outcome.kind == "done":
            one.folder.write_status(replace(one.folder.status, state="done", verdict="none"))
            evaluate(one.job, one.folder)
        return outcome

    engine = MemoryEngine(turn, **how)
    return engine


def swept(
    jobs: list[Job], grid: Path, results: Path, script: Script, how: dict[str, Any] | None = None, **options: Any
) -> tuple[Sweep, MemoryEngine]:
    """The jobs carried out by `script`; `how` is the sweep's, further options are the plan's."""
    engine = scripted(script)
    sweep = Sweep(plan_of(jobs, grid, results, **options).entries, engine, Silent(), results, **(how or {}))
    sweep.run()
    return sweep, engine
