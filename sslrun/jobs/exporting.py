"""Take a run's encoder elsewhere: as safetensors, as ONNX, or as a state dict that torchvision or timm just loads.

Parameter names are torchvision's to begin with (`sslrun.networks.backbones`), and timm's are the same (but for
transformers, which don't go there), so that nothing is renamed: what differs is the container, and what must be said to
build the same network there.
"""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sslrun.data.dataset import open_dataset
from sslrun.errors import InputError
from sslrun.files import replacing
from sslrun.networks.backbones import build_backbone
from sslrun.networks.from_timm import one_size
from sslrun.networks.weights import encoder_metadata, load_weights, read_tensors, write_archive
from sslrun.recipe import read_recipe
from sslrun.recipe.plugins import load_all
from sslrun.recipe.schema import Backbone
from sslrun.runs.folder import RunFolder

Library = Literal["safetensors", "torchvision", "timm", "onnx"]
_KNOWN = ("densenet121", "vit", "timm")
_RESNETS = ("resnet18", "resnet50")  # known at torchvision's width


def export(folder: RunFolder, to: str, out: Path | None = None) -> tuple[Path, str]:
    """Write the encoder of a finished run for `to`; the file, and the lines of Python that load it.

    The file is `out`, or `<run>.safetensors`, `<run>.onnx` or `<run>-<to>.pt` in the current folder. Raises
    `InputError` for an unfinished run, an unknown `to`, and a network that the library does not have.
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
    if to in ("torchvision", "timm") and (not known or (to == "torchvision" and "name" in about)):
        norm = f" with {about['norm']} norm" if "norm" in about else ""
        what = about.get("name", f"{about['architecture']} of width {about['width']}{norm}")
        raise InputError(
            f"{to} has no {what}",
            where=str(folder.encoder),
            remedy="`--to safetensors` keeps it, with the lines that load it here.",
        )
    endings = {"safetensors": ".safetensors", "onnx": ".onnx"}
    target = out or Path(folder.path.name + endings.get(to, f"-{to}.pt"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if to == "onnx":
        return target, _to_onnx(folder.encoder, about, target)
    with replacing(target) as part:
        if to == "safetensors" or target.suffix == ".safetensors":  # which torch.load takes for what it says
            shutil.copyfile(folder.encoder, part)
        else:
            write_archive(part, read_tensors(folder.encoder))
    return target, _lines(about, to, target) if known else _here(target)


def finished_encoder(folder: RunFolder) -> Path:
    """The file of a run's encoder; its plug-ins are loaded: the network may be one of theirs. Raises `InputError` if
    there is none yet."""
    if not folder.encoder.exists():
        raise InputError(
            "this run has no encoder yet",
            where=str(folder.path),
            remedy="`sslrun pretrain` its recipe first; it goes on from where it is.",
        )
    if (folder.path / "identity.json").exists():  # what was copied without is one of ours, or can't be built
        load_all(folder.record.recipe.get("imports", ()), [folder.path])
    return folder.encoder


def _lines(about: dict[str, Any], to: str, file: Path) -> str:
    """Build the network in torchvision or timm, fit its first and last layers, load; `file` is as `to` has it."""
    library = "timm" if "name" in about else "torchvision" if to == "safetensors" else to
    safetensors = to == "safetensors" or file.suffix == ".safetensors"
    name, channels, width = about["architecture"], about["channels"], about["width"]
    cifar = about["stem"] == "cifar"
    imports = ["torch", library, *(["safetensors.torch"] if safetensors else [])]
    build = f"{library}.models.{name}()"
    if name == "vit":
        sizes = (about["size"], about["patch"], about["depth"], about["heads"], width, 4 * width)
        build = f"torchvision.models.VisionTransformer({', '.join(map(str, sizes))})"
    if library == "timm":
        side = f", img_size={about['size']}" if "name" in about and one_size(about["name"]) else ""
        build = f'timm.create_model("{about.get("name", name)}", num_classes=0, in_chans={channels}{side})'
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


def _here(file: Path) -> str:
    """The same for networks that only sslrun has."""
    return f"import sslrun\nmodel = sslrun.load_encoder({_quoted(file)})"


class _Fed(nn.Module):
    """An encoder of pictures whose values are 0 to 1."""

    def __init__(self, encoder: nn.Module, about: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean, self.std = (
            nn.Buffer(torch.tensor(about[name] or [default]).view(1, -1, 1, 1))
            for name, default in (("mean", 0.0), ("std", 1.0))
        )

    def forward(self, images: Tensor) -> Tensor:
        h_ND: Tensor = self.encoder((images - self.mean) / self.std)
        return h_ND


def _to_onnx(file: Path, about: dict[str, Any], target: Path) -> str:
    """Write the encoder and its normalisation as ONNX, for any number of images; the lines that run it."""
    if about["architecture"] == "linear" or any(find_spec(name) is None for name in ("onnx", "onnxscript")):
        missing = about["architecture"] != "linear"
        raise InputError(
            "ONNX needs packages that are not installed" if missing else "a linear network takes no pictures",
            where="--to onnx",
            remedy="pip install 'sslrun[onnx]'" if missing else "`--to safetensors` keeps it.",
        )
    shape = (about["channels"], about["size"], about["size"])
    program = torch.onnx.export(
        _Fed(load_encoder(file), about).eval(),
        (torch.rand(2, *shape),),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
    )
    if program is None:
        raise InputError("torch gives no ONNX program for it", where=str(file))
    with replacing(target) as part:
        program.save(part, external_data=False)
    sides = " × ".join(map(str, shape))
    return f"import onnxruntime\nsession = onnxruntime.InferenceSession({_quoted(target)})  # N × {sides}, from 0 to 1"


def feeding(folder: RunFolder, to: str) -> str:
    """Lines of Python that follow those of `export`: a picture made into what the encoder was trained to see; none for
    vectors."""
    recipe, about = read_recipe(folder.recipe), encoder_metadata(folder.encoder)
    if recipe.data.HOLDS == "vectors":
        return ""
    stored, size = open_dataset(recipe.data, Path()).shape[-1], about["size"]
    steps = [f"Resize({stored})", f"CenterCrop({stored})", "ToImage()", "ToDtype(torch.float32, scale=True)"]
    steps += [f"Resize({size}, antialias=True)"] if size != stored else []
    if about["mean"] and to != "onnx":  # which has it inside
        steps.append(f"Normalize({about['mean']}, {about['std']})")
    mode = "L" if about["channels"] == 1 else "RGB"
    run = 'session.run(None, {"images": x[None].numpy()})[0]' if to == "onnx" else "model.eval()(x[None]).detach()"
    return "\n".join(
        [
            "import torch, PIL.Image, PIL.ImageOps",
            "from torchvision.transforms import v2",
            "see = v2.Compose([",
            *(f"    v2.{step}," for step in steps),
            "])",
            'picture = PIL.ImageOps.exif_transpose(PIL.Image.open("picture.jpg"))  # turned upright',
            f'x = see(picture.convert("{mode}"))',
            f"features = {run}",
        ]
    )


def loading_here(folder: RunFolder, to: str) -> str:
    """Lines of Python that follow those of `feeding`: the same features by sslrun, of what is fed there."""
    about = encoder_metadata(folder.encoder)
    if to != "onnx" or not about["mean"]:  # then what is fed is normalised, if it is to be
        return f"# or, where sslrun is installed:\n{_here(folder.path)}"
    normalised = f"v2.functional.normalize(x, {about['mean']}, {about['std']})"
    feed = f"features = model({normalised}[None]).detach()"
    return f"# or, where sslrun is installed; this encoder takes normalised pictures:\n{_here(folder.path)}\n{feed}"


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
