"""Any pictures below one folder, flat or nested, without labels: `<path>/**/*.jpg`.

`data.pictures` finds and decodes them; class folders are in `folder`.
"""

from collections.abc import Iterator
from functools import cached_property

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Picture, Split
from sslrun.data.pictures import PictureSet, every_picture, listed
from sslrun.recipe.schema import Pictures


@open_dataset.register(Pictures)
class AnyPictures(PictureSet):
    """The pictures of a folder by name; every split is all of them."""

    section: Pictures

    @cached_property
    def found(self) -> list[Picture]:
        """Raises `DataError` for a folder that is not there, or has no pictures."""
        return every_picture(self.folder, whereabouts=self.whereabouts)

    def part(self, split: Split) -> str:
        """One part, whatever is asked for."""
        return "train"

    def facts(self) -> Iterator[str]:
        """Each picture with the digest of its content."""
        yield from self.picture_facts(self.found)

    def listing(self, split: Split) -> Listing:
        """All of them, unlabelled. Raises `DataError` as `found` does."""
        return listed(self.folder, self.found, (), self.section.store)
