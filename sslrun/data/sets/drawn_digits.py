"""What scikit-learn's digits drawn in domains share: which digit is in which domain, and that every machine draws the
same bytes. Every digit exists in one domain only. The sets themselves: `digits_styles`, `digits_casts`.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sslrun.data.domains import DomainSet
from sslrun.data.listing import Labels, Listing, in_memory, places
from sslrun.data.sets import digits
from sslrun.errors import DataError


class DrawnDigits(DomainSet):
    """The digits, drawn."""

    DIGEST: ClassVar[str]
    """sha256 of the 1,797 images as bytes, in scikit-learn's order."""

    @abstractmethod
    def draw(self, values_NHW: NDArray[np.uint8], domains_N: Labels) -> NDArray[np.uint8]:
        """Digits of values 0..16 as images (N, 3, H, W), each in its domain; what varies is drawn by the place in N."""

    def facts(self) -> Iterator[str]:
        yield self.DIGEST

    def find(self) -> Listing:
        """Raises `DataError` if what was drawn is not the known images."""
        values, labels = digits.known()
        domains, held_out = assign(labels, len(self.section.DOMAINS))
        images = self.draw(values, domains)
        if hashlib.sha256(images.tobytes()).hexdigest() != self.DIGEST:
            raise DataError(
                "the drawn digits are not the known ones",
                where=f"data.kind: {self.section.kind}",
                remedy="Report this as a bug.",
            )
        drawn = in_memory(images, labels, digits.CLASSES)
        return replace(drawn, domains=domains, domain_names=self.section.DOMAINS, validation=held_out)


def assign(labels: Labels, domains: int) -> tuple[Labels, NDArray[np.bool_]]:
    """The domain of each digit, and whether it is held out from learning, (N,) each.

    The digits of a class take the domains in turn, class c beginning with domain c mod `domains`, so that their sizes
    differ by few; of a domain's digits of a class every fifth is held out.
    """
    place = places(labels)
    return (place + labels) % domains, place // domains % 5 == 4


def raw_bytes(count: int) -> NDArray[np.uint8]:
    """So many random bytes, a multiple of 8: a bit generator's raw stream is the same in every version of NumPy, that
    of its distributions may change."""
    return np.frombuffer(np.random.PCG64(0).random_raw(count // 8).astype("<u8").tobytes(), np.uint8)
