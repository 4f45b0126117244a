"""Go through runs and tell a tracker of them: once, as they are, or on and on until all have ended."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sslrun.errors import InputError, SslrunError
from sslrun.runs.folder import RunFolder, by_identity, run_folders
from sslrun.runs.records import State, grid_records
from sslrun.runs.resolving import grid_named
from sslrun.runs.status import state_of
from sslrun.trackers.told import Begin, NotYet, Telling, Told, settings

_GOING_ON = (State.RUNNING, State.QUEUED, State.MISSING)
POLL_SECONDS = 2.0


def told_runs(
    results: Path, chosen: Sequence[RunFolder] = (), grid: str | None = None, left_out: dict[str, str] | None = None
) -> tuple[list[Told], bool]:
    """The runs to tell of (those `chosen`, else those of a grid, else all), and whether more is to come of them.

    Damaged ones are not among them, and `left_out` gets why, by name; one that is `chosen` is refused. Raises
    `InputError` for a grid that is not there.
    """
    labels: dict[str, dict[str, str]] = {}
    more = False
    if grid is None:
        folders = list(chosen) or run_folders(results)
    else:
        records = grid_records(results, [])
        record = records[grid_named(grid, records, results)[0]]
        known = by_identity(results)
        labels = {cell.identity: dict(cell.labels) for cell in record.cells}
        folders = [known[identity] for identity in labels if identity in known]
        more = len(folders) < len(labels)
    whole, every = [], []
    for folder in folders:
        try:
            if (folder.path / "identity.json").exists():
                _readable(folder)
                every.append(settings(folder))
                whole.append(folder)
                (left_out or {}).pop(folder.path.name, None)  # it was about to be written
        except InputError as error:
            if chosen or left_out is None:
                raise
            left_out[folder.path.name] = f"{error.where}: {error.what}"
    names = dict.fromkeys(name for one in every for name in one)
    varied = frozenset({"seed", *(name for name in names if len({one.get(name) for one in every}) > 1)})
    runs = [Told(folder, grid or "sslrun", labels.get(folder.identity, {}), varied) for folder in whole]
    return runs, more or any(state_of(one.folder) in _GOING_ON for one in runs)


def _readable(folder: RunFolder) -> None:
    """Raise `InputError` for a run whose state or whose last row is damaged."""
    state_of(folder)
    folder.history.last()


def tell(
    runs: Callable[[], tuple[list[Told], bool]],
    begin: Begin,
    out: Path,
    *,
    follow: bool = False,
    say: Callable[[str], None] = lambda _: None,
    wait: Callable[[], None] = lambda: time.sleep(POLL_SECONDS),
) -> int:
    """Tell of the runs that `runs` gives; how many there were. With `follow` it looks again until none goes on.

    Of several runs those that have nothing for it are left out. Whatever ends it, what was begun is ended. Raises
    `InputError` where there is no run.
    """
    open_: dict[str, _One] = {}
    ended: set[str] = set()
    left_out: set[str] = set()
    try:
        while True:
            found, more = runs()
            for told in found:
                if told.name in ended | left_out:
                    continue
                try:
                    open_[told.name] = open_.get(told.name) or _One(told, begin(told, out))
                except NotYet as error:
                    if len(found) == 1:
                        raise
                    if not follow or state_of(told.folder) not in _GOING_ON:
                        say(f"{told.name}   left out: {error.what}")
                        left_out.add(told.name)
                    continue
                one = open_[told.name]
                one.look()
                if not follow or state_of(told.folder) not in _GOING_ON:
                    one.end()
                    del open_[told.name]
                    ended.add(told.name)
                    epochs = f"{one.epoch} epoch{'s' * (one.epoch != 1)}" if one.epoch >= 0 else "no epoch yet"
                    say(f"{told.name}   {epochs}")
            if not follow or not more:
                break
            wait()
    finally:
        for one in open_.values():
            one.end()
    if not ended and not open_:
        raise InputError("there are no runs to tell of", where=str(out), remedy="`sslrun status` lists what there is.")
    return len(ended) + len(open_)


class _One:
    """A run that is being told of, and how far."""

    def __init__(self, told: Told, telling: Telling) -> None:
        self.told, self.telling, self.epoch = told, telling, -1

    def look(self) -> None:
        """Tell what is new."""
        rows = [row for row in self.told.folder.history.read() if row["epoch"] > self.epoch]
        if rows:
            self.telling.tell(rows)
            self.epoch = rows[-1]["epoch"]

    def end(self) -> None:
        """Tell the last of it, drawn too."""
        from sslrun.report.plots import plot_run

        self.look()
        with suppress(SslrunError):  # of a run without a history there is nothing to draw
            self.telling.picture("spectra and signals", max(0, self.epoch), plot_run(self.told.folder))
        self.telling.end(self.told, self.told.folder.status)
