"""Every simulated figure draws, and says what the paper leaves unstated."""

import io
import sys

import pytest

from sslrun.errors import InputError
from sslrun.theory.figures import FIGURES, draw, phase_figure


@pytest.mark.parametrize("number", [3, 4, 5, 7, 8, 9, 10])
def test_figure_draws_and_names_our_choices(number: int) -> None:
    figure = draw(number)
    foot = figure.get_supxlabel()
    assert f"figure {number} of arXiv 2102.06810" in foot
    assert "hosen here" in foot
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    assert file.getvalue().startswith(b"\x89PNG")
    assert all(axis.has_data() for axis in figure.axes)


@pytest.mark.parametrize("against", ["decay", "ema"])
def test_phase_figure_draws(against: str) -> None:
    figure = phase_figure(against, beta=0.4, tau0=0.0, resolution=12)
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    assert b"<svg" in file.getvalue()


def test_drawing_needs_no_global_state() -> None:
    draw(4)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_figure_that_is_not_simulated_is_refused() -> None:
    assert 6 not in FIGURES
    with pytest.raises(InputError, match="figure 6"):
        draw(6)
