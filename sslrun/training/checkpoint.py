"""The checkpoint of a run: everything to go on from, to the same bits. (Encoders to use elsewhere: `networks.weights`.)

It is one dictionary of plain values and tensors, sealed (`sslrun.seals`) and read back with `weights_only`. It is
written whole or not at all, and never with non-finite weights: `sslrun.training.pretrain` reads the guard first.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.errors import RunFailed
from sslrun.files import replacing
from sslrun.networks.weights import UNREADABLE, read_archive, reason, write_archive
from sslrun.seals import seal_archive


@dataclass
class Position:
    """Where training stands: `epoch` whole epochs and `step` steps of the next one are done."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0  # over the steps of the unfinished epoch
    seconds: float = 0.0  # spent training so far
    epoch_seconds: float = 0.0  # of them, in the unfinished epoch


def save_checkpoint(path: Path, identity: str, position: Position, method: nn.Module, updates: Any) -> None:
    """Write everything that resuming at `position` needs."""
    state = {
        "identity": identity,
        "position": asdict(position),
        "method": method.state_dict(),
        "optimizers": updates.state_dict(),
    }
    with replacing(path) as part:
        write_archive(part, state)
        seal_archive(part)


def load_checkpoint(path: Path, identity: str, method: nn.Module, updates: Any, device: torch.device) -> Position:
    """Fill `method` and `updates` from a checkpoint and return where it stood; the start if there is none.

    Raises `RunFailed`, and changes nothing, if the file is damaged or of another run.
    """
    if not path.exists():
        return Position()
    try:
        state = read_archive(path, device)
        if state["identity"] != identity:
            raise ValueError("it belongs to another run")
        position = Position(**state["position"])
        _check_like(state["method"], method.state_dict(), "method")
        _check_like(state["optimizers"], updates.state_dict(), "optimizers")
    except UNREADABLE as error:
        raise RunFailed(
            f"this checkpoint can't be read: {reason(error)}",
            where=str(path),
            remedy="Nothing of it is used. Put a copy of it back, or start the run anew with --fresh (the old folder "
            "is kept under another name).",
        ) from error
    method.load_state_dict(state["method"])
    updates.load_state_dict(state["optimizers"])
    return position


def _check_like(found: Any, own: Any, name: str) -> None:
    """Raise `ValueError` unless `found` has tensors of the same shapes and types where `own` has them."""
    if isinstance(own, Tensor):
        if not isinstance(found, Tensor) or (found.shape, found.dtype) != (own.shape, own.dtype):
            raise ValueError(f"{name} is another tensor than this run has")
    elif isinstance(own, Mapping):
        if not isinstance(found, Mapping) or not own.keys() <= found.keys():
            raise ValueError(f"{name} has other parts than this run has")
        for key, value in own.items():
            _check_like(found[key], value, f"{name}.{key}")
    elif isinstance(own, list):
        if not isinstance(found, list) or len(found) != len(own):
            raise ValueError(f"{name} has other parts than this run has")
        for index, value in enumerate(own):
            _check_like(found[index], value, f"{name}.{index}")
