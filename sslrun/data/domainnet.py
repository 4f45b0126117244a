"""DomainNet with its published lists: `<path>/<domain>/<class>/*` and `<path>/<domain>_{train,test}.txt`.

One learns from the `train` lists of the source domains. That their `test` lists serve for model selection, and that
the test of a domain held out is all of it, is our choice; the BSS paper's is not known to us.
"""

from pathlib import Path

from sslrun.data.domains import DomainPictures
from sslrun.data.listed import Line, Listed, as_pictures, listed
from sslrun.data.pictures import base
from sslrun.data.source import require
from sslrun.errors import DataError
from sslrun.recipe.schema import DomainNet

# The 20 classes of the protocol for unsupervised domain generalization (Zhang et al., CVPR 2022).
UDG20 = (
    "The_Eiffel_Tower", "bee", "bird", "blueberry", "broccoli", "fish", "flower", "giraffe", "grass", "hamburger",
    "hexagon", "horse", "sun", "tiger", "toaster", "tornado", "train", "violin", "watermelon", "zigzag",
)  # fmt: skip


def files(data: DomainNet, root: Path) -> list[tuple[Path, Path]]:
    """The training list and the held-out list of each domain."""
    folder = base(data, root)
    return [(folder / f"{name}_train.txt", folder / f"{name}_test.txt") for name in DomainNet.DOMAINS]


def pictures(data: DomainNet, root: Path) -> DomainPictures:
    """The pictures of the classes chosen. Raises `DataError` for a list that is missing, foreign or lacks a class, as
    `listed` does too."""
    folder, lists = base(data, root), files(data, root)
    layout = f"{folder}/DOMAIN/CLASS/* and {folder}/DOMAIN_{{train,test}}.txt"
    require([path for both in lists for path in both], layout, "DomainNet", downloads=False)
    numbers: dict[int, Line] = {}

    def wanted(line: Line) -> bool:
        first = numbers.setdefault(line.number, line)
        if first.label != line.label:
            raise DataError(
                f"'{line.label}' has number {line.number}, as '{first.label}' at {first.where}", where=line.where
            )
        return data.classes == "all" or line.label in UDG20

    found = listed(lists, DomainNet.DOMAINS, folder, wanted)
    names = UDG20 if data.classes == "udg20" else tuple(numbers[number].label for number in sorted(numbers))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the lists give '{twice}' several numbers", where=str(folder))
    _complete(found, names, lists)
    return as_pictures(found, folder, names, DomainNet.DOMAINS)


def _complete(found: list[Listed], names: tuple[str, ...], lists: list[tuple[Path, Path]]) -> None:
    """Raise `DataError` if a domain has no training picture of some class."""
    there = {(one.domain, one.line.label) for one in found if not one.validation}
    for domain, (training, _) in enumerate(lists):
        for name in names:
            if (domain, name) not in there:
                raise DataError(f"no picture of the class '{name}'", where=str(training))
