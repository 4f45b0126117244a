"""What of a recipe's data is there, what is missing and how to get it: `sslrun data check RECIPE [--download]`.

Reads labels and lists files, decodes nothing and needs no torch, except to download.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sslrun.data import cache, cifar, domainnet, pacs, stl10
from sslrun.data.pictures import base
from sslrun.data.source import Labels, Source, Split
from sslrun.data.sources import cache_key, chosen
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import (
    Camelyon17,
    Cifar,
    Data,
    Digits,
    DigitsStyles,
    DomainFolders,
    DomainNet,
    DomainSection,
    Folder,
    Gaussian,
    Pacs,
    Stl10,
)


@dataclass
class DataReport:
    """The state of a data set: images by split and domain, names of classes, the cache's size, and what is wrong."""

    kind: str
    place: str  # the folder that holds it, or "built in"
    counts: dict[str, int] = field(default_factory=dict)
    domain_counts: dict[str, dict[str, int]] = field(default_factory=dict)  # images of a domain by split
    class_names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()  # (C, H, W), or (D,)
    cache_place: str | None = None  # None: read directly
    cache_bytes: int = 0  # of all its parts, made or not
    cache_missing_bytes: int = 0  # of those that the first run will make
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether a run could start."""
        return not self.problems

    def text(self) -> str:
        """The report as lines for the terminal."""
        lines = [f"{self.kind}   {self.place}"]
        if self.counts:
            images = _listed(self.counts)
            if len(self.shape) == 1:
                lines.append(f"vectors  {images}; {self.shape[0]} dimensions")
            else:
                side = "×".join(map(str, self.shape[1:]))
                lines.append(f"images   {images}; {len(self.class_names)} classes; {self.shape[0]} × {side}")
        width = max(map(len, self.domain_counts), default=0)
        lines += [f"  {name:{width}}  {_listed(counts)}" for name, counts in self.domain_counts.items()]
        if self.ok and self.cache_place is not None:
            missing = cache.size_text(self.cache_missing_bytes)
            state = f"the first run will write {missing} of it" if self.cache_missing_bytes else "made already"
            lines.append(f"cache    {cache.size_text(self.cache_bytes)} in {self.cache_place}: {state}")
        return "\n".join([*lines, *self.problems, *(["ready"] if self.ok else [])])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


def check(data: Data, root: Path) -> DataReport:
    """Look at everything that a run on `data` would read, short of pixels; problems are told, not raised."""
    report = DataReport(data.kind, _place(data, root))
    missing = [path for path in _files(data, root) if not path.is_file()]
    apart = isinstance(data, Stl10) and data.pretrain != "train"  # elsewhere one pretrains on `train`
    splits: tuple[Split, ...] = ("pretrain", "train", "test") if apart else ("train", "test")
    if isinstance(data, Gaussian):
        splits = ("pretrain",)
    if isinstance(data, DomainSection):
        splits = ("train", "validation", "test")
    for split in splits:
        try:
            source, index = chosen(data, root, split)
            key = cache_key(data, root, split)
            cached = key is not None and cache.find(root, key) is not None
            report.cache_place = None if key is None else str(cache.place(root))
        except DataError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        report.counts[split] = len(index)
        report.class_names, report.shape = source.class_names, source.shape
        for name, count in zip(source.domain_names, _counted(source, index), strict=True):
            report.domain_counts.setdefault(name, {}).update({split: count} if count else {})
        if key is not None:
            size = len(index) * int(np.prod(source.shape))
            report.cache_bytes += size
            report.cache_missing_bytes += 0 if cached else size
    if len(missing) > 1:
        report.problems.append(f"missing in all: {', '.join(path.name for path in missing)}")
    return report


def _counted(source: Source, index: Labels) -> list[int]:
    """How many of the images at `index` are of each domain."""
    domains = np.zeros(0, dtype=np.int64) if source.domains is None else source.domains[index]
    counts: list[int] = np.bincount(domains, minlength=len(source.domain_names)).tolist()
    return counts


def download(data: Data, root: Path) -> None:
    """Fetch STL-10 or CIFAR into `root` with torchvision's downloaders; files that are right are not fetched again.

    What is built in or drawn needs nothing. Raises `InputError` for what has no downloader, `DataError` if the download
    fails.
    """
    if isinstance(data, Digits | DigitsStyles | Gaussian):
        return
    if isinstance(data, Folder):
        raise InputError(
            "class folders have no downloader",
            where="data.kind",
            remedy=f"Put the pictures under {base(data, root)}/{data.train}/CLASS/ and .../{data.test}/CLASS/",
        )
    if isinstance(data, Pacs | DomainNet | Camelyon17 | DomainFolders):
        raise InputError(
            f"{data.kind} has no downloader",
            where="data.kind",
            remedy=f"Get it from its publishers and unpack it at {base(data, root)}; without --download this command "
            "says what should lie there.",
        )
    from torchvision import datasets

    downloaders = {"stl10": datasets.STL10, "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
    root.mkdir(parents=True, exist_ok=True)
    try:
        downloaders[data.kind](str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"the download failed: {error}", where=str(root), remedy="Try again, or copy it there."
        ) from error


def _files(data: Data, root: Path) -> list[Path]:
    match data:
        case Stl10():
            return stl10.files(data, root)
        case Cifar():
            return cifar.files(data, root)
        case Pacs():
            return [path for both in pacs.files(data, root) for path in both]
        case DomainNet():
            return [path for both in domainnet.files(data, root) for path in both]
        case _:
            return []


def _place(data: Data, root: Path) -> str:
    match data:
        case Digits() | DigitsStyles():
            return "built in"
        case Gaussian():
            return "drawn"
        case Stl10():
            return str(root / stl10.FOLDER)
        case Cifar():
            return str(root / cifar.LAYOUTS[data.kind].folder)
        case Folder() | Pacs() | DomainNet() | Camelyon17() | DomainFolders():
            return str(base(data, root))
    raise TypeError(f"nothing here for {data.kind}")
