"""A note and tags on a run, `notes.json` in its folder: given with the run (`--note`, `--tag`) or by `sslrun note`.

They say nothing of its numbers and may be changed at any time.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

from sslrun.errors import InputError
from sslrun.files import write_json
from sslrun.recipe.schema.run import TAG
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import Record, read


@dataclass(frozen=True)
class Notes(Record):
    """What people have said of a run."""

    what: ClassVar[str] = "notes on a run"
    remedy: ClassVar[str] = "Remove the file: nothing but a note is lost."

    note: str = ""
    tags: tuple[str, ...] = ()

    def tagged(self, wanted: Iterable[str]) -> bool:
        """Whether it has all of these tags."""
        return set(wanted) <= set(self.tags)


def notes_of(folder: RunFolder) -> Notes:
    """What was noted; nothing, if that can't be read."""
    try:
        return read(Notes, folder.path / "notes.json")
    except InputError:
        return Notes()


def take_along(folder: RunFolder, note: str, tags: Iterable[str]) -> bool:
    """Give a run the note and tags that its recipe has; whether it keeps another note, as a finished run does."""
    there = notes_of(folder).note
    kept = bool(note) and there not in ("", note) and folder.status.finished_well
    annotate(folder, None if kept else note or None, tags)
    return kept


def annotate(folder: RunFolder, note: str | None = None, tags: Iterable[str] = (), untag: Iterable[str] = ()) -> Notes:
    """Set the note (`None` leaves it as it is), add and take off tags; what is noted now. Raises `InputError` for a tag
    that is no word, or one to take off that is not there."""
    before, tags, gone = notes_of(folder), list(tags), set(untag)
    if strange := sorted(gone - set(before.tags)):
        there = f"Its tags: {', '.join(before.tags)}." if before.tags else "It has no tags."
        raise InputError(f"{folder.path.name} is not tagged so", where=f"--untag {strange[0]}", remedy=there)
    for tag in tags:
        if not re.match(TAG, tag):
            raise InputError("a tag is a word: letters, digits and . _ / + -", where=f"--tag {tag!r}")
    kept = tuple(tag for tag in dict.fromkeys((*before.tags, *tags)) if tag not in gone)
    after = Notes(before.note if note is None else note, kept)
    if after != before:
        write_json(folder.path / "notes.json", asdict(after))
    return after
