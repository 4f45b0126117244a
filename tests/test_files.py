"""Locks between processes: one holder at a time, and those who wait can show that they are alive."""

import subprocess
import sys
from pathlib import Path

from sslrun.files import locked

HOLD = "import sys, time\nfrom pathlib import Path\nfrom sslrun.files import locked\n" + (
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()\n"
)


def test_waiting_is_called_until_the_lock_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        calls = []

        def waiting() -> None:
            calls.append(other.poll())
            if len(calls) == 3 and other.stdin is not None:
                other.stdin.write("\n")
                other.stdin.flush()

        with locked(lock, waiting):
            assert len(calls) >= 3
            other.wait(10)
    with locked(lock, waiting):
        pass
