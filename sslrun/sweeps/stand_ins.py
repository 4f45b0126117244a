"""Data sets that are not here, as far as a plan must know them: how many images there are, from what was published.

`session.planned` plans on them where data are missing and nothing is to be started; runs never see one.
"""

from collections.abc import Iterable
from pathlib import Path

from sslrun.data import Dataset, open_dataset
from sslrun.data.cache import size_text
from sslrun.errors import DataError
from sslrun.grids import Cell
from sslrun.recipe.schema.judging import Counts
from sslrun.sweeps.work import Known

ASSUMED = {"pretrain": 10_000, "train": 10_000, "validation": 2_000, "test": 2_000}
"""Images of a set of which nothing is known."""


def stand_ins(cells: Iterable[Cell], root: Path) -> tuple[Known, list[str]]:
    """What `jobs_of` must know of the data of cells; and a line for each set that is not here."""
    known: Known = {}
    said: dict[str, None] = {}
    for cell in cells:
        recipe = cell.recipe
        key = (recipe.data.model_dump_json(), recipe.network.weights)
        if key in known:
            continue
        data = open_dataset(recipe.data, root)
        try:
            known[key] = open_dataset(recipe.data, root, data.fingerprint), None
        except DataError as error:
            data = open_dataset(recipe.data, root, "0" * 64)
            for split, count in (data.published() or ASSUMED).items():
                limit = data.limit(split)  # type: ignore[arg-type]
                data.counted[split] = Counts(count if limit is None else min(count, limit))
            known[key] = data, None
            said[f"not here: {error}"] = None
            said[_size(data)] = None
    return known, list(said)


def _size(data: Dataset) -> str:
    counts = data.published()
    name = data.section.words()
    if counts is None:
        return f"planned as if {name} had {ASSUMED['pretrain']:,} images to pretrain on: their number is not known"
    pixels = sum(counts.values())
    for length in data.shape:
        pixels *= length
    fetched = f"{size_text(data.download_bytes)} to download, " if data.download_bytes else ""
    kept = size_text(pixels if data.cached else 0)
    cache = f", and {kept} of cache" if data.cached else ""
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    return f"planned for {name} as published ({listed}): {fetched}{size_text(pixels)} on disk{cache}"
