"""Where a job works: the folder of results, the data set, the device, and the identity under which results are kept."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from sslrun.data import Dataset, open_dataset
from sslrun.errors import InputError
from sslrun.paths import user_path
from sslrun.recipe.identity import identity, weights_digest
from sslrun.recipe.schema import Recipe, Run
from sslrun.runs.folder import RunFolder, results_folder

DEVICES = "auto, cpu, cuda, cuda:1 (or another number), or mps"
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,4})?|mps")


@dataclass(frozen=True)
class Places:
    """Where results go, and the data set that a recipe names, as this machine has it."""

    results: Path
    data: Dataset


def places(recipe: Recipe, results: Path | None = None, data: Path | Dataset | None = None) -> Places:
    """The places of a recipe, in the `folders` that these arguments and it give; nothing is read yet.

    `data` may be a data set that is open already: if the recipe means the same one, it is taken.
    """
    results, root = folders(recipe, results, data.root if isinstance(data, Dataset) else data)
    if isinstance(data, Dataset) and data.section == recipe.data:
        return Places(results, data)
    return Places(results, open_dataset(recipe.data, root))


def folders(recipe: Recipe | None, results: Path | None = None, data: Path | None = None) -> tuple[Path, Path]:
    """The folders of results and of data.

    Arguments come before the recipe, it before SSLRUN_RESULTS and SSLRUN_DATA, these before the defaults.
    """
    run = Run() if recipe is None else recipe.run
    return (
        results_folder(results or run.results),
        user_path(data or run.data or os.environ.get("SSLRUN_DATA") or "data", "the data folder"),
    )


def images_folder(folder: RunFolder, recipe: Recipe) -> Path | None:
    """The data folder in which a run found its images, if that is still there and its recipe names no other."""
    known = folder.status.data
    return Path(known) if known and recipe.run.data is None and Path(known).is_dir() else None


def identify(recipe: Recipe, data: Dataset) -> str:
    """The identity of the recipe's pretraining on these data: what is never computed twice."""
    return identity(recipe, data.fingerprint, weights_digest(recipe))


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the best one there is. Raises `InputError` if it is not to be had."""
    if not _DEVICE.fullmatch(name):
        raise InputError("no device is called so", where=f"device {name!r}", remedy=f"{DEVICES}.")
    if name == "auto":
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"this device can't be used: {str(error).splitlines()[0]}",
            where=f"device {name!r}",
            remedy="`sslrun doctor` lists what there is; `--device cpu` always works.",
        ) from error
    return device
