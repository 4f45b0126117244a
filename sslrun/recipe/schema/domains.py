"""Sets of several domains, some of which can be held out from learning; the other kinds of data are in `data`."""

from typing import ClassVar, Literal, get_args

from pydantic import field_validator

from sslrun.recipe.schema.base import Misfit, option
from sslrun.recipe.schema.data import CITE_DIGITS, Data, store_option

DigitStyle = Literal["chalk", "halftone", "ink", "neon"]
DigitLight = Literal["dusk", "ember", "moss", "plum"]
PacsDomain = Literal["art_painting", "cartoon", "photo", "sketch"]
DomainNetDomain = Literal["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]
Hospital = Literal["hospital_0", "hospital_1", "hospital_2", "hospital_3", "hospital_4"]


class DomainSection(Data):
    """What sets of several domains share. One learns from the training images of the source domains, chooses by their
    held-out images (`validation`) and judges by all images of the domains held out (`test`)."""

    SEVERAL_DOMAINS = True
    DOMAINS: ClassVar[tuple[str, ...]] = ()  # in their fixed order; empty where the folders decide

    held_out: tuple[str, ...] = option(
        (),
        "The target domains: neither pretraining nor fitting sees them, and all their images are the test set. If "
        "none is held out, the held-out images of all domains are the test set.",
    )

    @field_validator("held_out")
    @classmethod
    def _some_domain_is_left(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Sorted, since the order says nothing."""
        if len(set(names)) < len(names):
            raise Misfit(f"'{next(name for name in names if names.count(name) > 1)}' is named twice")
        if names and set(names) == set(cls.DOMAINS):
            raise Misfit("all domains are held out: none is left to learn from")
        return tuple(sorted(names))

    def words(self) -> str:
        """Its name and the domains that are kept from learning."""
        return super().words() + (f" without {', '.join(self.held_out)}" if self.held_out else "")


class DigitsStyles(DomainSection):
    """scikit-learn's real digits in four drawn styles, 32×32 in colour; every digit exists in one style only.

    These styles can't show what FA or BSS are for: polarity, outlines and screens are phase, and amplitudes are all
    that a Fourier style changes. Sets whose styles are amplitude alone: `digits_casts`, `digits_lenses`.
    """

    PAPERS = CITE_DIGITS
    WORDS = "digits in styles"
    DOMAINS = get_args(DigitStyle)

    kind: Literal["digits_styles"] = option(description="Built in: 1,797 colour images, 10 classes, 4 domains.")
    held_out: tuple[DigitStyle, ...] = option((), "The target styles; see `held_out` of any set of domains.")


class DigitsCasts(DomainSection):
    """scikit-learn's real digits under coloured light, 16×16: a ground, a gain and a blur for each channel of each
    image. The style is amplitude and nothing else, and tells every image from all others: a total shortcut."""

    PAPERS = CITE_DIGITS
    WORDS = "digits under casts"
    DOMAINS = get_args(DigitLight)

    kind: Literal["digits_casts"] = option(description="Built in: 1,797 colour images, 10 classes, 4 domains.")
    held_out: tuple[DigitLight, ...] = option((), "The target lights; see `held_out` of any set of domains.")


class DigitsLenses(DigitsCasts):
    """The digits of `digits_casts`, each also seen through a lens with ghosts: a style of amplitude alone that no
    jitter of colours can undo."""

    WORDS = "digits through lenses"

    kind: Literal["digits_lenses"] = option(description="Built in: 1,797 colour images, 10 classes, 4 domains.")  # type: ignore[assignment]


class Pacs(DomainSection):
    """PACS: `<path>/<domain>/<class>/*` (or below `<path>/kfold/` or `<path>/images/`) with the official split lists as
    `<path>/splits/<domain>_{train,crossval}_kfold.txt`."""

    WORDS = "PACS"
    DOMAINS = get_args(PacsDomain)

    kind: Literal["pacs"] = option(description="9,991 pictures, 7 classes, 4 domains.")
    path: str = option("PACS", "The folder, absolute or below the data folder.", operational=True)
    held_out: tuple[PacsDomain, ...] = option((), "The target domains, usually one: leave-one-domain-out.")
    store: int = store_option()


class DomainNet(DomainSection):
    """DomainNet with its published lists: `<path>/<domain>/<class>/*`, `<path>/<domain>_{train,test}.txt`."""

    WORDS = "DomainNet"
    DOMAINS = get_args(DomainNetDomain)

    kind: Literal["domainnet"] = option(description="6 domains; 20 of the 345 classes, or all.")
    path: str = option("DomainNet", "The folder, absolute or below the data folder.", operational=True)
    classes: Literal["udg20", "all"] = option(
        "udg20", "The 20 classes of the protocol for unsupervised domain generalization (Zhang et al., CVPR 2022)."
    )
    held_out: tuple[DomainNetDomain, ...] = option(
        ("clipart", "infograph", "quickdraw"),
        "The target domains. The protocol's other direction holds out painting, real and sketch.",
    )
    store: int = store_option()


class Camelyon17(DomainSection):
    """Camelyon17-WILDS: `<path>/metadata.csv` and 96×96 patches of lymph nodes from five hospitals, healthy or not."""

    WORDS = "Camelyon17"
    DOMAINS = get_args(Hospital)

    kind: Literal["camelyon17"] = option(description="455,954 patches, 2 classes, 5 domains.")
    path: str = option("camelyon17_v1.0", "The folder, absolute or below the data folder.", operational=True)
    held_out: tuple[Hospital, ...] = option(
        ("hospital_1", "hospital_2"),
        "The target hospitals: as published 1 for validation out of distribution and 2 for the test.",
    )


class DomainFolders(DomainSection):
    """Any pictures sorted as `<path>/<domain>/<class>/*.jpg`; all domains have the same classes, or none has any."""

    kind: Literal["domains"] = option(description="One folder a domain, in it one folder a class.")
    path: str = option(description="The folder, absolute or below the data folder.", operational=True)
    classes: bool = option(
        True,
        "False for pictures without classes: all below `<path>/<domain>/`, flat or nested, whose other files are "
        "passed over. Then `analyses` says what features know of the domains, and evaluations that compare labels are "
        "left out.",
    )
    validation: float = option(
        0.2,
        "The share of each class of each domain that is held out from learning, at least one picture of two; which "
        "ones is decided by their names alone.",
        gt=0,
        lt=1,
    )
    store: int = store_option()

    @property
    def labelled(self) -> bool:
        return self.classes
