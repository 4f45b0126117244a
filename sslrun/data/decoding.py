"""Pictures in files decoded to squares of one side, as torchvision's Resize and CenterCrop make them.

`pictures` finds them and keeps what is known of each; `cache` keeps what comes out here, since decoding is slow.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from sslrun.data.listing import FileState, Labels, Picture, Pixels
from sslrun.errors import DataError
from sslrun.limits import cores

BLOCK = 256  # pictures decoded between two writes
LONGEST = 8  # times as long as wide: what is longer is cut before it is scaled
SHOWN = 5  # bad pictures that are named at once
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it would say is in our errors
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 26  # Pillow refuses good pictures with more than 1 MB of text or colour profile


_REMEDY = "Put a good copy in its place, or move it away; `sslrun data check` looks at all pictures."


class Unreadable(DataError):
    """Pictures that can't be read: `bad` says of each what is wrong; the text names the first few of `count`."""

    def __init__(self, bad: Sequence[DataError], count: int) -> None:
        self.bad = sorted(bad, key=lambda error: error.where or "")
        if len(bad) == 1:
            super().__init__(bad[0].what, where=bad[0].where, remedy=bad[0].remedy or _REMEDY)
            return
        named = [f"{error.where}: {error.what}" for error in self.bad[:SHOWN]]
        more = [f"and {len(bad) - SHOWN:,} more"] if len(bad) > SHOWN else []
        what = "\n".join([f"{len(bad):,} of {count:,} pictures can't be read", *named, *more])
        super().__init__(what, remedy="Put good copies in their places, or move them away.")


def blocks(folder: Path, pictures: Sequence[Picture], side: int, index: Labels) -> Iterator[Pixels]:
    """The pictures at `index` below `folder`, decoded by as many threads as there are cores.

    Raises `Unreadable` at the end for all that can't be read (until then they are black), and `DataError` at once for
    one that is not as it was when it was listed.
    """
    bad: list[DataError] = []

    def one(picture: Picture) -> Pixels:
        path = folder / picture.name
        try:
            square = decode(path, side)
        except DataError as error:
            bad.append(error)
            return np.zeros((3, side, side), np.uint8)
        now = FileState.of(path.stat())
        if (now.size, now.modified) != (picture.state.size, picture.state.modified):  # links may come and go meanwhile
            raise DataError("has changed since it was looked at", where=str(path), remedy="Try again.")
        return square

    with ThreadPoolExecutor(cores()) as pool:  # Pillow works outside Python's lock
        for at in range(0, len(index), BLOCK):
            with warnings.catch_warnings():  # of metadata, and of sizes that can still be read
                warnings.simplefilter("ignore")
                squares = list(pool.map(one, [pictures[i] for i in index[at : at + BLOCK]]))
            yield np.stack(squares)
    if bad:
        raise Unreadable(bad, len(index))


def decode(path: Path, side: int) -> Pixels:
    """One picture as RGB (3, side, side): turned upright as its EXIF says, short side scaled to `side` (bilinear,
    antialiased), centre cut out. Raises `DataError` naming the file if it can't be read, is too large for memory, or
    has 16 or 32 bits a value.
    """
    try:
        with Image.open(path) as file:
            image = _upright(file)
            if image.mode[0] in "IF":
                raise DataError(
                    f"{image.mode} picture: more than 8 bits a value",
                    where=str(path),
                    remedy="Convert it to 8 bits, and all others by the same scale (of 16 bits: value / 257), so that "
                    "they stay as bright against each other as they are.",
                )
            # Through RGBA, or Pillow warns of palettes with transparency; the colours are the same.
            image = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        pixels = next(iter(re.findall(r"\d+", str(error))), None)
        raise DataError(
            "too large" + (f": {int(pixels) / 1e6:,.0f} megapixels" if pixels else ""),
            where=str(path),
            remedy=f"Scale it down: stored pictures have {side} × {side} pixels.",
        ) from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # the file system's, not Pillow's
            raise DataError(error.strerror or str(error), where=str(path)) from error
        why = str(error).removesuffix(f" {str(path)!r}") or type(error).__name__
        raise DataError(
            f"not readable as a picture: {why}" if path.stat().st_size else "an empty file",
            where=str(path),
            remedy="It is cut off, damaged or not a picture. Put a good copy in its place, or move it away.",
        ) from error
    return np.asarray(_square(image, side)).transpose(2, 0, 1)


def _square(image: Image.Image, side: int) -> Image.Image:
    """The centre square of the picture scaled to `side` along its short side."""
    width, height = (edge * side // min(image.size) for edge in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    if max(image.size) > LONGEST * min(image.size):
        # Scaled whole, a picture 2 pixels wide takes gigabytes. Pillow keeps corners in float32, which moves values by
        # at most 1 of 255: nothing to do to all pictures.
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + side) * across, (top + side) * down)
        return image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + side, top + side))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of EXIF's tag 274."""


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its metadata say, of which only the orientation is read; what can't be read counts as
    none."""
    image.load()
    turn = None
    with suppress(Exception):  # damaged EXIF makes Pillow raise nearly anything
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)
