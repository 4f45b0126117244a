"""PACS with its official split lists: `<path>/<domain>/<class>/*` and `<path>/splits/<domain>_*_kfold.txt`.

One learns from the `train` lists and chooses by the `crossval` lists; the two together are the whole domain, which is
the test of a domain that is held out. The domains may also lie in `<path>/kfold/`, as published, or in
`<path>/images/`, as Dassl has them; its code leaves out sketch/dog/n02103406_4068-1.png, which counts here.
"""

from pathlib import Path

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Split
from sslrun.data.picture_lists import Line, ListedSet, of_lists
from sslrun.errors import DataError
from sslrun.recipe.schema import Pacs

TRAIN = {"photo": 1_499, "art_painting": 1_840, "cartoon": 2_107, "sketch": 3_531}
HELD_OUT = {"photo": 171, "art_painting": 208, "cartoon": 237, "sketch": 398}
"""Pictures in each domain's official lists."""
CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")  # numbered from 1 in the lists


@open_dataset.register(Pacs)
class PacsSet(ListedSet):
    """All pictures that are listed."""

    section: Pacs
    title = "PACS"
    layout = "{place}/DOMAIN/CLASS/* and {place}/splits/DOMAIN_{train,crossval}_kfold.txt"

    @property
    def lists(self) -> list[tuple[Path, Path]]:
        folder = self.folder / "splits"
        return [(folder / f"{name}_train_kfold.txt", folder / f"{name}_crossval_kfold.txt") for name in Pacs.DOMAINS]

    @property
    def below(self) -> str:
        return next((name for name in ("kfold", "images") if (self.folder / name).is_dir()), "")

    def published(self) -> dict[Split, int]:
        """Those of the official lists."""
        return of_lists(TRAIN, HELD_OUT, self.section.held_out)

    def find(self) -> Listing:
        """Raises `DataError` for a foreign list, and as `listed` does."""
        return self.as_listing(self.listed(_known), CLASSES)


def _known(line: Line) -> bool:
    """True, if the number is that of the class. Raises `DataError` otherwise."""
    if line.label not in CLASSES or line.number != CLASSES.index(line.label) + 1:
        numbers = ", ".join(f"{name} {number}" for number, name in enumerate(CLASSES, 1))
        raise DataError(f"'{line.label}' is not class {line.number} of PACS", where=line.where, remedy=f"({numbers})")
    return True
