"""Camelyon17-WILDS: `metadata.csv` lists 96×96 patches of lymph nodes from five hospitals, tumour in the middle or not.

The patches lie at `patches/patient_P_node_N/patch_patient_P_node_N_x_X_y_Y.png`. Column `split` is 0 for training and
1 for validation in distribution, in every hospital; the names of the hospitals count from 0, as WILDS' code does.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sslrun.data.dataset import open_dataset
from sslrun.data.domains import DomainSet
from sslrun.data.listing import Listing
from sslrun.data.pictures import PictureSet, reader
from sslrun.data.published import fact, require
from sslrun.errors import DataError
from sslrun.recipe.schema import Camelyon17

SIDE = 96
CLASSES = ("normal", "tumour")
COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center", "split")


@open_dataset.register(Camelyon17)
class Camelyon17Set(DomainSet, PictureSet):
    """All patches in the order of the table."""

    section: Camelyon17
    shape = (3, SIDE, SIDE)

    def facts(self) -> Iterator[str]:
        """The table, which names every patch; half a million sizes would take their time."""
        yield fact(self._table(), self.root)

    def _table(self) -> Path:
        path = self.folder / "metadata.csv"
        require([path], f"{self.folder}/ with metadata.csv and patches/", "Camelyon17-WILDS", downloads=False)
        return path

    def find(self) -> Listing:
        """Raises `DataError` naming a wrong line, or a patch that is not there."""
        path = self._table()
        names: list[str] = []
        numbers: list[tuple[int, int, bool]] = []
        known = {
            (str(tumour), str(centre), str(split)): (tumour, centre, split == 1)
            for tumour in range(len(CLASSES))
            for centre in range(len(Camelyon17.DOMAINS))
            for split in (0, 1)
        }
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if missing := [name for name in COLUMNS if name not in header]:
                raise DataError(f"no column '{missing[0]}'", where=f"{path}:1", remedy=f"Needed: {', '.join(COLUMNS)}.")
            places = [header.index(name) for name in COLUMNS]
            for row in rows:
                try:
                    patient, node, x, y, *rest = [row[place] for place in places]
                    numbers.append(known[rest[0], rest[1], rest[2]])
                except (IndexError, KeyError) as error:
                    raise DataError(
                        f"expected tumor 0 or 1, center 0 to 4, split 0 or 1, not '{','.join(row)[:80]}'",
                        where=f"{path}:{rows.line_num}",
                        remedy="It is cut off or another file. Fetch it again.",
                    ) from error
                slide = f"patient_{patient}_node_{node}"
                names.append(f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png")
        _require_patches(path, names)
        labels, domains, validation = np.array(numbers, dtype=np.int64).reshape(-1, 3).T
        blocks = reader(self.folder, names, SIDE)
        return Listing(labels, CLASSES, blocks, domains, Camelyon17.DOMAINS, validation == 1, names)


def _require_patches(path: Path, names: list[str]) -> None:
    """Raise `DataError` for the first patch that is not there. Folders are listed: faster than asking for each file."""
    there: dict[str, set[str]] = {}
    for count, name in enumerate(names):
        folder, _, patch = name.rpartition("/")
        if folder not in there:
            place = path.parent / folder
            there[folder] = {entry.name for entry in os.scandir(place)} if place.is_dir() else set()
        if patch not in there[folder]:
            raise DataError(
                f"names no file: {path.parent / name}",
                where=f"{path}:{count + 2}",
                remedy="Unpack all patches there; all that the table lists are needed.",
            )
