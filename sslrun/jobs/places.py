"""Where a job works: the folders of results and data, the device, and the identity under which its results are kept."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from sslrun.data.sources import fingerprint
from sslrun.errors import InputError
from sslrun.recipe.identity import identity, weights_digest
from sslrun.recipe.schema import Recipe


@dataclass(frozen=True)
class Places:
    """Where this machine keeps results and data."""

    results: Path
    data: Path


def places(recipe: Recipe, results: Path | None = None, data: Path | None = None) -> Places:
    """Arguments come before the recipe, it before SSLRUN_RESULTS and SSLRUN_DATA, these before the defaults."""
    return Places(
        results or Path(recipe.run.results or os.environ.get("SSLRUN_RESULTS") or "results"),
        data or Path(recipe.run.data or os.environ.get("SSLRUN_DATA") or "data"),
    )


def identify(recipe: Recipe, data: Path) -> str:
    """The identity of the recipe's pretraining on the data found there: what is never computed twice."""
    return identity(recipe, fingerprint(recipe.data, data), weights_digest(recipe))


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the best one there is. Raises `InputError` if it is not to be had."""
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
