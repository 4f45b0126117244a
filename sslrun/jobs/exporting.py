"""Take a run's encoder elsewhere: as safetensors, or as a state dict that torchvision or timm loads without a word.

Parameter names are torchvision's to begin with (`sslrun.networks.backbones`), and timm's are the same (but for
transformers, which don't go there), so that nothing is renamed: what differs is the container, and what must be said to
build the same network there.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from sslrun.errors import InputError
from sslrun.files import replacing
from sslrun.networks.backbones import build_backbone
from sslrun.networks.weights import encoder_metadata, load_weights, read_tensors, write_archive
from sslrun.recipe.schema import Backbone
from sslrun.runs.folder import RunFolder

Library = Literal["safetensors", "torchvision", "timm"]
_KNOWN = ("densenet121", "vit")
_RESNETS = ("resnet18", "resnet50")  # known at torchvision's width


def export(folder: RunFolder, to: str, out: Path | None = None) -> tuple[Path, str]:
    """Write the encoder of a finished run for `to`; the file, and the lines of Python that load it.

    The file is `out`, or `<run>.safetensors` or `<run>-<to>.pt` in the current folder. Raises `InputError` for an
    unfinished run, an unknown `to`, and a network that the library does not have.
    """
    if to not in get_args(Library):
        raise InputError(f"can't export to {to!r}", remedy=f"--to is one of {', '.join(get_args(Library))}.")
    about = encoder_metadata(finished_encoder(folder))
    if to == "timm" and about["architecture"] == "vit":
        raise InputError(
            "timm names the weights of a vit otherwise: it is not offered",
            where=str(folder.encoder),
            remedy="`--to torchvision` or `--to safetensors`.",
        )
    known = about["architecture"] in _KNOWN or (about["architecture"] in _RESNETS and about["width"] == 64)
    known = known and "norm" not in about  # nothing but batch norm is told
    if to != "safetensors" and not known:
        norm = f" with {about['norm']} norm" if "norm" in about else ""
        raise InputError(
            f"{to} has no {about['architecture']} of width {about['width']}{norm}",
            where=str(folder.encoder),
            remedy="`--to safetensors` keeps it, with the lines that load it here.",
        )
    target = out or Path(f"{folder.path.name}.safetensors" if to == "safetensors" else f"{folder.path.name}-{to}.pt")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        if to == "safetensors" or target.suffix == ".safetensors":  # which torch.load takes for what it says
            shutil.copyfile(folder.encoder, part)
        else:
            write_archive(part, read_tensors(folder.encoder))
    return target, _lines(about, to, target) if known else _lines_here(target)


def finished_encoder(folder: RunFolder) -> Path:
    """The file of a run's encoder. Raises `InputError` if there is none yet."""
    if not folder.encoder.exists():
        raise InputError(
            "this run has no encoder yet",
            where=str(folder.path),
            remedy="`sslrun pretrain` its recipe first; it goes on from where it is.",
        )
    return folder.encoder


def _lines(about: dict[str, Any], to: str, file: Path) -> str:
    """Build the network in torchvision or timm, fit its first and last layers, load; `file` is as `to` has it."""
    library = "torchvision" if to == "safetensors" else to
    safetensors = to == "safetensors" or file.suffix == ".safetensors"
    name, channels, width = about["architecture"], about["channels"], about["width"]
    cifar = about["stem"] == "cifar"
    imports = ["torch", library, *(["safetensors.torch"] if safetensors else [])]
    build = f"{library}.models.{name}()"
    if name == "vit":
        sizes = (about["size"], about["patch"], about["depth"], about["heads"], width, 4 * width)
        build = f"torchvision.models.VisionTransformer({', '.join(map(str, sizes))})"
    if library == "timm":
        build = f'timm.create_model("{name}", num_classes=0, in_chans={channels})'
    changes = {}
    if library == "torchvision":
        changes[{"densenet121": "classifier", "vit": "heads"}.get(name, "fc")] = "torch.nn.Identity()"
    if cifar:
        changes["conv1"] = f"torch.nn.Conv2d({channels}, 64, 3, 1, 1, bias=False)"
        changes["maxpool"] = "torch.nn.Identity()"
    elif channels != 3 and name == "vit":
        changes["conv_proj"] = f"torch.nn.Conv2d({channels}, {width}, {about['patch']}, {about['patch']})"
    elif channels != 3 and library == "torchvision":
        layer = "features.conv0" if name == "densenet121" else "conv1"
        changes[layer] = f"torch.nn.Conv2d({channels}, 64, 7, 2, 3, bias=False)"
    change = "; ".join(f"model.{layer} = {module}" for layer, module in changes.items())
    load = "safetensors.torch.load_file" if safetensors else "torch.load"
    return "\n".join(
        [
            f"import {', '.join(imports)}",
            f"model = {build}" + (f"; {change}" if change else ""),
            f"model.load_state_dict({load}({_quoted(file)}))",
        ]
    )


def _lines_here(file: Path) -> str:
    """The same for networks that only sslrun has."""
    return f"import sslrun\nmodel = sslrun.load_encoder({_quoted(file)})"


def _quoted(file: Path) -> str:
    """The path as Python reads it, whatever signs it has."""
    return json.dumps(str(file), ensure_ascii=False)


def load_encoder(path: Path) -> nn.Module:
    """The encoder in a `.safetensors` file of ours, built from what the file says of itself.

    Raises `InputError` for a file that is none of ours, or that does not fit what it says.
    """
    about = encoder_metadata(path)
    named = {"kind": about["architecture"]} | {name: about[name] for name in Backbone.model_fields if name in about}
    encoder = build_backbone(Backbone.model_validate(named), about["channels"], seed=0, side=about.get("size"))
    load_weights(encoder, path)
    return encoder
