"""One array of Slurm jobs: its folder `<results>/slurm/<token>`, and how it is submitted, by submitit.

`cells.jsonl` says which runs each job does, and is written before Slurm hears of them; the name of the Slurm jobs has
the token. So whoever comes later knows what waits where. Each job tells in `<place>.told.jsonl` what it has begun and
ended: one file to look at for all its runs. The other files are submitit's, logs among them.
"""

import io
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sslrun.errors import InputError
from sslrun.files import write_text
from sslrun.grids.engines import Slurm
from sslrun.sweeps.slurm.queue import PREFIX

REQUEUES = 200
"""How often a job may queue again; one that gets nowhere does not (`allocation`)."""


@dataclass(frozen=True)
class Array:
    """The array with a folder; `cells` are the identities of the runs of each of its jobs."""

    folder: Path

    @property
    def token(self) -> str:
        """What its Slurm jobs are named after."""
        return self.folder.name

    @cached_property
    def cells(self) -> list[list[str]]:
        """The identities of the runs of each job; empty where the folder does not say."""
        with suppress(OSError, ValueError):
            return [json.loads(line) for line in (self.folder / "cells.jsonl").read_text().splitlines()]
        return []

    def told(self, place: int) -> Path:
        """Where the job at that place tells of its runs."""
        return self.folder / f"{place}.told.jsonl"

    def log(self, job: str) -> Path:
        """What a Slurm job printed."""
        return self.folder / f"{job}_0_log.out"


@dataclass
class Told:
    """What a Slurm job has told so far; `read` takes in what is new, for the price of one look at a file."""

    path: Path
    begun: dict[str, float] = field(default_factory=dict)
    """When runs were begun (last), by identity."""
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`end` (a kind of outcome), `reason` and `seconds` of each run that has ended, by identity."""
    trouble: str | None = None
    """What ended the job before its runs."""
    _read: int = 0

    def read(self) -> None:
        """Take in what has been written since. A last line that is half written waits for the next time."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size == self._read:
                    return
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError, KeyError):
                about = json.loads(line)
                if "trouble" in about:
                    self.trouble = about["trouble"]
                elif "end" in about:
                    self.ended[about["run"]] = about
                else:
                    self.begun[about["run"]] = about["begun"]


def tell(path: Path, **about: Any) -> None:
    """Add a line to what a job tells, in one write."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(about).encode() + b"\n")


def new_array(results: Path, packs: Sequence[Sequence[str]]) -> Array:
    """A new array's folder, which says which runs (identities) each of its jobs will do."""
    array = Array(results / "slurm" / os.urandom(6).hex())
    write_text(array.folder / "cells.jsonl", "".join(json.dumps(list(cells)) + "\n" for cells in packs))
    return array


def submit(array: Array, work: Sequence[Any], section: Slurm) -> str:
    """Submit one Slurm job for each of `work` (callables that can be pickled); the array's id.

    Raises `InputError` with what Slurm says where it refuses them; none is submitted then.
    """
    import submitit
    from submitit.core.utils import FailedJobError

    executor = submitit.SlurmExecutor(array.folder, max_num_timeout=REQUEUES)
    parameters: dict[str, Any] = {
        "job_name": PREFIX + array.token,
        "partition": section.partition,
        "account": section.account,
        "time": max(1, math.ceil(section.hours * 60)),
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": section.cpus,
        "gpus_per_node": section.gpus or None,
        "mem": None if section.memory_gb is None else f"{math.ceil(section.memory_gb * 1024)}M",
        "array_parallelism": section.parallel,
        "signal_delay_s": section.warn_seconds,
        "stderr_to_stdout": True,
        "setup": list(section.setup),
        "srun_args": [f"--cpus-per-task={section.cpus}"],  # which it does not take over from sbatch since Slurm 22.05
        "additional_parameters": dict(section.options),
    }
    executor.update_parameters(**{name: value for name, value in parameters.items() if value is not None})
    try:
        with redirect_stderr(io.StringIO()):  # it prints what it raises
            jobs = executor.submit_array(work)
    except FailedJobError as error:
        shutil.rmtree(array.folder, ignore_errors=True)
        raise refused(str(error)) from None
    return str(jobs[0].job_id).partition("_")[0]


def refused(said: str) -> InputError:
    """What Slurm says where it does not take jobs."""
    lines = [line for line in said.splitlines() if re.match(r"sbatch: |allocation failure", line)] or [said.strip()]
    text = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines)
    return InputError(f"Slurm refuses the jobs: {text}", where="--slurm", remedy="Nothing was submitted.")
