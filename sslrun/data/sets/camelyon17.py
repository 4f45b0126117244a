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
from sslrun.data.digests import facts
from sslrun.data.domains import DomainSet
from sslrun.data.listing import FileState, Listing, Picture, Split
from sslrun.data.pictures import PictureSet, listed
from sslrun.errors import DataError
from sslrun.recipe.schema import Camelyon17

SIDE = 96
CLASSES = ("normal", "tumour")
NUMBERS = ("0", "1", "2", "3", "4")  # as the table writes them
PUBLISHED = {"train": 302_436, "id_val": 33_560, "val": 34_904, "test": 85_054}
"""Patches in WILDS' splits: of hospitals 0, 3 and 4 the first two, of 1 the third, of 2 the fourth."""
COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center", "split")


@open_dataset.register(Camelyon17)
class Camelyon17Set(DomainSet, PictureSet):
    """All patches in the order of the table."""

    section: Camelyon17
    shape = (3, SIDE, SIDE)
    download_bytes = 10_658_709_504  # as WILDS' own downloader has it
    title = "Camelyon17-WILDS"
    layout = "{place}/ with metadata.csv and patches/"

    @property
    def files(self) -> list[Path]:
        return [self.folder / "metadata.csv"]

    def published(self) -> dict[Split, int] | None:
        """WILDS' own splits, and none where other hospitals are held out."""
        if set(self.section.held_out) != {"hospital_1", "hospital_2"}:
            return None
        learning, test = PUBLISHED["train"], PUBLISHED["val"] + PUBLISHED["test"]
        return {"pretrain": learning, "train": learning, "validation": PUBLISHED["id_val"], "test": test}

    def facts(self) -> Iterator[str]:
        """The table, and every patch that it names."""
        self.require_files()
        [path] = self.files
        yield from facts(path.parent, [(path.name, FileState.of(path.stat()))], self.root)
        yield from self.picture_facts(self.whole.pictures)

    def find(self) -> Listing:
        """Raises `DataError` naming a wrong line, or a patch that is not there."""
        self.require_files()
        [path] = self.files
        patches: list[tuple[str, str]] = []  # path and class
        of_domain: list[tuple[int, bool]] = []
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if missing := [name for name in COLUMNS if name not in header]:
                raise DataError(f"no column '{missing[0]}'", where=f"{path}:1", remedy=f"Needed: {', '.join(COLUMNS)}.")
            places = [header.index(name) for name in COLUMNS]
            for row in rows:
                try:
                    patient, node, x, y, tumour, centre, split = (row[place] for place in places)
                    label = CLASSES[NUMBERS[:2].index(tumour)]
                    of_domain.append((NUMBERS.index(centre), NUMBERS[:2].index(split) == 1))
                except (IndexError, ValueError) as error:
                    raise DataError(
                        f"expected tumor 0 or 1, center 0 to 4, split 0 or 1, not '{','.join(row)[:80]}'",
                        where=f"{path}:{rows.line_num}",
                        remedy="It is cut off or another file. Fetch it again.",
                    ) from error
                slide = f"patient_{patient}_node_{node}"
                patches.append((f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png", label))
        pictures = _as_they_are(path, patches)
        domains, validation = np.array(of_domain, dtype=np.int64).reshape(-1, 2).T
        return listed(
            self.folder,
            pictures,
            CLASSES,
            SIDE,
            domains=domains,
            domain_names=Camelyon17.DOMAINS,
            validation=validation == 1,
        )


def _as_they_are(path: Path, patches: list[tuple[str, str]]) -> list[Picture]:
    """The patches, by path and class, as they lie beside the table at `path`. Raises `DataError` for the first that is
    not there."""
    there: dict[str, dict[str, os.DirEntry[str]]] = {}
    found = []
    for count, (name, label) in enumerate(patches):
        folder, _, patch = name.rpartition("/")
        if folder not in there:
            place = path.parent / folder
            there[folder] = {entry.name: entry for entry in os.scandir(place)} if place.is_dir() else {}
        if patch not in there[folder]:
            raise DataError(
                f"names no file: {path.parent / name}",
                where=f"{path}:{count + 2}",
                remedy="Unpack all patches there; all that the table lists are needed.",
            )
        found.append(Picture(name, label, FileState.of(there[folder][patch].stat())))
    return found
