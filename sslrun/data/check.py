"""What of a recipe's data is there, what is missing or can't be read, and how to get it: `sslrun data check RECIPE`.

Needs no torch. What each kind looks for is its file's in `sets`.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sslrun.data import cache, suiting
from sslrun.data.dataset import Dataset
from sslrun.data.decoding import Unreadable
from sslrun.data.listing import Labels, Listing, Progress, Split
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Recipe


@dataclass
class DataReport:
    """The state of a data set: images by split and domain (`validation and test` where these are the same), names of
    classes, the cache's size, and what is wrong."""

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
                classes = f"{len(self.class_names)} classes" if self.class_names else "no labels"
                lines.append(f"images   {images}; {classes}; {self.shape[0]} × {side}")
        width = max(map(len, self.domain_counts), default=0)
        lines += [f"  {name:{width}}  {_listed(counts)}" for name, counts in self.domain_counts.items()]
        if self.ok and self.cache_place is not None:
            missing = cache.size_text(self.cache_missing_bytes)
            state = f"the first run will write {missing} of it" if self.cache_missing_bytes else "made already"
            lines.append(f"cache    {cache.size_text(self.cache_bytes)} in {self.cache_place}: {state}")
        return "\n".join([*lines, *self.problems, *(["ready"] if self.ok else [])])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


def check(dataset: Dataset, recipe: Recipe | None = None, watch: Progress = lambda *_: None) -> DataReport:
    """Look at everything that a run would read; problems are noted, not raised. Pictures that are not in the cache are
    decoded, and not kept; `watch(done, total)` is called meanwhile.

    With a recipe, splits that it does not need may be missing, and what their counts and names tell of it is said.
    """
    report = DataReport(dataset.section.kind, dataset.place)
    needed: set[Split] = set(dataset.splits)
    if recipe is not None:
        needed = {"pretrain", *(split for section in recipe.judged().values() for split in section.SPLITS)}
    problems: list[InputError] = []
    unseen: dict[str, tuple[Listing, Labels]] = {}  # by part: what no run has decoded
    for part, (split, *others) in _splits_of_parts(dataset).items():
        asked = not needed.isdisjoint({split, *others})
        alone = split == dataset.part("pretrain") and not asked  # needed for pretraining, and that only
        try:
            listing, index = dataset.chosen("pretrain" if alone else split, empty=True)
            decoded = dataset.decoded(split)
            report.cache_place = str(cache.place(dataset.root)) if dataset.cached else None
        except DataError as error:
            if alone or asked:
                problems.append(error)
            continue
        named = " and ".join([split, *others])
        report.counts[named] = len(index)
        report.class_names, report.shape = listing.class_names, dataset.shape
        for domain, name in enumerate(listing.domain_names):
            count = 0 if listing.domains is None else int((listing.domains[index] == domain).sum())
            report.domain_counts.setdefault(name, {}).update({named: count} if count else {})
        if dataset.cached:
            size = len(index) * int(np.prod(dataset.shape))
            report.cache_bytes += size
            report.cache_missing_bytes += 0 if decoded else size
            if not decoded and (alone or asked):
                unseen[part] = listing, index
    missing = [path.name for path in dataset.files if not path.is_file()]
    if len(missing) > 1:
        report.problems.append(f"missing in all: {', '.join(missing)}")
    if bad := unreadable(list(unseen.values()), watch):
        problems.append(in_one(bad, None if dataset.files else dataset.place))
    if recipe is not None and not problems:
        problems += suiting.problems(recipe, dataset)
    told = {str(error): error for error in problems}
    last = {error.remedy: text for text, error in told.items()}  # what several have for a remedy is said once
    texts = (text if text == last[one.remedy] else text.removesuffix(f"\n{one.remedy}") for text, one in told.items())
    report.problems = [*texts, *report.problems]
    return report


def _splits_of_parts(dataset: Dataset) -> dict[str, list[Split]]:
    """The splits that each part of the images is: one may be several. Pretraining is told where it has its own."""
    found: dict[str, list[Split]] = {}
    for split in dataset.splits:
        if (split, part := dataset.part(split)) != ("pretrain", "train"):
            found.setdefault(part, []).append(split)
    return found


def unreadable(chosen: Sequence[tuple[Listing, Labels]], watch: Progress = lambda *_: None) -> list[DataError]:
    """What is wrong with each picture that can't be decoded."""
    bad: list[DataError] = []
    done, total = 0, sum(len(index) for _, index in chosen)
    for listing, index in chosen:
        try:
            for block in listing.blocks(index):
                done += len(block)
                watch(done, total)
        except Unreadable as error:
            bad += error.bad
    return bad


def in_one(bad: Sequence[DataError], folder: str | None) -> DataError:
    """All of them in one error; with a command that moves them out of their `folder`, unless a list names pictures."""
    remedy = "Put good copies in their places: all that are listed are needed."
    if folder is not None:
        place = Path(folder).resolve()
        names = " ".join(shlex.quote(os.path.relpath(error.where or "", folder)) for error in bad)
        there, aside = (shlex.quote(str(path)) for path in (place, place.with_name(f"{place.name}-unreadable")))
        move = 'mkdir -p "$to/$(dirname "$f")" && mv "$f" "$to/$f"'
        remedy = "Put good copies in their places, or move them away, which makes another set of those that are left:\n"
        remedy += f"  (cd {there} && to={aside} && for f in {names}; do {move}; done)"
    count = f"{len(bad):,} picture{'s' * (len(bad) > 1)} can't be read"
    return DataError("\n".join([count, *(f"  {error.where}: {error.what}" for error in bad)]), remedy=remedy)
