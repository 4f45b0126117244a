"""scikit-learn's real digits in four drawn styles, 32×32 in colour: unseen domains without any file.

The styles differ in mean colour, in a smooth background that varies from image to image, in the texture of the stroke
and in contrast:

- chalk     grainy white strokes on a smudged green board;
- halftone  orange dots on purple, as printed in a coarse screen;
- ink       dark blue strokes on stained paper: the contrast is inverted;
- neon      bright blue outlines of the strokes, which are hollow, on a dark red wall.

Amplitude alone makes chalk and halftone alike: colour, background and the peaks of the screen lie in it. It can't undo
ink, since inverting the contrast turns the phase of every frequency but the zeroth by π and leaves the amplitudes as
they are; nor neon, since outlines have other phases than the strokes that they surround. Given the whole amplitude of
the same digit in chalk, images correlate with the stroke by 0.88 (halftone), −0.91 (ink) and 0.26 (neon), means over
all 1,797 digits.

All arithmetic is in whole numbers or exact binary fractions, so every machine draws the same bytes (`DIGEST`).
"""

import numpy as np
from numpy.typing import NDArray

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Labels
from sslrun.data.sets import digits
from sslrun.data.sets.drawn_digits import DrawnDigits, raw_bytes
from sslrun.recipe.schema import DigitsStyles

SIDE = 32

Values = NDArray[np.int64]  # (N, C, H, W) or what broadcasts to it; brightness 0..255, `smooth` -128..127


@open_dataset.register(DigitsStyles)
class DigitsStylesSet(DrawnDigits):
    """The drawn digits."""

    shape = (3, SIDE, SIDE)
    DIGEST = "4c48cf5a0c52faee6fd1bb97ef748f1af4b3c3a000b9c2196960bab3791fa18e"

    def draw(self, values_NHW: NDArray[np.uint8], domains_N: Labels) -> NDArray[np.uint8]:
        return draw(values_NHW, domains_N)


def draw(values_NHW: NDArray[np.uint8], styles_N: Labels) -> NDArray[np.uint8]:
    """Digits of values 0..16 as images (N, 3, 32, 32), each in its style; what varies is drawn by the place in N."""
    count, coarse = len(values_NHW), (3, 4, 4)
    bytes_ND = raw_bytes(count * (SIDE * SIDE + 3 * 4 * 4)).reshape(count, -1).astype(np.int64)
    grain_N1HW = bytes_ND[:, : SIDE * SIDE].reshape(-1, 1, SIDE, SIDE)
    grid_NCHW = bytes_ND[:, SIDE * SIDE :].reshape(-1, *coarse)
    smooth_NCHW = np.floor(digits.bilinear(grid_NCHW, SIDE)).astype(np.int64) - 128
    tone_N1HW = digits.enlarge(values_NHW, SIDE).astype(np.int64)[:, None]
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for style, name in enumerate(DigitsStyles.DOMAINS):
        here = styles_N == style
        images[here] = _STYLES[name](tone_N1HW[here], grain_N1HW[here], smooth_NCHW[here])
    return images


def _chalk(tone: Values, grain: Values, smooth: Values) -> Values:
    board = _colour(40, 80, 60) + smooth[:, :1] // 5
    return _painted(board, _colour(235, 235, 215), _crisp(tone) * (96 + grain * 5 // 8) // 256)


def _halftone(tone: Values, grain: Values, smooth: Values) -> Values:
    distance = np.minimum(np.arange(SIDE) % 4, 4 - np.arange(SIDE) % 4)  # from the middle of a dot: 0, 1, 2, 1
    screen = 64 * (distance[:, None] + distance)
    return _painted(_colour(90, 40, 130) + smooth // 4, _colour(255, 170, 40), (_crisp(tone) * 3 // 4 - screen) * 4)


def _ink(tone: Values, grain: Values, smooth: Values) -> Values:
    paper = _colour(222, 205, 172) + smooth[:, :1] * _colour(3, 4, 5) // 16
    return _painted(paper, _colour(25, 30, 85), _crisp(tone))


def _neon(tone: Values, grain: Values, smooth: Values) -> Values:
    return _painted(_colour(70, 20, 30) + smooth[:, :1] // 4, _colour(90, 220, 255), 255 - 4 * np.abs(tone - 75))


_STYLES = {"chalk": _chalk, "halftone": _halftone, "ink": _ink, "neon": _neon}


def _crisp(tone: Values) -> Values:
    return np.clip(2 * tone - 96, 0, 255)


def _painted(ground: Values, paint: Values, cover: Values) -> Values:
    """`paint` on `ground`, where `cover` is 255 all of it, where it is 0 or below nothing."""
    ground = np.clip(ground, 0, 255)
    return ground + (paint - ground) * np.clip(cover, 0, 255) // 255


def _colour(red: int, green: int, blue: int) -> Values:
    return np.array([red, green, blue])[:, None, None]
