"""DomainNet with its published lists: `<path>/<domain>/<class>/*` and `<path>/<domain>_{train,test}.txt`.

One learns from the `train` lists of the source domains. That their `test` lists serve for model selection, and that
the test of a domain held out is all of it, is our choice; the BSS paper's is not known to us.
"""

from pathlib import Path

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Split
from sslrun.data.picture_lists import Line, Listed, ListedSet, of_lists
from sslrun.errors import DataError
from sslrun.recipe.schema import DomainNet

# The 20 classes of the protocol for unsupervised domain generalization (Zhang et al., CVPR 2022).
UDG20 = (
    "The_Eiffel_Tower", "bee", "bird", "blueberry", "broccoli", "fish", "flower", "giraffe", "grass", "hamburger",
    "hexagon", "horse", "sun", "tiger", "toaster", "tornado", "train", "violin", "watermelon", "zigzag",
)  # fmt: skip
TRAIN = {
    "clipart": 33_525, "infograph": 36_023, "painting": 50_416, "quickdraw": 120_750, "real": 120_906, "sketch": 48_212,
}  # fmt: skip
TEST = {
    "clipart": 14_604, "infograph": 15_582, "painting": 21_850, "quickdraw": 51_750, "real": 52_041, "sketch": 20_916,
}  # fmt: skip
"""Pictures of all 345 classes in each domain's published lists: 409,832 and 176,743 in all."""


@open_dataset.register(DomainNet)
class DomainNetSet(ListedSet):
    """The pictures of the classes chosen."""

    section: DomainNet
    title = "DomainNet"
    layout = "{place}/DOMAIN/CLASS/* and {place}/DOMAIN_{train,test}.txt"

    @property
    def lists(self) -> list[tuple[Path, Path]]:
        return [(self.folder / f"{name}_train.txt", self.folder / f"{name}_test.txt") for name in DomainNet.DOMAINS]

    def published(self) -> dict[Split, int] | None:
        """Those of the lists, for all classes: how many of them are of the 20 is not known without them."""
        if self.section.classes != "all":
            return None
        return of_lists(TRAIN, TEST, self.section.held_out)

    def find(self) -> Listing:
        """Raises `DataError` for a list that is foreign or lacks a class, and as `listed` does."""
        udg20 = self.section.classes == "udg20"
        numbers: dict[int, Line] = {}

        def wanted(line: Line) -> bool:
            first = numbers.setdefault(line.number, line)
            if first.label != line.label:
                raise DataError(
                    f"'{line.label}' has number {line.number}, as '{first.label}' at {first.where}", where=line.where
                )
            return not udg20 or line.label in UDG20

        found = self.listed(wanted)
        names = UDG20 if udg20 else tuple(numbers[number].label for number in sorted(numbers))
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"the lists give '{twice}' several numbers", where=self.place)
        _complete(found, names, self.lists)
        return self.as_listing(found, names)


def _complete(found: list[Listed], names: tuple[str, ...], lists: list[tuple[Path, Path]]) -> None:
    """Raise `DataError` if a domain has no training picture of some class."""
    there = {(one.domain, one.picture.label) for one in found if not one.validation}
    for domain, (training, _) in enumerate(lists):
        for name in names:
            if (domain, name) not in there:
                raise DataError(f"no picture of the class '{name}'", where=str(training))
