"""An engine of one's own: a sweep's jobs one after the other, in the sweep's own process, for a debugger."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sslrun.extend import (
    Cost,
    EngineSection,
    Job,
    Outcome,
    Places,
    RunFolder,
    Running,
    RunSection,
    SslrunError,
    measure,
    open_engine,
    option,
    pretrain_job,
)


class Serial(EngineSection):
    """One job at a time, in this process."""

    kind: Literal["serial"] = option(description="In the sweep's own process.")


class SerialEngine:
    at_once, detached, look_seconds = 1, False, 1.0

    def __init__(self, run: RunSection, results: Path) -> None:
        self.results, self.running = results, list[Running]()
        self.run_options: Mapping[str, Any] = {"device": run.device, "threads": run.threads or 1}

    def __str__(self) -> str:
        return "one after the other, in this process"

    def foresee(self, jobs: Sequence[tuple[Job, float | None]]) -> list[str]:
        return []

    def warm_up(self) -> None:
        return

    def room(self, *, alone: bool = False) -> bool:
        return not self.running

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        self.running.append(Running(job, folder))

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        started, self.running = self.running, []
        return [(one, self._done(one.job)) for one in started]

    def _done(self, job: Job) -> Outcome:
        try:
            for recipe in job.recipes:
                pretrain_job(recipe, Places(self.results, job.data))
        except SslrunError as error:
            return Outcome("failed", str(error))
        return Outcome("done")

    def cancel(self, one: Running, *, now: bool = False) -> None:
        return

    def measure(self, job: Job, log: Path) -> Cost:
        return measure(job.recipes[0], Places(self.results, job.data))

    def close(self) -> None:
        return


@open_engine.register
def opened(section: Serial, run: RunSection, results: Path, jobs: int | None = None) -> SerialEngine:
    return SerialEngine(run, results)
