"""What carries a sweep's jobs out, as a grid's `engine` or a file after `--slurm` says it: the manual of each kind.

What a section does is in `sslrun.sweeps`: `local`, `slurm`.
"""

from os import PathLike
from typing import Literal, Self

from pydantic import model_validator

from sslrun.recipe.document import Document
from sslrun.recipe.reading import check, load, locate
from sslrun.recipe.schema.base import Kind, Misfit, option


class Engine(Kind):
    """What carries a sweep's jobs out. The recipes' `run` says on which device and with how many threads each."""

    BUILDER = "sslrun.sweeps.engine:open_engine"


class Local(Engine):
    """Processes of this machine."""

    kind: Literal["local"] = option(description="This machine.")
    jobs: int | None = option(
        None,
        "How many at once on each device; null for as many as cores, or one on a GPU. On a GPU at most so many: one at "
        "first, then one more as long as that gets more done and memory holds it.",
        ge=1,
    )
    devices_per_job: int = option(1, "Devices of a job, with a process on each; processor cores, without GPUs.", ge=1)
    mps: Literal["auto", "on", "off"] = option(
        "auto", "Let several jobs on one GPU run side by side, through an NVIDIA MPS daemon of the sweep's own."
    )


_OURS = ("array", "error", "output", "open-mode", "signal", "job-name", "requeue", "no-requeue", "wait")
"""Options of sbatch by which its jobs are found again, and go on."""


class Slurm(Engine):
    """Jobs of a Slurm cluster, submitted as arrays by submitit; each does several runs, where runs are short.

    The results and data folders must be on a file system that the cluster shares.
    """

    kind: Literal["slurm"] = option(description="A Slurm cluster.")
    partition: str | None = option(None, "Where jobs go; null for the cluster's default.", min_length=1)
    account: str | None = option(None, "Whose account they are on; null for your default.", min_length=1)
    hours: float = option(
        1.0, "The most that a job may take. One that needs longer saves its state and queues again.", gt=0, le=8760
    )
    cpus: int = option(1, "CPU cores of a job.", ge=1, le=4096)
    gpus: int = option(0, "GPUs of a job, with a run on each; without, as many runs at once as cores.", ge=0)
    devices_per_job: int = option(
        1, "GPUs or cores of a run, with a process on each. A job has as many GPUs at the least.", ge=1
    )
    memory_gb: float | None = option(None, "Memory of a job; null for the cluster's default.", gt=0)
    parallel: int = option(16, "Jobs at once, of each array.", ge=1, le=100_000)
    pack: int | None = option(None, "Runs in a job; null for as many as take `pack_minutes`.", ge=1)
    pack_minutes: float = option(10.0, "What a job should take at least: starting one costs a minute or so.", gt=0)
    hang_minutes: float = option(30.0, "A run that shows no life for so long is ended, and tried again.", gt=0)
    warn_seconds: int = option(
        120, "So long before its time is up a job is warned: it saves its state and queues again.", ge=10, le=65_535
    )
    setup: tuple[str, ...] = option((), "Lines of shell before a job starts, to load its environment.")
    options: dict[str, str | int | bool] = option({}, "Further options of sbatch: {qos: long, constraint: a100}.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in self.options:
            if name in _OURS or name.replace("-", "_") in type(self).model_fields:
                raise Misfit(f"{name} is set by sslrun", f"options.{name}")
        if self.warn_seconds >= self.hours * 3600:
            raise Misfit("jobs are warned before they have begun", "warn_seconds", "hours")
        return self


def read_slurm(path: str | PathLike[str]) -> Slurm:
    """The section in a file. Raises `RecipeError` with file:line:column for all that is wrong with it."""
    document = load(locate(path, {}, "Slurm file"))
    return check(Slurm, Document({"kind": "slurm", **document.values}, document.spots))
