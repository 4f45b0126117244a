"""What Slurm says: by `squeue` about jobs that wait or run, by `scontrol` about one that ended a moment ago."""

import getpass
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from sslrun.errors import InputError, RunFailed

PREFIX = "sslrun-"
"""How the names of our jobs begin; an array's token follows."""
NEVER = frozenset(
    (
        *("PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "PartitionInactive", "BadConstraints"),
        *("AccountNotAllowed", "InvalidAccount", "QOSNotAllowed", "InvalidQOS", "AssociationJobLimit"),
        *("QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit", "QOSMaxCpuPerJobLimit"),
        *("AssocMaxCpuPerJobLimit", "QOSMaxNodePerJobLimit", "QOSMaxMemoryPerJob", "QOSMaxGRESPerJob"),
    )
)
"""Why jobs wait that will never start unless somebody changes them, or the cluster."""
_SECONDS = 60.0
_FIELDS = ("JobState", "Reason", "ExitCode")


@dataclass(frozen=True)
class Seen:
    """A job of an array as squeue shows it."""

    id: str
    state: str
    reason: str
    node: str

    @property
    def waits(self) -> bool:
        """Whether it has not begun."""
        return self.state == "PENDING"


Tasks = dict[tuple[str, int], Seen]
"""By the token of their array, and their place in it."""


def require_slurm() -> None:
    """Raise `InputError` where jobs can't be submitted from here."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise InputError(
            "there is no Slurm on this machine: no sbatch and srun",
            where="--slurm",
            remedy="Start it on a machine of the cluster; --plan works anywhere.",
        )
    try:
        import submitit as submitit
    except ImportError:
        remedy = "pip install 'sslrun[slurm]'"
        raise InputError("needs a package that is not installed: submitit", where="--slurm", remedy=remedy) from None
    try:
        look()
    except RunFailed as error:
        raise InputError(error.what, where="--slurm", remedy=error.remedy) from None


def look() -> Tasks:
    """Our jobs that wait or run. Raises `RunFailed` where squeue gives no answer."""
    found = {}
    for line in _ask("squeue", "-h", "-r", "-u", getpass.getuser(), "-o", "%i|%T|%r|%N|%j").splitlines():
        job, state, reason, node, name = line.split("|", 4)
        if name.startswith(PREFIX):
            found[name.removeprefix(PREFIX), int(job.partition("_")[2] or 0)] = Seen(job, state, reason, node)
    return found


def how_ended(job: str) -> dict[str, str]:
    """`JobState`, `Reason` and `ExitCode` of a job; empty once Slurm has forgotten it, some minutes after its end."""
    try:
        text = _ask("scontrol", "-o", "show", "job", job)
    except RunFailed:
        return {}
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return {name: words[name] for name in _FIELDS if name in words}


def most_tasks() -> int:
    """How many jobs an array may have."""
    for line in _ask("scontrol", "show", "config").splitlines():
        if line.startswith("MaxArraySize"):
            return max(1, int(line.partition("=")[2]) - 1)
    return 1000


def cancel(jobs: Iterable[str]) -> None:
    """End jobs, or whole arrays; those that have ended already stay as they are."""
    if found := list(jobs):
        _ask("scancel", *found)


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunFailed(f"{command[0]} gives no answer: {error}", remedy="Is its controller up?") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        what = said[-1].removeprefix(f"{command[0]}: ").removeprefix("error: ").removeprefix("fatal: ")
        raise RunFailed(f"{command[0]}: {what}", remedy="Is this a machine of the cluster, and is its controller up?")
    return done.stdout
