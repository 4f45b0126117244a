"""scikit-learn's real digits whose style is amplitude and nothing else, 16×16 in colour: unseen domains without files.

Channel c of an image is b_c + g_c · (K_c ∗ digit): a ground b, a gain g > 0 and a blur K, all drawn for each channel of
each image about its domain's own. K is Gaussian, with a width along each axis, and periodic: its transfer is
positive, so that every channel keeps the digit's phases, and what is done to amplitudes alone can undo all of it. Yet
six colours and six widths tell every image from all others: the shortcut that a contrast of images learns.

In `digits_lenses` all channels of an image are also seen through one lens, exp(Σ a_m (cos 2π m·f − 1)) over ten shifts
m: symmetric ghosts, positive and of zero phase too, which no jitter of colours can undo.

Nothing is clipped: grounds and gains keep all values within 0 to 1. The strokes are always brighter than their ground.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Labels
from sslrun.data.sets import digits
from sslrun.data.sets.drawn_digits import DrawnDigits, raw_bytes
from sslrun.recipe.schema import DigitsCasts, DigitsLenses

SIDE = 16

# Of each domain (dusk, ember, moss, plum), its own: ground and gain of red, green and blue, and width of the blur in
# pixels. An image's are drawn uniformly about them: ground ± 0.1 (standard deviation 0.06), gain · e^±0.3,
# width · e^±0.4.
GROUND_D3 = np.array([[0.22, 0.28, 0.46], [0.46, 0.30, 0.20], [0.24, 0.44, 0.26], [0.42, 0.22, 0.40]])
GAIN_D3 = np.array([[0.34, 0.26, 0.20], [0.22, 0.30, 0.34], [0.30, 0.20, 0.36], [0.24, 0.34, 0.26]])
WIDTH_D = np.array([0.30, 0.45, 0.25, 0.55])

# A lens's shifts (down, right) in pixels, and the strength of each domain's ghosts; an image's are those · e^±0.5.
SHIFTS_M2 = np.array([[0, 2], [3, 0], [2, 2], [-2, 3], [0, 4], [4, 1], [-3, 3], [5, 0], [-4, 3], [1, 6]])
STRONG, WEAK = 0.35, 0.05
STRENGTH_DM = np.full((4, len(SHIFTS_M2)), WEAK)
for _domain, _strong in enumerate([(0, 5, 7), (1, 4, 8), (2, 3, 9), (0, 3, 6)]):
    STRENGTH_DM[_domain, list(_strong)] = STRONG


@open_dataset.register(DigitsCasts)
class DigitsCastsSet(DrawnDigits):
    """The digits under casts of light."""

    shape = (3, SIDE, SIDE)
    DIGEST = "aabc7e77b95777d7a50ef30712a9374eddfe14920d4b6a55925f9a1d82b48ee4"
    lenses: ClassVar[bool] = False

    def draw(self, values_NHW: NDArray[np.uint8], domains_N: Labels) -> NDArray[np.uint8]:
        return np.rint(255 * cast(values_NHW, domains_N, self.lenses)).astype(np.uint8)


@open_dataset.register(DigitsLenses)
class DigitsLensesSet(DigitsCastsSet):
    """The digits under casts of light, seen through lenses."""

    DIGEST = "99a2a624afe769c71f0d9a7bb25416846bf0b314345e2804125de44c20a54b12"
    lenses = True


def cast(values_NHW: NDArray[np.uint8], domains_N: Labels, lenses: bool) -> NDArray[np.float64]:
    """Digits of values 0..16 as images (N, 3, 16, 16) in [0, 1], each as a light of its domain, and a lens, make it."""
    count = len(values_NHW)
    draws_ND = raw_bytes(count * 4 * 24).view("<u4").reshape(count, 24) / 2.0**31 - 1  # uniform in [-1, 1)
    colours, widths, ghosts = draws_ND[:, :6], draws_ND[:, 6:12].reshape(count, 3, 2), draws_ND[:, 12:22]
    ground_N3 = GROUND_D3[domains_N] + 0.1 * colours[:, :3]
    gain_N3 = (1.8 if lenses else 1.0) * GAIN_D3[domains_N] * np.exp(0.3 * colours[:, 3:])  # ghosts take contrast away
    width_N32 = WIDTH_D[domains_N, None, None] * np.exp(0.4 * widths)
    frequency_S = np.fft.fftfreq(SIDE)
    blur_N3HW = np.exp(
        -2 * np.pi**2 * ((width_N32[:, :, :1] * frequency_S) ** 2)[..., None]
        - 2 * np.pi**2 * ((width_N32[:, :, 1:] * frequency_S) ** 2)[..., None, :]
    )
    transfer_N3HW = blur_N3HW
    if lenses:
        transfer_N3HW = blur_N3HW * _lens(STRENGTH_DM[domains_N] * np.exp(0.5 * ghosts))[:, None]
    digit_N1HW = digits.bilinear(values_NHW / 16, SIDE)[:, None]
    seen_N3HW = np.fft.ifft2(np.fft.fft2(digit_N1HW) * transfer_N3HW).real
    image_N3HW: NDArray[np.float64] = ground_N3[..., None, None] + gain_N3[..., None, None] * seen_N3HW
    return image_N3HW


def _lens(strength_NM: NDArray[np.float64]) -> NDArray[np.float64]:
    """The transfer (N, H, W) of ghosts of these strengths: positive, and 1 at frequency 0, as its kernel's sum."""
    frequency_S = np.fft.fftfreq(SIDE)
    turns_MHW = SHIFTS_M2[:, 0, None, None] * frequency_S[:, None] + SHIFTS_M2[:, 1, None, None] * frequency_S
    transfer: NDArray[np.float64] = np.exp(np.tensordot(strength_NM, np.cos(2 * np.pi * turns_MHW) - 1, axes=1))
    return transfer
