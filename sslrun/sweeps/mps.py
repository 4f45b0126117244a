"""NVIDIA MPS for a sweep's jobs: without it processes on one GPU take turns, with it their kernels run side by side.

The daemon is the sweep's own, with private folders, and is ended when the sweep ends in whatever way: a shell beside it
waits for its end of a pipe to close. `local` gives jobs the environment in which they find it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from sslrun import console
from sslrun.errors import InputError, RunFailed
from sslrun.sweeps.engine import GRACE_SECONDS

CONTROL = "nvidia-cuda-mps-control"
_PIPES, _LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
_ANSWER_SECONDS = 20
_GUARD = f"""
if timeout {_ANSWER_SECONDS} {CONTROL} -d >"${_LOGS}/start" 2>&1; then
  echo ready
  cat >/dev/null
  echo quit -t {GRACE_SECONDS:.0f} | {CONTROL} >/dev/null 2>&1
else
  tail -n 1 "${_LOGS}/start"
fi
rm -rf "$SSLRUN_MPS"
"""

Wish = Literal["auto", "on", "off"]


class Daemon:
    """An MPS control daemon from `start` to `stop`. Without one `environment` is empty."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self._guard: subprocess.Popen[str] | None = None

    def start(self) -> str | None:
        """Start it; why it did not start, or None."""
        folder = Path(
            tempfile.mkdtemp(prefix="sslrun-mps-", dir="/tmp")
        )  # only this user may enter; short, for sockets
        ours = {_PIPES: str(folder / "pipe"), _LOGS: str(folder / "log")}
        for place in ours.values():
            Path(place).mkdir()
        around = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=around | ours | {"SSLRUN_MPS": str(folder)},
            text=True,
            start_new_session=True,  # Ctrl-C is for the sweep
        )
        said = (self._guard.stdout.readline() if self._guard.stdout else "").strip()
        if said == "ready":
            self.environment = ours
            return None
        self.stop()
        return said or "it did not answer"

    def clients(self) -> list[int]:
        """The processes that have attached to it."""
        servers = self._ask("get_server_list")
        return [client for server in servers for client in self._ask(f"get_client_list {server}")]

    def stop(self) -> None:
        """End it, and remove its folders; waits until both have gone, jobs that still run included."""
        if self._guard is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._guard.communicate(timeout=GRACE_SECONDS + _ANSWER_SECONDS)
        self._guard, self.environment = None, {}

    def _ask(self, question: str) -> list[int]:
        try:
            said = subprocess.run(
                [CONTROL],
                input=question,
                env=os.environ | self.environment,
                text=True,
                capture_output=True,
                timeout=_ANSWER_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        return [int(word) for word in said.stdout.split() if word.isdecimal()]


class Sharing:
    """How the jobs on one GPU share it: through a daemon, if there is one to be had. Its text says so to people.

    Raises `InputError` where `on` is asked for and can't be.
    """

    def __init__(self, wish: Wish, around: Mapping[str, str] = os.environ) -> None:
        self.wish, self.daemon = wish, Daemon()
        self._asked = self._checked = False
        reasons = {
            "engine.mps is off": wish == "off",
            f"{CONTROL} is not on PATH": shutil.which(CONTROL) is None,
        }
        self.without = next((reason for reason, holds in reasons.items() if holds), None)
        self.theirs = _PIPES in around and wish != "off"
        if wish == "on" and self.without is not None and not self.theirs:
            raise InputError(f"MPS can't be had: {self.without}", where="engine.mps", remedy="`auto` goes without it.")

    def __str__(self) -> str:
        if self.theirs:
            return f"jobs on one GPU share it through the MPS daemon that {_PIPES} names"
        if self.without is not None:
            return f"jobs on one GPU take turns: {self.without}"
        return "jobs on one GPU share it through an MPS daemon of this sweep's own"

    def start(self) -> None:
        """Start the daemon before the first job. Raises `RunFailed` where it was asked for and does not start."""
        if self._asked or self.theirs or self.without is not None:
            return
        self._asked = True
        self.without = self.daemon.start()
        if self.without is not None and self.wish == "on":
            raise RunFailed(f"MPS did not start: {self.without}", remedy="engine.mps: auto goes without it.")
        if self.without is not None:
            console.say(f"{self}; MPS did not start")

    def check(self, jobs: int) -> None:
        """Once, with `jobs` under way: whether their processes have attached; if not, say so."""
        if self._asked and self.without is None and not self._checked:
            self._checked = True
            attached = len(self.daemon.clients())
            console.say(f"MPS: {attached} of {jobs} jobs attached" + "; the others take turns" * (attached < jobs))

    def stop(self) -> None:
        """End the daemon."""
        self.daemon.stop()


@contextmanager
def shared() -> Iterator[None]:
    """Within, processes that are started share a GPU as a sweep's jobs do; says how."""
    sharing = Sharing("auto")
    console.say(str(sharing))
    sharing.start()
    before = dict(os.environ)
    os.environ.update(sharing.daemon.environment)
    try:
        yield
    finally:
        for name in sharing.daemon.environment.keys() - before.keys():
            del os.environ[name]
        sharing.stop()
