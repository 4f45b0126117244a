"""Streams that can be written to without a care: what they can't show is replaced, and nobody's leaving is an error.

`cli.main` puts them in the place of stdout and stderr; `console` writes to them.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TextIO, cast

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""What writing meets where nobody reads any longer: a pipe or a terminal that was closed."""


class Stream(io.TextIOBase):
    """A text file that may be written to without a care: what it can't show is replaced, and writing never raises.

    Once writing has failed, further text goes nowhere. `unread`: the reader has gone; `failed`: why else it failed.
    """

    def __init__(self, file: IO[str] | None) -> None:
        self._file, self.unread, self.failed = file, file is None, ""
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="replace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._file, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._file is not None and not self.unread and not self.failed:
            try:
                self._file.write(text)
            except OSError as error:
                self._lost(error)
        return len(text)

    def flush(self) -> None:
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._lost(error)

    def isatty(self) -> bool:
        return self._file is not None and not self.unread and self._file.isatty()

    def fileno(self) -> int:
        if self._file is None:
            raise io.UnsupportedOperation("this stream was closed from the start")
        return self._file.fileno()

    def writable(self) -> bool:
        return True

    def _lost(self, error: OSError) -> None:
        if error.errno in _GONE:
            self.unread = True
        else:
            self.failed = self.failed or error.strerror or str(error)
        with suppress(OSError, ValueError):  # what is buffered still must have somewhere to go, at the latest at exit
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@contextmanager
def streams() -> Iterator[tuple[Stream, Stream]]:
    """Make stdout and stderr such streams; both, to be asked what became of them."""
    before = sys.stdout, sys.stderr
    if None in (sys.stdin, *before):  # else the next files to be opened would get their numbers
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
