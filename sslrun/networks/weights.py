"""Files of an encoder's weights: written under torchvision's names with what must be known to use them, and read back.

What is read is checked first (`sslrun.seals`) and holds tensors only; a refusal changes nothing. Networks are built in
`backbones`.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.files import replacing
from sslrun.seals import BLANK, check_archive, check_safetensors, sealed_safetensors

_SAYS_NOTHING = 4
"""An error's text of so few letters is a key or a number."""
_HEADS = ("fc.", "classifier.", "heads.", "head.")
UNREADABLE = (
    SafetensorError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    pickle.UnpicklingError,
)
"""What torch, pickle and safetensors raise for a file that is not what they expect."""


def save_encoder(path: Path, encoder: nn.Module, metadata: dict[str, Any]) -> None:
    """Write the encoder under torchvision's parameter names; `metadata` says what it is and how to feed it.

    All metadata stand under one key: safetensors writes several in an order that changes, and equal runs are to
    leave equal files.
    """
    tensors: dict[str, Tensor] = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in encoder.state_dict().items()
    }
    whole = save(tensors, {"sslrun": json.dumps(metadata | {"sealed": BLANK})})
    with replacing(path) as part:  # safetensors' own writing leaves a file of another name behind if it is killed
        part.write_bytes(sealed_safetensors(whole))


def encoder_metadata(path: Path) -> dict[str, Any]:
    """What `save_encoder` wrote of the encoder in `path`. Raises `InputError` if it is damaged or not of ours."""
    try:
        check_safetensors(path)
        with safe_open(path, framework="pt") as file:
            found: dict[str, Any] = json.loads(file.metadata()["sslrun"])
        if not isinstance(found, dict):
            raise ValueError("its metadata are of another kind")
    except UNREADABLE as error:
        raise InputError(f"not an encoder of ours, or damaged: {reason(error)}", where=str(path)) from error
    return found


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Fill `backbone` from a file of torchvision's parameter names: .safetensors, or a state dict saved by torch.

    A classification head (`fc.*`, `classifier.*`, `head.*`, `heads.*`) in the file and a `module.` before every name
    are passed over. Raises `InputError`, naming file and keys, if anything else is missing, left over, of another
    shape, or not finite; the backbone is then as it was.
    """
    given = read_tensors(path)
    if given and all(name.startswith("module.") for name in given):
        given = {name.removeprefix("module."): value for name, value in given.items()}
    own = backbone.state_dict()
    given = {name: value for name, value in given.items() if name in own or not name.startswith(_HEADS)}
    # Batch norms counted their batches only from torch 0.4.1 on; older files lack the counters, and nothing needs them.
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in own]
    reshaped = [
        f"{name} ({_shape(value)} in the file, {_shape(own[name])} here)"
        for name, value in given.items()
        if name in own and value.shape != own[name].shape
    ]
    troubles = [
        f"{what}: {_listed(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if troubles:
        raise InputError(
            "these weights are of another network; " + "; ".join(troubles),
            where=str(path),
            remedy="Names are torchvision's, or timm's for its networks. Check network.backbone (kind, name, stem, "
            "width, norm; of a vit all, and views.size) against the file.",
        )
    if spoilt := [name for name, value in given.items() if not value.isfinite().all()]:
        raise InputError(f"infinite numbers or NaN in {_listed(spoilt)}", where=str(path))
    backbone.load_state_dict(given, strict=False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name, on the CPU; of a checkpoint those that it calls its `state_dict`.

    Raises `InputError` for one that is damaged or holds anything else.
    """
    try:
        if _of_torch(path):
            state = read_archive(path, torch.device("cpu"))
        else:
            check_safetensors(path)
            state = load_file(path)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except UNREADABLE as error:
        raise InputError(f"can't be read as weights: {reason(error)}", where=str(path)) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            "is not a state dict (names to tensors)",
            where=str(path),
            remedy="Save the encoder alone: torch.save(encoder.state_dict(), file).",
        )
    return state


def _of_torch(path: Path) -> bool:
    """Whether `torch.save` wrote a file, whatever it is called: a zip archive, or a pickle as it was before them."""
    with path.open("rb") as file:
        begins = file.read(9)
    return begins[:2] in (b"PK", b"\x80\x02") or (path.suffix != ".safetensors" and begins[8:] != b"{")


def write_archive(path: Path, state: Any) -> None:
    """Write with `torch.save`, which is given a file since it takes a `\\` in a name for a folder's end."""
    with path.open("wb") as file:
        torch.save(state, file)


def read_archive(path: Path, device: torch.device) -> Any:
    """What `torch.save` wrote: tensors, and plain values around them. Raises one of `UNREADABLE` for anything else."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped:
        check_archive(path)
    return torch.load(path, map_location=device, weights_only=True)


def reason(error: BaseException) -> str:
    """Why a file can't be read, in one line; not torch's advice to run the code in it."""
    text = str(error).strip()
    if "weights_only" in text:
        return "it holds more than tensors (code, which is never run), or is damaged"
    return text.splitlines()[0] if len(text) > _SAYS_NOTHING else f"{type(error).__name__} {text}".strip()


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "scalar"


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
