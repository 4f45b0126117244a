"""PACS with its official split lists: `<path>/<domain>/<class>/*` and `<path>/splits/<domain>_*_kfold.txt`.

One learns from the `train` lists and chooses by the `crossval` lists; the two together are the whole domain, which is
the test of a domain that is held out. As published the domains may also lie in `<path>/kfold/`.
"""

from pathlib import Path

from sslrun.data.domains import DomainPictures
from sslrun.data.listed import Line, as_pictures, listed
from sslrun.data.pictures import base
from sslrun.data.source import require
from sslrun.errors import DataError
from sslrun.recipe.schema import Pacs

CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")  # numbered from 1 in the lists


def files(data: Pacs, root: Path) -> list[tuple[Path, Path]]:
    """The training list and the held-out list of each domain."""
    folder = base(data, root) / "splits"
    return [(folder / f"{name}_train_kfold.txt", folder / f"{name}_crossval_kfold.txt") for name in Pacs.DOMAINS]


def pictures(data: Pacs, root: Path) -> DomainPictures:
    """All pictures that are listed. Raises `DataError` for a list that is missing or foreign, as `listed` does too."""
    folder, lists = base(data, root), files(data, root)
    layout = f"{folder}/DOMAIN/CLASS/* and {folder}/splits/DOMAIN_{{train,crossval}}_kfold.txt"
    require([path for both in lists for path in both], layout, "PACS", downloads=False)
    images = folder / "kfold" if (folder / "kfold").is_dir() else folder
    return as_pictures(listed(lists, Pacs.DOMAINS, images, _known), images, CLASSES, Pacs.DOMAINS)


def _known(line: Line) -> bool:
    """True, if the number is that of the class. Raises `DataError` otherwise."""
    if line.label not in CLASSES or line.number != CLASSES.index(line.label) + 1:
        numbers = ", ".join(f"{name} {number}" for number, name in enumerate(CLASSES, 1))
        raise DataError(f"'{line.label}' is not class {line.number} of PACS", where=line.where, remedy=f"({numbers})")
    return True
