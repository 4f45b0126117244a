"""What a run leaves behind of its networks: the checkpoint to go on from, and the encoder to use elsewhere.

A checkpoint is one dictionary of plain values and tensors, read back with `weights_only`. It is written whole or
not at all, and never with non-finite weights: `sslrun.training.pretrain` reads the guard first.
"""

import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sslrun.errors import RunFailed
from sslrun.files import replacing


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
        torch.save(state, part)


def load_checkpoint(path: Path, identity: str, method: nn.Module, updates: Any, device: torch.device) -> Position:
    """Fill `method` and `updates` from a checkpoint and return where it stood; the start if there is none.

    Raises `RunFailed`, and changes nothing, if the file is damaged or of another run.
    """
    if not path.exists():
        return Position()
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if state["identity"] != identity:
            raise ValueError("it belongs to another run")
        method.load_state_dict(state["method"])
        updates.load_state_dict(state["optimizers"])
        return Position(**state["position"])
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunFailed(
            f"this checkpoint can't be read: {reason}",
            where=str(path),
            remedy="Start the run anew with --fresh (the old folder is kept under another name).",
        ) from error


def save_encoder(path: Path, encoder: nn.Module, metadata: dict[str, Any]) -> None:
    """Write the encoder under torchvision's parameter names; `metadata` says what it is and how to feed it.

    All metadata stand under one key: safetensors writes several in an order that changes, and equal runs are to
    leave equal files.
    """
    tensors: dict[str, Tensor] = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in encoder.state_dict().items()
    }
    with replacing(path) as part:
        save_file(tensors, part, {"sslrun": json.dumps(metadata)})


def encoder_metadata(path: Path) -> dict[str, Any]:
    """What `save_encoder` wrote of the encoder in `path`."""
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["sslrun"])
    return found
