"""The features that a run's encoder gives any pictures: as a table in a file, and as a sheet of nearest neighbours.

Pictures are read some at a time and kept nowhere; what they are made into is what the run's own images were
(`data.decoding`, `views.pipeline`). `evaluation.features` is the pass through the encoder.
"""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslrun.data.check import in_one, unreadable
from sslrun.data.dataset import open_dataset
from sslrun.data.decoding import Unreadable
from sslrun.data.images import ImageSet
from sslrun.data.listing import Labels, Listing, naming_files
from sslrun.data.pictures import every_picture, listed
from sslrun.errors import InputError
from sslrun.evaluation.features import extract
from sslrun.evaluation.own_statistics import calibrated
from sslrun.evaluation.similarity import nearest, unit
from sslrun.files import replacing
from sslrun.jobs.evaluating import check_pretrained
from sslrun.jobs.exporting import finished_encoder, load_encoder
from sslrun.jobs.places import choose_device, images_folder, places
from sslrun.recipe import read_recipe
from sslrun.runs.folder import RunFolder
from sslrun.training.diagnostics import spread
from sslrun.training.starting import starting_encoder
from sslrun.views.pipeline import Views
from sslrun.views.sheet import Column, write_sheet

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and torchvision make grey of colours
_ASKED, _NEIGHBOURS = 8, 10  # pictures of a sheet
_CALIBRATED = 1024


@dataclass(frozen=True, eq=False)
class Embedded:
    """N pictures: their names, and their features (N, D), float32; classes where they have some."""

    run: str
    identity: str
    names: list[str]
    features: Tensor
    about: dict[str, list[str]]
    """`label`, its class, and `domain`, as far as pictures have them."""
    pixels: Callable[[Labels], Tensor]
    """The pictures at an ascending index as the encoder's images are stored, uint8 (n, C, H, W)."""
    before: Tensor | None = None
    """Features (N, D) of the encoder that training started from, if that was drawn at random and is asked for."""


def embed(
    folder: RunFolder,
    pictures: Path | None = None,
    *,
    data: Path | None = None,
    device: str = "auto",
    before: bool = False,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> Embedded:
    """The features of all pictures below a folder, or of the run's training images if none is named; with `before`
    also those of the untrained encoder, whose batch norms have statistics of these pictures.

    `watch(done, total)` is called now and then. Raises `InputError` for a run without an encoder, or of vectors, and
    `DataError` for pictures that can't be read.
    """
    recipe, place = read_recipe(folder.recipe), choose_device(device)
    encoder = load_encoder(finished_encoder(folder)).to(place)
    if recipe.data.HOLDS == "vectors":
        raise InputError("this run learned from vectors, not from pictures", where=folder.path.name)
    own = open_dataset(recipe.data, Path())
    channels, stored = own.shape[0], own.shape[-1]
    if pictures is None:
        where = places(recipe, data=data or images_folder(folder, recipe))
        check_pretrained(recipe, folder, where)
        listing, index = where.data.chosen("pretrain")
    else:
        with naming_files():
            listing = listed(pictures, every_picture(pictures), (), stored)
        index = np.arange(len(listing.labels))
    views = Views(recipe.views, channels=channels, stored=stored)

    def pixels(index: Labels) -> Tensor:
        return torch.cat([_as_stored(block, channels) for block in listing.blocks(index)])

    encoders = [encoder]
    parts, done = list[list[Tensor]](), 0
    try:
        if before and recipe.network.weights is None:
            some_NCHW = pixels(index[spread(len(index), _CALIBRATED).unique().numpy()])
            untrained = starting_encoder(recipe, channels).to(place)
            encoders.append(calibrated(untrained, some_NCHW, views.plain, device=place))
        for block in listing.blocks(index):
            x_NCHW = _as_stored(block, channels)
            images = ImageSet(x_NCHW, torch.full((len(x_NCHW),), -1))
            parts.append([extract(each, images, views.plain, device=place).cpu() for each in encoders])
            done += len(block)
            watch(done, len(index))
    except Unreadable as error:
        if pictures is None:
            raise
        bad = error.bad if parts else unreadable([(listing, index)])  # before there are parts it may be of some alone
        raise in_one(bad, str(pictures)) from error
    features, *untrained_features = (torch.cat(each) for each in zip(*parts, strict=True))
    names = [one.name for one in listing.pictures] or [str(number) for number in range(len(listing.labels))]
    return Embedded(
        folder.path.name,
        folder.identity,
        [_utf8(names[at]) for at in index.tolist()],
        features,
        _about(listing, index),
        lambda chosen: pixels(index[chosen]),
        *untrained_features,
    )


def _as_stored(block: NDArray[Any], channels: int) -> Tensor:
    """Pictures as the run's images are: of one channel if these are grey."""
    x_NCHW = torch.from_numpy(np.ascontiguousarray(block))
    if x_NCHW.shape[1] == channels:
        return x_NCHW
    weights_C11 = torch.tensor(_LUMA)[:, None, None]
    return (x_NCHW * weights_C11).sum(1, keepdim=True).round().to(torch.uint8)


def _about(listing: Listing, index: Labels) -> dict[str, list[str]]:
    numbered = {"label": (listing.labels, listing.class_names), "domain": (listing.domains, listing.domain_names)}
    return {
        column: ["" if number < 0 else names[number] for number in numbers[index].tolist()]
        for column, (numbers, names) in numbered.items()
        if numbers is not None and names
    }


def _utf8(name: str) -> str:
    r"""A file's name as text that can be written: bytes that are no UTF-8 as `\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def neighbour_sheet(found: Embedded, path: Path) -> None:
    """A PNG with some pictures, spread over all, and beside each the others that the encoder finds most alike, and
    those that it found alike before it was trained: colours and outlines do much by themselves.

    Raises `InputError` for a single picture.
    """
    if len(found.names) < 2:
        raise InputError("one picture has no neighbours", where="--sheet")
    asked_B = spread(len(found.names), _ASKED).unique()
    kinds = {"": found.features} if found.before is None else {"trained": found.features, "untrained": found.before}
    alike = {title: _most_alike(h_ND, asked_B, _NEIGHBOURS // len(kinds)) for title, h_ND in kinds.items()}
    wanted = torch.cat([asked_B, *(at_BK.flatten() for _, at_BK in alike.values())])
    shown = wanted.unique()
    x_MCHW = found.pixels(shown.numpy()).float() / 255

    def column(at_B: Tensor, notes: list[str]) -> Column:
        return Column(x_MCHW[torch.searchsorted(shown, at_B.contiguous())], notes)

    asked = {"picture": column(asked_B, [Path(found.names[at]).name[:28] for at in asked_B.tolist()])}
    groups: dict[str, dict[str, Column]] = {}
    for title, (s_BK, at_BK) in alike.items():
        groups[title] = {} if groups else asked
        for rank, (s_B, at_B) in enumerate(zip(s_BK.T, at_BK.T, strict=True), start=1):
            name = "nearest, and its cosine" if rank == 1 else str(rank)
            groups[title][name] = column(at_B, [f"{cosine:.2f}" for cosine in s_B.tolist()])
    write_sheet(path, groups)


def _most_alike(h_ND: Tensor, asked_B: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Cosines (B, K) and places (B, K) of the pictures most like those asked for, without themselves."""
    h_ND = unit(h_ND)
    s_BN = h_ND[asked_B] @ h_ND.T
    s_BN[torch.arange(len(asked_B)), asked_B] = -torch.inf
    return nearest(s_BN, min(most, len(h_ND) - 1))


def write_features(found: Embedded, path: Path) -> None:
    """Write names, features and classes in the format of the file's suffix. Raises as `check_format` does."""
    write = check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        write(found, part)


def check_format(path: Path) -> Callable[[Embedded, Path], None]:
    """What writes a file of that suffix. Raises `InputError` for another one, and where its package is missing."""
    write = _FORMATS.get(path.suffix.lower())
    if write is None:
        raise InputError(
            f"features are written as {', '.join(_FORMATS)}, not {path.suffix or 'a file without a suffix'}",
            where=str(path),
        )
    if write is _parquet and find_spec("pyarrow") is None:
        raise InputError(
            "parquet needs a package that is not installed",
            where=str(path),
            remedy="pip install 'sslrun[parquet]', or write .npz or .csv.",
        )
    return write


def _parquet(found: Embedded, path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    values = pyarrow.array(found.features.flatten().numpy())
    columns: dict[str, Any] = {"path": found.names}
    columns |= found.about
    columns["embedding"] = pyarrow.FixedSizeListArray.from_arrays(values, found.features.shape[1])
    about = {"sslrun": json.dumps({"run": found.run, "identity": found.identity})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(about), path)


def _csv(found: Embedded, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", *found.about, *(f"f{number}" for number in range(found.features.shape[1]))])
        for name, *about, h_D in zip(found.names, *found.about.values(), found.features.numpy(), strict=True):
            rows.writerow([name, *about, *(f"{value:.9g}" for value in h_D)])


def _npz(found: Embedded, path: Path) -> None:
    about: dict[str, Any] = {column: np.array(texts) for column, texts in found.about.items()}
    with path.open("wb") as file:
        np.savez(file, path=np.array(found.names), embedding=found.features.numpy(), **about)


_FORMATS: dict[str, Callable[[Embedded, Path], None]] = {".parquet": _parquet, ".csv": _csv, ".npz": _npz}
