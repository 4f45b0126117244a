"""Pictures as they lie on disks: odd shapes and metadata, empty and damaged ones; told together, and by name."""

import hashlib
import io
import os
import random
import resource
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tiny_data import later, write_pictures

from sslrun.data.dataset import open_dataset
from sslrun.data.decoding import decode
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder

DATA = Folder(kind="folder", path="set", store=16)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(2, 12_000), (12_000, 2), (1, 900)])
def test_of_a_thin_picture_only_the_middle_is_scaled(tmp_path: Path, size: tuple[int, int]) -> None:
    picture, long = noise(*size), max(size)
    picture.save(tmp_path / "thin.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = decode(tmp_path / "thin.png", 256)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    cut = [(0, long // 2 - 20, size[0], long // 2 + 20), (long // 2 - 20, 0, long // 2 + 20, size[1])][size[0] == long]
    small = picture.crop(cut)  # whose middle is that of the whole
    scaled = small.resize(tuple(edge * 256 // min(size) for edge in small.size), Image.Resampling.BILINEAR)  # type: ignore[arg-type]
    left, top = ((edge - 256) // 2 for edge in scaled.size)
    expected = np.asarray(scaled.crop((left, top, left + 256, top + 256))).transpose(2, 0, 1)
    assert np.abs(found.astype(int) - expected).max() <= 1


def exif(*entries: tuple[int, int, int, bytes], data: bytes = b"") -> bytes:
    """EXIF in big-endian order of (tag, type, count, value of four bytes); `data` follows them."""
    rows = b"".join(struct.pack(">HHI", *row[:3]) + row[3] for row in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + rows + bytes(4) + data


TURNED = (0x0112, 3, 1, b"\0\x06\0\0")


@pytest.mark.parametrize(
    ("metadata", "turned"),
    [
        (exif(TURNED), True),
        (exif(TURNED, (0x9204, 10, 1, struct.pack(">I", 38)), data=struct.pack(">ii", -1, 0)), True),
        (exif(TURNED, (0x8769, 4, 1, struct.pack(">I", 10**6))), True),
        (exif((0x0112, 2, 4, b"six\0")), False),
        (exif((0x0112, 3, 1, b"\0\x63\0\0")), False),
        (exif(TURNED)[:-9], False),
        (b"Exif\0\0", False),
        (b"Exif\0\0" + bytes(range(200)), False),
    ],
)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_of_metadata_only_a_sound_orientation_counts(
    tmp_path: Path, metadata: bytes, turned: bool, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    noise(16, 16).save(path, exif=metadata, **options)  # type: ignore[arg-type]
    noise(16, 16).save(tmp_path / f"plain.{ending}", **options)  # type: ignore[arg-type]
    plain = decode(tmp_path / f"plain.{ending}", 16)
    assert np.array_equal(decode(path, 16), np.rot90(plain, -1, (1, 2)) if turned else plain)


def test_long_texts_in_a_picture_are_of_no_concern(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * 3_000_000, zip=True)
    noise(16, 16).save(tmp_path / "a.png", pnginfo=texts)
    assert np.array_equal(decode(tmp_path / "a.png", 16), np.asarray(noise(16, 16)).transpose(2, 0, 1))


def test_a_very_large_picture_is_not_called_damaged(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    path = tmp_path / "set/train/cat/0.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 13_500, 13_500)  # what its header says, with the header's checksum
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match="too large: 182 megapixels\nScale it down") as error:
        open_dataset(DATA, tmp_path).images("train")
    assert error.value.where == str(path)


def test_pillows_warnings_stay_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # ours have up to 3,600 pixels, but for the limit of 2,000
    root = write_pictures(tmp_path)
    for path in (root / "set").rglob("*.png"):
        noise(40, 32).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_dataset(DATA, root).images("train")) == 15


def test_empty_files_are_told_before_anything_is_decoded(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for name in ("cat/0", "dog/1"):
        (tmp_path / f"set/train/{name}.png").write_bytes(b"")
    for name in ("cat/1", "cat/2", "cat/3", "fish/4", "dog/3"):
        (tmp_path / f"set/train/{name}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^7 of 15 pictures can't be read\n(.*: an empty file\n){5}and 2 more\n"):
        open_dataset(DATA, tmp_path).images("train", lambda *at: pytest.fail("decoded"))
    assert len(open_dataset(DATA, tmp_path).images("test")) == 6  # of no concern to the other split


def test_all_bad_pictures_of_a_split_are_told_at_once(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for name in ("cat/0", "dog/1", "fish/2"):
        path = tmp_path / f"set/train/{name}.png"
        path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError, match=r"^3 of 15 pictures can't be read\n.*cat/0\.png: .*\n.*dog/1.*\n.*fish/2"):
        open_dataset(DATA, tmp_path).images("train")
    assert not list((tmp_path / ".sslrun-cache").glob("*/images.u8"))


def test_a_picture_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: No such file or directory$"):
        decode(tmp_path / "gone.png", 16)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png: Is a directory$"):
        decode(tmp_path / "folder.png", 16)


def cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def bytes_changed(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)


def metadata_changed(content: bytearray, chance: random.Random) -> None:
    start = content.find(b"MM\0*")
    for _ in range(chance.randint(1, 20)):
        content[(start + chance.randrange(60)) % len(content)] = chance.randrange(256)


def moved(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content))
    part = content[at : at + chance.randrange(200)]
    content[chance.randrange(len(content)) :] = part * chance.randint(1, 3)


FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"}


@pytest.mark.filterwarnings("ignore")
def test_500_changed_pictures_are_decoded_or_named(tmp_path: Path) -> None:
    chance = random.Random(0)
    metadata = exif(TURNED, (0x011A, 5, 1, struct.pack(">I", 38)), data=struct.pack(">II", 72, 1))
    sound: dict[str, bytes] = {}
    for ending, kind in FORMATS.items():
        file = io.BytesIO()
        options = {"exif": metadata} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
        noise(20, 18).save(file, kind, **options)  # type: ignore[arg-type]
        sound[ending] = file.getvalue()
    ways: list[Callable[[bytearray, random.Random], None]] = [cut, bytes_changed, metadata_changed, moved]
    named = 0
    for number in range(500):
        ending = list(FORMATS)[number % len(FORMATS)]
        content = bytearray(sound[ending])
        ways[number // len(FORMATS) % len(ways)](content, chance)
        path = tmp_path / f"{number}.{ending}"
        path.write_bytes(b"" if number % 100 == 99 else content)
        try:
            found = decode(path, 16)
        except DataError as error:
            assert error.where == str(path) and error.what
            named += 1
        else:
            assert found.shape == (3, 16, 16) and found.dtype == np.uint8
        path.unlink()
    assert 150 < named < 450  # both ways are tried


@pytest.mark.parametrize("keep_times", [False, True])
def test_pictures_replaced_by_others_of_the_same_size_are_other_data(tmp_path: Path, keep_times: bool) -> None:
    root = write_pictures(tmp_path)
    path = root / "set/train/cat/0.bmp"
    (root / "set/train/cat/0.png").unlink()
    noise(20, 20).save(path)
    old = open_dataset(DATA, root)
    before, pixels = old.fingerprint, old.images("train").images.clone()
    times = path.stat()
    size = path.stat().st_size
    Image.fromarray(255 - np.asarray(noise(20, 20))).save(path)
    if keep_times:  # as `cp --preserve` does
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == size
    new = open_dataset(DATA, root)
    assert new.fingerprint != before
    assert not new.decoded("train")
    changed = (new.images("train").images != pixels).flatten(1).any(1)
    assert changed.tolist() == [True] + 14 * [False]
    shutil.copytree(root / "set", root / "copy")
    assert open_dataset(DATA.model_copy(update={"path": "copy"}), root).fingerprint == new.fingerprint


def test_a_picture_that_changes_after_the_look_is_refused(tmp_path: Path) -> None:
    data = open_dataset(DATA, write_pictures(tmp_path))
    assert data.fingerprint
    noise(30, 30).save(tmp_path / "set/train/dog/1.png")
    with pytest.raises(DataError, match=r"dog/1\.png: has changed since it was looked at"):
        data.images("train")


def test_of_many_files_only_the_changed_ones_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_pictures(tmp_path)
    later(monkeypatch)
    before = open_dataset(DATA, root).fingerprint
    read: list[str] = []
    digest = hashlib.file_digest

    def noted(file: io.BufferedReader, name: str) -> object:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    assert open_dataset(DATA, root).fingerprint == before
    assert not read
    shutil.copy(root / "set/train/cat/0.png", root / "set/train/cat/new.png")
    noise(20, 20).save(root / "set/val/dog/1.png")
    assert open_dataset(DATA, root).fingerprint != before
    assert sorted(read) == ["1.png", "new.png"]
    (root / "set/train/cat/new.png").unlink()
    read.clear()
    assert open_dataset(DATA, root).fingerprint != before
    for note in (root / ".sslrun-cache/digests").iterdir():
        note.write_bytes(note.read_bytes()[:50])
    read.clear()
    assert open_dataset(DATA, root).fingerprint != before
    assert len(read) == 21
