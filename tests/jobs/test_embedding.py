"""One's own pictures, unlabelled and in any folders: pretrained on, embedded, and laid beside their neighbours."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import sslrun as package
from sslrun.errors import InputError
from sslrun.jobs import embedding
from sslrun.jobs.embedding import Embedded, _as_stored, neighbour_sheet
from sslrun.runs.folder import RunFolder

Run = Callable[..., tuple[int, str, str]]
SMALL = ["data.store=24", "views.size=16", "network.backbone={kind: small_resnet, width: 8}"]
SMALL += ["network.projector={hidden: 16, out: 8}", "optimizer.schedule.warmup_epochs=0", "run.device=cpu"]
SMALL += ["training={epochs: 1, batch_size: 8}"]


def picture(number: int, mode: str = "RGB") -> Image.Image:
    draw = np.random.default_rng(number)
    colour = draw.integers(0, 256, 3)
    return Image.fromarray((colour * np.ones((20, 30, 1)) * draw.random((20, 30, 1))).astype(np.uint8)).convert(mode)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    for number, below in enumerate(["", "trip", "trip/day 2", "ä"] * 5):
        (folder / below).mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / below / f"{number}.png")
    (folder / "trip" / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_of_pictures_to_embeddings(photos: Path, sslrun: Run) -> None:
    changes = [part for change in [f"data.path={photos}", *SMALL] for part in ("--set", change)]
    code, out, _ = sslrun("pretrain", "pictures", *changes)
    assert code == 0
    assert "20 images" in out and "knn and linear left out" in out and "--sheet neighbours.png" in out
    (run,) = Path("results").glob("pictures-*")
    assert not (run / "evaluations").exists()
    code, out, _ = sslrun("embed", "pictures", photos, "--out", "f.parquet", "--sheet", "sheet.png")
    assert code == 0 and "20 pictures, 32 features each" in out
    table = pd.read_parquet("f.parquet")
    assert list(table.path) == sorted(str(path.relative_to(photos)) for path in photos.rglob("*.png"))
    features = np.stack(table.embedding)
    assert Image.open("sheet.png").size == (11 * 200 + 8 + 32, 8 * 200 + 2 * 28)  # five trained, five untrained
    # By hand: the same pictures through torchvision's operations and the encoder from Python.
    see = v2.Compose([v2.Resize(24), v2.CenterCrop(24), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    shrink = v2.Compose([v2.Resize(16, antialias=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    encoder = package.load_encoder("pictures")
    x_NCHW = torch.stack([shrink(see(Image.open(photos / name))) for name in table.path])
    with torch.no_grad():
        np.testing.assert_allclose(features, encoder(x_NCHW).numpy(), atol=0.02)
    for name in ("own.csv", "own.npz"):  # the run's own images, without naming their folder
        assert sslrun("embed", "pictures", "--out", name)[0] == 0
    own = pd.read_csv("own.csv")
    assert b"\r" not in Path("own.csv").read_bytes()
    np.testing.assert_array_equal(own.iloc[:, 1:].to_numpy(np.float32), features)
    np.testing.assert_array_equal(np.load("own.npz")["embedding"], features)
    code, _, err = sslrun("evaluate", "pictures", "--knn")
    assert code == 2 and "knn compares labels, and pictures data have none" in err
    status = json.loads((run / "status.json").read_text())
    for kind, said in (("complete", "ended in complete collapse"), (None, "")):
        (run / "status.json").write_text(json.dumps(status | {"verdict": kind, "evidence": {}}))
        code, out, err = sslrun("embed", "pictures", photos, "--out", "dead.npz")
        assert code == 0 and "20 pictures" in out and (f"{run.name} {said}" in err if said else not err)
    for arguments, told in {
        ("--out", "f.xlsx"): "f.xlsx: features are written as .parquet, .csv, .npz, not .xlsx",
        ("--out", "f"): "not a file without a suffix",
        ("--sheet", "s.jpg"): "--sheet s.png",
        (): "--out FILE",
    }.items():
        code, _, err = sslrun("embed", "pictures", photos, *arguments)
        assert code == 2 and told in err
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "trip" / "empty.jpg").touch()
    for wanted in ("--out", "g.csv"), ("--sheet", "g.png"):
        code, _, err = sslrun("embed", "pictures", photos, *wanted)
        assert code == 2 and "2 pictures can't be read" in err and not Path(wanted[1]).exists()
        (move,) = [line for line in err.splitlines() if line.startswith("  (cd ")]
        assert "broken.jpg trip/empty.jpg; do mkdir" in move
    code, _, err = sslrun("embed", "pictures", photos / "none", "--out", "g.csv")
    assert code == 2 and "no such folder" in err


def test_a_path_with_a_dot_in_front_is_one_from_here(photos: Path, sslrun: Run) -> None:
    """And one without is below the data folder, as in a recipe; it is no part of the run's identity."""
    code, out, _ = sslrun("show", "pictures", "--set", "data.path=./photos")
    assert code == 0 and f"path: {photos}\n" in out
    code, out, _ = sslrun("show", "pictures", "--set", "data={kind: pictures, path: ./photos, store: 96}")
    assert code == 0 and f"path: {photos}\n" in out
    code, out, _ = sslrun("data", "check", "pictures", "--set", "data.path=photos")
    assert code == 2 and "--set data.path=./photos begins here" in out


def test_the_encoder_before_training_is_one_drawn_at_random_and_only_if_asked_for(photos: Path, sslrun: Run) -> None:
    """One that began from a file's weights was no beginner."""
    for name, more in (("drawn", []), ("given", ["network.weights=drawn.safetensors"])):
        changes = [part for change in [f"data.path={photos}", *SMALL, *more] for part in ("--set", change)]
        assert sslrun("pretrain", "pictures", "--results", name, *changes)[0] == 0
        (run,) = Path(name).glob("pictures-*")
        folder = RunFolder(run)
        assert embedding.embed(folder, photos).before is None
        before = embedding.embed(folder, photos, before=True).before
        assert (before is None) == (name == "given")
        shutil.copy(folder.encoder, f"{name}.safetensors")


def test_pictures_have_their_class_and_domain_and_must_be_those_of_the_run(photos: Path, sslrun: Run) -> None:
    for number in range(24):
        place = photos.parent / "mine" / f"scan{number % 2}" / f"class{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        picture(number).save(place / f"{number}.png")
    changes = ["data={kind: domains, path: ./mine, store: 24}", "evaluation={knn: null, linear: null}", *SMALL[1:]]
    asked = [part for change in changes for part in ("--set", change)]
    code, _, err = sslrun("pretrain", "pictures", "--results", "d", *asked)
    assert code == 0, err
    assert sslrun("embed", "pictures", "--results", "d", "--out", "d.parquet")[0] == 0
    table = pd.read_parquet("d.parquet")
    assert table.domain.tolist() == [name.split("/")[0] for name in table.path]
    assert table.label.tolist() == [name.split("/")[1] for name in table.path]
    (photos.parent / "mine" / table.path[0]).unlink()
    for command in (("embed", "pictures", "--out", "e.npz"), ("evaluate", "pictures", "--knn")):
        code, _, err = sslrun(*command, "--results", "d")
        assert code == 2 and "some were added, removed or changed since" in err
        assert f"\n{photos.parent / 'mine'}: " in f"\n{err}" and not Path("e.npz").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are UTF-8")
@pytest.mark.parametrize("suffix", ["parquet", "csv", "npz"])
def test_a_name_that_is_no_utf_8_is_written_all_the_same(suffix: str, tmp_path: Path) -> None:
    name = embedding._utf8(os.fsdecode(b"b/caf\xe9.png"))
    assert name == r"b/caf\xe9.png" and embedding._utf8("ä.png") == "ä.png"
    found = Embedded("run", "0", [name], torch.zeros(1, 2), {}, lambda _: torch.zeros(0))
    embedding.write_features(found, tmp_path / f"f.{suffix}")
    if suffix == "csv":
        assert name in (tmp_path / "f.csv").read_text()


def test_parquet_without_its_package_is_refused_and_the_other_formats_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"(?s)not installed.*sslrun\[parquet\]"):
        embedding.check_format(Path("f.parquet"))
    assert embedding.check_format(Path("f.CSV")) is not embedding.check_format(Path("f.npz"))


def test_neighbours_are_the_nearest_by_cosine(tmp_path: Path) -> None:
    h_ND = torch.tensor([[1.0, 0.0], [2.0, 0.2], [0.0, 3.0]])
    seen: list[list[int]] = []

    def pixels(index: np.ndarray) -> torch.Tensor:
        seen.append(index.tolist())
        return torch.zeros(len(index), 3, 8, 8, dtype=torch.uint8)

    neighbour_sheet(Embedded("run", "0", ["a", "b", "c"], h_ND, {}, pixels), tmp_path / "s.png")
    assert seen == [[0, 1, 2]] and Image.open(tmp_path / "s.png").size == (3 * 200 + 8, 3 * 200 + 28)
    other_ND = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [2.0, 0.2]])  # here the first is most like the last
    levels = torch.arange(3, dtype=torch.uint8)[:, None, None, None] * 100
    both = Embedded("run", "0", ["a", "b", "c"], h_ND, {}, lambda at: levels[at].expand(-1, 3, 8, 8), other_ND)
    neighbour_sheet(both, tmp_path / "s.png")
    first_row = np.asarray(Image.open(tmp_path / "s.png"))[2 * 28 + 20, :, 0]
    assert first_row[[100, 300, 3 * 200 + 32 + 100]].tolist() == [0, 100, 200]
    with pytest.raises(InputError, match="no neighbours"):
        neighbour_sheet(Embedded("run", "0", ["a"], h_ND[:1], {}, pixels), tmp_path / "s.png")


def test_colours_become_grey_as_pillow_makes_them() -> None:
    block = np.stack([np.asarray(picture(3)).transpose(2, 0, 1)])
    grey = np.asarray(picture(3, "L")).astype(int)
    assert np.abs(_as_stored(block, 1)[0, 0].numpy().astype(int) - grey).max() <= 1
