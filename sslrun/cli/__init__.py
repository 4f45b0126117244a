"""The commands: parse, call one function, print. Nothing heavy is imported before a command needs it.

One file a group of commands; what they share is in `options`.
"""

import errno
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType

import typer

from sslrun import console
from sslrun.cli.options import app
from sslrun.errors import InputError, Interrupted, RunFailed, SslrunError
from sslrun.streams import streams

try:
    from sslrun.files import FULL, REFUSED, whose
except ImportError as error:  # on Windows
    console.error(str(error))
    sys.exit(2)

__all__ = ["app", "main"]

# Before torch is imported: threads that wait for each other by spinning take the cores from all else on the machine,
# and from each other where there are fewer cores than threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Within a group of `--help` in this order.
for group in ("runs", "sweeps", "folders", "reports", "verifying", "outward", "recipes", "theory", "machine"):
    import_module(f"sslrun.cli.{group}")

_IN_THE_WAY = "A folder is needed there, and a file has its name: choose another."
_NOT_YOURS = "Name a place where you may read and write."
_FULL = "Make room, then run the same command."
_REMEDIES = {
    errno.EISDIR: "That is a folder: name a file.",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), _IN_THE_WAY),
    **dict.fromkeys((*REFUSED, errno.EROFS), _NOT_YOURS),
    **dict.fromkeys(FULL, _FULL),
}


def main() -> None:
    """Run a command; a designed error, or one of the system's or a plug-in's, becomes its text and exit code without a
    stack trace."""

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else ignored, by `nohup` say
        signal.signal(signal.SIGINT, _interrupted)
    with streams() as (out, _):
        code = _code()
        if out.failed:  # what was computed is kept; but who redirected the result would not know that it is cut off
            console.error(f"stdout: {out.failed}\n{_FULL}")
            code = code or 1
    if code:
        sys.exit(code)


_interrupts: list[int] = []
"""Ctrl-C, as often as it came."""


def _interrupted(number: int, frame: FrameType | None) -> None:
    """What Python does, and remember it: of an interrupt while libraries load they make errors of their own."""
    _interrupts.append(number)
    raise KeyboardInterrupt


def _code() -> int:
    """Run the command; its exit code."""

    try:
        code = int(app(standalone_mode=False) or 0)  # what a command gave to typer.Exit, or typer to an interrupt
        return _stopped() if _interrupts and code == Interrupted.exit_code else code
    except SslrunError as error:
        console.error(str(error))
        return error.exit_code
    except typer.Abort as aborted:
        if isinstance(aborted.__cause__, EOFError):  # of a link between processes: nobody asked to stop
            raise aborted.__cause__ from None
        return _stopped()
    except KeyboardInterrupt:
        return _stopped()
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise  # no file of the user's: of processes and their links, or a library's own
        refused = _from_system(error)
        console.error(str(refused))
        return refused.exit_code
    except Exception as error:
        show = getattr(error, "show", None)  # click's usage errors print themselves
        if show is None:
            from sslrun.recipe import plugins

            told = plugins.failed(error)
            if told is not None:
                console.error(str(told))
                return told.exit_code
            if _interrupts:
                return _stopped()
            raise
        show()
        return int(getattr(error, "exit_code", 2))


def _stopped() -> int:
    console.error("stopped")
    return Interrupted.exit_code


def _from_system(error: OSError) -> SslrunError:
    """What the system refused, by the name of the file that was meant."""
    name = error.filename if error.filename2 is None else error.filename2
    remedy = _REMEDIES.get(error.errno or 0)
    where = None
    if name is not None and not isinstance(name, int):  # a file that was open already has a number only
        where = os.fsdecode(name)
        if error.errno in REFUSED and (owner := whose(Path(where))):
            remedy = f"{owner}. {remedy}"
    told = RunFailed if error.errno in FULL else InputError
    return told(error.strerror or str(error), where=where, remedy=remedy)
