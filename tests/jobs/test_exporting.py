from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sslrun.data.decoding import decode
from sslrun.data.images import ImageSet
from sslrun.errors import InputError
from sslrun.files import write_json
from sslrun.jobs.exporting import export, load_encoder
from sslrun.networks.backbones import build_backbone
from sslrun.networks.weights import save_encoder
from sslrun.recipe import read_recipe, reading, to_yaml
from sslrun.recipe.document import Document
from sslrun.recipe.schema import Backbone
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State, Status
from sslrun.training.starting import encoder_metadata
from sslrun.views.pipeline import Views


def run_with(folder: Path, channels: int = 3, **backbone: Any) -> tuple[RunFolder, nn.Module]:
    section = Backbone(**backbone)
    encoder = build_backbone(section, channels, seed=3, side=64).eval()
    about = {"architecture": section.kind, "stem": section.stem, "width": section.width, "channels": channels}
    about |= {"norm": section.norm} if section.norm != "batch" else {}
    about |= {"name": section.name, "size": 64} if section.name is not None else {}
    run = RunFolder(folder / "exported-0123456789abcdef")
    run.path.mkdir()
    save_encoder(run.encoder, encoder, about)
    return run, encoder


@pytest.mark.parametrize("to", ["torchvision", "timm", "safetensors"])
@pytest.mark.parametrize(
    ("backbone", "out"),
    [
        ({"kind": "resnet18", "stem": "cifar"}, None),
        ({"kind": "resnet18"}, "encoder.safetensors"),
        ({"kind": "densenet121"}, None),
        ({"kind": "resnet18"}, 'it\'s/"so" \\.bin'),
    ],
)
def test_the_lines_that_are_printed_load_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, backbone: dict[str, Any], out: str | None
) -> None:
    if to == "timm":
        pytest.importorskip("timm")
    run, encoder = run_with(tmp_path, 1, **backbone)
    monkeypatch.chdir(tmp_path)
    path, lines = export(run, to, None if out is None else Path(out))
    assert path.exists()
    assert len(lines.splitlines()) == 3
    names: dict[str, Any] = {}
    exec(lines, names)  # loads strictly: torch raises for a name too many or too few
    x_NCHW = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(names["model"].eval()(x_NCHW), encoder(x_NCHW), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("told", "backbone", "suffixed"),
    [
        (r"no small_resnet of width 8\n", {"kind": "small_resnet", "width": 8}, "x.safetensors"),
        (r"no small_resnet of width 8\n", {"kind": "small_resnet", "width": 8}, "x.pt"),
        ("no resnet18 of width 64 with group norm", {"kind": "resnet18", "norm": "group"}, "x"),
        (r"no resnet18 of width 16\n", {"kind": "resnet18", "width": 16}, "x.safetensors"),
    ],
)
def test_networks_of_our_own_are_kept_as_safetensors_only(
    tmp_path: Path, told: str, backbone: dict[str, Any], suffixed: str
) -> None:
    run, encoder = run_with(tmp_path, 1, **backbone)
    for to in ("torchvision", "timm"):
        with pytest.raises(InputError, match=told):
            export(run, to, tmp_path / "x.pt")
    path, lines = export(run, "safetensors", tmp_path / suffixed)
    assert path.read_bytes() == run.encoder.read_bytes()
    names: dict[str, Any] = {}
    exec(lines, names)
    x_NCHW = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(names["model"].eval()(x_NCHW), encoder(x_NCHW))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("to", ["torchvision", "safetensors"])
def test_a_vit_of_any_size_goes_to_torchvision(tmp_path: Path, to: str, channels: int) -> None:
    section = Backbone(kind="vit", patch=4, depth=2, heads=2, width=16)
    encoder = build_backbone(section, channels, seed=3, side=16).eval()
    shape = section.model_dump(include={"stem", "width", "patch", "depth", "heads"})
    run = RunFolder(tmp_path / "exported-0123456789abcdef")
    run.path.mkdir()
    save_encoder(run.encoder, encoder, {"architecture": "vit", "channels": channels, "size": 16, **shape})
    _, lines = export(run, to, tmp_path / ("encoder.safetensors" if to == "safetensors" else "encoder.pt"))
    names: dict[str, Any] = {}
    exec(lines, names)
    x_NCHW = torch.randn(2, channels, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(names["model"].eval()(x_NCHW), encoder(x_NCHW), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="not offered"):
        export(run, "timm", tmp_path / "x.pt")


@pytest.mark.parametrize("to", ["timm", "safetensors"])
def test_a_network_of_timm_goes_back_there(tmp_path: Path, to: str) -> None:
    pytest.importorskip("timm")
    run, encoder = run_with(tmp_path, 1, kind="timm", name="test_vit")
    _, lines = export(run, to, tmp_path / "encoder.safetensors")
    names: dict[str, Any] = {}
    exec(lines, names)
    x_NCHW = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(names["model"].eval()(x_NCHW), encoder(x_NCHW), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(load_encoder(run.encoder).eval()(x_NCHW), encoder(x_NCHW))
    with pytest.raises(InputError, match="torchvision has no test_vit"):
        export(run, "torchvision")


def test_the_printed_lines_feed_a_picture_as_training_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    """Through torch, through ONNX, whose program has the normalisation inside, for any number of images, and by the
    lines for sslrun after these; on a narrow screen no line of them is broken.
    """
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    changes = ["data.store=24", "views.size=16", "network.backbone={kind: small_resnet, width: 8}"]
    recipe = read_recipe("pictures", changes)
    encoder = build_backbone(recipe.network.backbone, 3, seed=3).eval()
    run = RunFolder(tmp_path / "exported-0123456789abcdef")
    run.path.mkdir()
    run.recipe.write_text(to_yaml(recipe))
    write_json(run.path / "identity.json", {"identity": "0" * 64, "recipe": recipe.model_dump(mode="json")})
    images = ImageSet(torch.zeros(1, 3, 24, 24, dtype=torch.uint8), torch.tensor([-1]))
    save_encoder(run.encoder, encoder, encoder_metadata(recipe, images))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned, as phones keep pictures
    Image.fromarray(pixels).save("picture.jpg", exif=exif)
    stored = torch.from_numpy(decode(Path("picture.jpg"), 24).copy())[None]
    views = Views(recipe.views, channels=3, stored=24)
    with torch.no_grad():
        expected = encoder(views.plain(stored))
    for to in ("safetensors", "onnx"):
        code, out, err = sslrun("export", run.path, "--to", to)
        assert code == 0, err
        printed = out.partition("\n\n")[2]
        names: dict[str, Any] = {}
        exec(printed, names)
        torch.testing.assert_close(torch.as_tensor(names["features"]), expected, rtol=1e-3, atol=2e-3)
        assert printed.count("sslrun.load_encoder") == 1
    first = names["session"].run(None, {"images": names["x"][None].numpy()})[0]
    torch.testing.assert_close(torch.as_tensor(first), expected, rtol=1e-3, atol=2e-3)
    many = views.unnormalized(views.plain(stored)).expand(5, -1, -1, -1)
    assert names["session"].run(None, {"images": many.numpy()})[0].shape == (5, 32)


def test_the_command_reads_the_recipe_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    run, _ = run_with(tmp_path, kind="resnet18")
    recipe = read_recipe("linear_theory")
    run.recipe.write_text(to_yaml(recipe))
    write_json(run.path / "identity.json", {"identity": "0" * 64, "recipe": recipe.model_dump(mode="json")})
    read: list[Path] = []
    load = reading.load

    def seen(path: Path) -> Document:
        read.append(path)
        return load(path)

    monkeypatch.setattr(reading, "load", seen)
    code, out, err = sslrun("export", run.path, "--to", "safetensors", "--out", tmp_path / "x.safetensors")
    assert code == 0 and "written to" in out and not err
    assert read == [run.recipe]


def test_the_encoder_of_a_collapsed_run_is_written_and_called_so(
    tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    run, _ = run_with(tmp_path, kind="resnet18")
    recipe = read_recipe("linear_theory")
    run.recipe.write_text(to_yaml(recipe))
    write_json(run.path / "identity.json", {"identity": "0" * 64, "recipe": recipe.model_dump(mode="json")})
    run.write_status(Status(State.COLLAPSED, verdict="complete"))
    code, out, err = sslrun("export", run.path, "--to", "safetensors", "--out", tmp_path / "x.safetensors")
    assert code == 0 and "written to" in out, err
    assert f"{run.path.name} ended in complete collapse" in err


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    run, _ = run_with(tmp_path, kind="resnet18")
    with pytest.raises(InputError, match="safetensors, torchvision, timm, onnx"):
        export(run, "keras")
    run.encoder.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an encoder of ours"):
        export(run, "timm")
    run.encoder.unlink()
    with pytest.raises(InputError, match=r"(?s)no encoder yet.*pretrain` its recipe first"):
        export(run, "timm")
