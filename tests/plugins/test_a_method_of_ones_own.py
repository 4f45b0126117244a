"""A method from outside the package: SIGReg. Its loss against a closed form, its runs as any other's."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import small

from sslrun.errors import RecipeError
from sslrun.recipe import read_recipe
from sslrun.recipe.plugins import load

EXAMPLE = Path(__file__).parent / "sigreg.py"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _here(written: Callable[[str, str], Path]) -> None:
    written("sigreg", EXAMPLE.read_text())


def closed_form(x_N: torch.Tensor) -> float:
    """The integral over all t: cosines against Gaussians, pair by pair. 17 points miss 1 % of a wide sample."""
    pairs = (-(x_N[:, None] - x_N[None]).square() / 2).exp().mean() * math.sqrt(2 * math.pi)
    single = (-x_N.square() / 4).exp().mean() * 2 * math.sqrt(math.pi)
    return float(len(x_N) * (pairs - single + math.sqrt(2 * math.pi / 3)))


@pytest.mark.parametrize(("points", "tolerance"), [(17, 0.02), (201, 1e-5)])
def test_the_statistic_is_its_closed_form(points: int, tolerance: float) -> None:
    load("sigreg")
    from sigreg import epps_pulley

    generator = torch.Generator().manual_seed(0)
    z_NS = torch.randn(40, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 0.3, 2.0]) + 0.2
    expected = [closed_form(column) for column in z_NS.T]
    assert epps_pulley(z_NS, points).tolist() == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_constant_outputs_cost_the_most() -> None:
    """What a collapse would be: far from Gaussian, and the further the larger the batch."""
    load("sigreg")
    from sigreg import epps_pulley

    z_NS = torch.randn(256, 1, generator=torch.Generator().manual_seed(0))
    assert epps_pulley(torch.zeros(256, 1)) > 50 * epps_pulley(z_NS)


def test_it_is_trained_without_a_theory_of_its_own(tmp_path: Path, sslrun: Run) -> None:
    changes = small("method={kind: sigreg}", "training.epochs=3", "evaluation.linear=null")
    code, out, err = sslrun("pretrain", "quickstart", "--import", "sigreg", *changes, "--results", "r")
    assert code == 0, err
    assert "LeJEPA (SIGReg 0.05)" in out.splitlines()[0]
    (run,) = Path("r").glob("quickstart-*")
    for command in (("plot", run), ("compare", run, run), ("show", run / "recipe.yaml")):
        code, out, err = sslrun(*command)
        assert code == 0, err
    assert "kind: sigreg" in out
    code, out, err = sslrun("theory", "--run", run)
    assert "Traceback" not in err
    code, out, err = sslrun("pretrain", "quickstart", "--import", "sigreg", *changes, "--set", "method.weigt=1")
    assert code == 2
    assert "did you mean 'weight'" in err


def test_it_has_no_predictor_to_optimise() -> None:
    changes = ["method={kind: sigreg}", "optimizer.predictor={kind: sgd}"]
    with pytest.raises(RecipeError, match="sigreg has no predictor to optimise"):
        read_recipe("quickstart", changes, imports=["sigreg"])
