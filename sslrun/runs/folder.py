"""A run's folder, `<results>/<name>-<16 hex>`: what lies where, and how it is made, found and set aside.

The 16 digits begin the run's identity; a folder is found by them whatever its name, and the full identity inside is
compared before anything is reused. Who may write into it is the lease's to say; many runs in one table: `table`.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sslrun.errors import InputError, Unreadable
from sslrun.files import locked, write_json, write_text
from sslrun.paths import user_path
from sslrun.runs.cells import CellName
from sslrun.runs.history import History, Row
from sslrun.runs.records import EvaluationRecord, LeftOut, RunRecord, State, Status, read, read_all, utc_now

HEX_DIGITS = 16
_NAME = re.compile(rf"(?:(?P<name>.+)-)?(?P<hex>[0-9a-f]{{{HEX_DIGITS}}})")
_IDENTITY = re.compile(r"[0-9a-f]{32,128}")


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Every file in it is written whole or not at all (the history line by line).

    `identity.json` holds the full identity and, for programs, the same resolved recipe as `recipe.yaml`; it is
    written last, so a folder that has it is a whole run.
    """

    path: Path

    @property
    def name(self) -> str:
        """The name before the 16 digits."""
        return split_name(self.path.name)[0]

    @cached_property
    def record(self) -> RunRecord:
        """What run it is. Raises `InputError` if the folder does not say."""
        return read(RunRecord, self.path / "identity.json")

    @property
    def identity(self) -> str:
        """The full identity, in hex. Raises as `record`."""
        return self.record.identity

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """What it ran on, and the digests of its data and its plug-ins' sources."""
        return self.path / "environment.json"

    @property
    def plugins(self) -> Path:
        """Copies of its plug-ins' sources, as it was trained with them."""
        return self.path / "plugins"

    @property
    def history(self) -> History:
        """Its epochs, one row each."""
        return History(self.path / "history.jsonl")

    def last_row(self, status: Status) -> tuple[Row, tuple[str, str] | None]:
        """The history's last row, empty without one. Of a run that ended after it, as rows have gone, the verdict's
        signals instead, and the history's path with what is wrong. Raises `InputError` if it is damaged."""
        row = self.history.last() or {}
        last = row.get("epoch", 0)
        if not status.finished_well or last >= status.epoch:
            return row, None
        signals = {name: value for name, value in status.evidence.items() if not name.endswith("_threshold")}
        return signals, (str(self.history.path), f"ends at epoch {last} of {status.epoch}: rows have gone")

    @property
    def checkpoint(self) -> Path:
        """Everything that resuming needs."""
        return self.path / "checkpoint.pt"

    @property
    def encoder(self) -> Path:
        """The trained encoder."""
        return self.path / "encoder.safetensors"

    def encoder_at(self, epoch: int) -> Path:
        """The encoder kept after `epoch` epochs."""
        return self.path / f"encoder-epoch{epoch}.safetensors"

    def kept_epochs(self) -> list[int]:
        """The epochs whose encoders are kept, in order."""
        names = (
            re.fullmatch(r"encoder-epoch(\d+)", path.stem) for path in self.path.glob("encoder-epoch*.safetensors")
        )
        return sorted(int(match[1]) for match in names if match)

    @property
    def log(self) -> Path:
        """What was said while it ran."""
        return self.path / "log.txt"

    @property
    def status(self) -> Status:
        """Its state, read and judged anew. Raises `InputError` if status.json is missing or foreign."""
        return read(Status, self.path / "status.json").judged()

    def write_status(self, status: Status) -> None:
        """Replace status.json."""
        write_json(self.path / "status.json", asdict(status))

    def update_status(self, **changes: Any) -> Status:
        """Change some fields of the status; the holder of the run's lease calls this. Gives the new status."""
        status = replace(self.status, **changes)
        self.write_status(status)
        return status

    def evaluation_path(self, name: CellName, identity: str) -> Path:
        """Where the cell with this identity lies."""
        return self.path / "evaluations" / f"{name.stem}-{identity[:HEX_DIGITS]}.json"

    def lacking(self, evaluations: Iterable[tuple[CellName, str]]) -> list[CellName]:
        """The names of those `evaluations` (names and identities) that are not there, or can't be read."""
        return [name for name, identity in evaluations if not self._has(name, identity)]

    def _has(self, name: CellName, identity: str) -> bool:
        with suppress(Unreadable):
            return self.read_evaluation(name, identity) is not None
        return False

    def read_evaluation(self, name: CellName, identity: str) -> EvaluationRecord | None:
        """The finished evaluation with this identity, or none. Raises `InputError` if the full identity differs,
        `Unreadable` if it is damaged."""
        path = self.evaluation_path(name, identity)
        if not path.exists():
            return None
        found = read(EvaluationRecord, path)
        if found.identity != identity:
            raise _other_identity(path, found.identity, identity)
        return found

    def write_evaluation(self, record: EvaluationRecord) -> Path:
        """Keep a finished evaluation. Raises `ValueError` for numbers that are not finite."""
        path = self.evaluation_path(record.name, record.identity)
        write_json(path, asdict(record))
        return path

    def evaluations(self, left_out: LeftOut | None = None) -> list[EvaluationRecord]:
        """All finished evaluations, by file name; those that can't be read go to `left_out`, or raise `InputError`."""
        return list(read_all(EvaluationRecord, sorted((self.path / "evaluations").glob("*.json")), left_out))

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its log; none without a log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - 400 * count))
                return file.read().decode("utf-8", "replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def follow_log(self) -> Iterator[str]:
        """What is written to its log from now on, as it comes, without end."""
        self.log.touch()
        with self.log.open(encoding="utf-8", errors="replace") as file:
            file.seek(0, 2)
            while True:
                if text := file.read():
                    yield text
                else:
                    time.sleep(0.5)

    def set_aside(self) -> Path:
        """Rename the folder to `…-old-<time>`, where no look-up finds it, and give its new path.

        The caller holds the lease; it is left behind with the old folder and dies with its process.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return self.path.rename(self.path.with_name(f"{self.path.name}-old-{stamp}"))


def split_name(folder_name: str) -> tuple[str, str]:
    """(name, 16 hex digits) of a run folder's name; the digits are empty for any other folder's name."""
    match = _NAME.fullmatch(folder_name)
    return (match["name"] or "", match["hex"]) if match else (folder_name, "")


def results_folder(given: Path | str | None = None) -> Path:
    """The results folder: the one that is given, else SSLRUN_RESULTS, else `results`."""
    return user_path(given or os.environ.get("SSLRUN_RESULTS") or "results", "the results folder")


def run_folders(results: Path) -> list[RunFolder]:
    """The folders in `results` that are called as runs are, by name; none if there is no such folder."""
    if not results.is_dir():
        return []
    return [RunFolder(path) for path in sorted(results.iterdir()) if split_name(path.name)[1] and path.is_dir()]


def by_identity(results: Path) -> dict[str, RunFolder]:
    """All runs in `results`. Folders that don't say which run they are, left half made, are passed over."""
    found = {}
    for folder in run_folders(results):
        with suppress(InputError):
            found[folder.identity] = folder
    return found


def find(results: Path, identity: str, name: str = "") -> RunFolder | None:
    """The folder of the run with this full identity, whatever its name, or none. It is looked for under `name` first,
    which is faster where there are thousands.

    Raises `InputError` where a folder has the same 16 digits but another identity inside.
    """
    likely, other = RunFolder(results / f"{name}-{identity[:HEX_DIGITS]}"), None
    with suppress(InputError):
        if name and likely.identity == identity:
            return likely
    for path in sorted(results.glob(f"*{identity[:HEX_DIGITS]}")):
        if split_name(path.name)[1] and (path / "identity.json").exists():
            folder = RunFolder(path)
            if folder.identity == identity:
                return folder
            other = folder
    if other is not None:
        raise _other_identity(other.path, other.identity, identity)
    return None


def create(
    results: Path, name: str, identity: str, recipe_yaml: str, values: dict[str, Any] | None = None
) -> RunFolder:
    """The folder of this run, made now (state `queued`) unless it is there. Processes that race get the same one.

    `identity` is the full hash in hex; `recipe_yaml` the resolved recipe, `values` what it reads as: reading it takes
    longer than all else. Raises `InputError` as `find` does.
    """
    from sslrun.recipe.document import parse  # here, since the recipe's models take a while to import

    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"not a full identity in hex: {identity!r}")
    results.mkdir(parents=True, exist_ok=True)
    with locked(results / ".lock"):
        folder = find(results, identity, name)
        if folder is None:
            folder = RunFolder(results / f"{name}-{identity[:HEX_DIGITS]}")
            write_text(folder.recipe, recipe_yaml)
            folder.write_status(Status(State.QUEUED, created=utc_now()))
            recipe = values or parse(recipe_yaml, str(folder.recipe)).values
            write_json(folder.path / "identity.json", asdict(RunRecord(identity, recipe)))
    return folder


def _other_identity(path: Path, there: str, wanted: str) -> InputError:
    return InputError(
        f"holds {there}, not the {wanted} that its name stands for; nothing of it is reused",
        where=str(path),
        remedy="Move it out of the results folder, or use another results folder.",
    )
