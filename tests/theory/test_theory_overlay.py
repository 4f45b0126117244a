"""The theory against our own step: linear networks trained for a moment, and the flow laid over them."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.jobs import places, pretrain_job
from sslrun.networks.predictors import predictor_from_correlation
from sslrun.networks.predictors.directset import directcopy_matrix, directset_matrix
from sslrun.recipe import read_recipe, to_yaml
from sslrun.runs.folder import RunFolder
from sslrun.theory import figures, integration
from sslrun.theory.directset import simulate_rule
from sslrun.theory.dynamics import simulate
from sslrun.theory.forecast import describe_mode
from sslrun.theory.linear import LinearProblem
from sslrun.theory.overlay import as_json, closing, error, overlay, table
from sslrun.theory.setting import flags_setting, forecast, setting_of

# 8 modes, batch 256, 600 steps of 0.04: t = 0 to 24, past the growth of every mode that lives.
SMALL = ["data.count=2048", "training={epochs: 75, batch_size: 256}", "optimizer.network.lr=0.01", "run.threads=1"]


def trained(folder: Path, *changes: str) -> RunFolder:
    recipe = read_recipe("linear_theory", [*SMALL, "method.ema.momentum=0.984", *changes])
    return pretrain_job(recipe, places(recipe, folder))[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trained(tmp_path_factory.mktemp("linear"))


def test_eight_modes_follow_the_exact_flow_and_each_its_own(run: RunFolder) -> None:
    found = overlay(run)
    assert found.setting.differences == () and found.misaligned is not None and found.misaligned < 1e-6
    assert found.measured.p_TJ.shape == (76, 8) and found.times_T[-1] == pytest.approx(24)
    for predicted in (found.exact, found.alone):
        assert predicted is not None
        for measured, foretold in zip(found.measured, predicted, strict=True):
            assert error(measured, foretold).max() < 0.01  # steps four times as long as the recipe's, half the batch
    assert "6 of 8 modes live" in closing(found)[-2].split("run:")[1]


def test_the_balance_residual_decays_as_theory_says(run: RunFolder) -> None:
    rows = run.history.read()
    eta = setting_of(read_recipe(run.recipe)).flow.eta
    times = 0.04 * np.array([row["step"] for row in rows])
    measured = np.array([row["balance"] for row in rows])
    np.testing.assert_allclose(measured[1:], measured[1] * np.exp(-2 * eta * (times[1:] - times[1])), rtol=0.02)


def test_an_overlay_is_told_to_people_and_to_programs(run: RunFolder) -> None:
    found = overlay(run)
    rows = table(found)
    assert len(rows) == 9 and len({len(row) for row in rows}) == 1 and rows[1][-1].endswith("%")
    answer = json.loads(json.dumps(as_json(found)))
    assert answer["qualitative"] == [] and max(answer["exact"]["error"]["s"]) < 0.01
    assert not any(line.startswith("qualitative") for line in closing(found))


@pytest.mark.parametrize("change", ["method.stop_gradient=false", "method.predictor={kind: none}"])
def test_theory_predicts_and_the_run_shows_collapse(tmp_path: Path, change: str) -> None:
    simsiam = "method={kind: simsiam, loss: squared, predictor: {kind: symmetric}}"  # without EMA it dies sooner
    recipe = read_recipe("linear_theory", [*SMALL, simsiam, change])
    folder = pretrain_job(recipe, places(recipe, tmp_path))[0]
    found = overlay(folder)
    assert found.exact is not None
    assert error(found.measured.s_TJ, found.exact.s_TJ).max() < 0.01
    assert "theory: collapse" in closing(found)[-2] and "run: collapse" in closing(found)[-2]
    assert forecast(found.setting).numbers["outcome"] == "collapse"


def test_a_predictor_that_starts_unaligned_follows_the_exact_flow_alone(tmp_path: Path) -> None:
    found = overlay(trained(tmp_path, "method.predictor={kind: linear}", "data.variances=[1,1,1,1,1,0.5,0.5,0.5]"))
    assert found.alone is None and found.exact is not None and (found.misaligned or 0) > 0.1
    for measured, foretold in zip(found.measured, found.exact, strict=True):
        assert error(measured, foretold).max() < 0.015


def test_what_the_flow_has_not_is_named_first(tmp_path: Path) -> None:
    found = overlay(trained(tmp_path, "optimizer.network.momentum=0.5", "training.epochs=2"))
    assert closing(found)[0].startswith("qualitative: momentum 0.5 counts here as steps 2 times as long")
    recipe = read_recipe("quickstart")
    told = forecast(setting_of(recipe))
    assert told.lines[0].startswith("qualitative: the network is not one matrix; the cosine loss")
    assert told.numbers["alpha"] == 0.5


def test_a_run_that_is_not_linear_is_compared_by_its_eigenvalues(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "other")
    folder.path.mkdir()
    for predictor in ("linear", "directpred"):
        recipe = read_recipe("quickstart", [f"method.predictor.kind={predictor}"])
        folder.recipe.write_text(to_yaml(recipe), encoding="utf-8")
        (folder.path / "history.jsonl").unlink(missing_ok=True)
        for epoch, grown in ((0, 0.0), (1, 0.1), (2, 0.3)):
            row = {"epoch": epoch, "step": 20 * epoch, "p": [0.3 + grown, 0.1], "spectrum": [0.2 + grown, 0.1]}
            folder.history.append(row)
        found = overlay(folder)
        assert found.exact is None and found.alone is not None and found.alone.p_TJ.shape == (3, 2)
        lines = closing(found)
        assert (
            lines[0].startswith("qualitative") and "no error is given" in lines[-1] and "error" not in table(found)[0]
        )
    (folder.path / "history.jsonl").unlink()
    for epoch in (0, 1):
        folder.history.append({"epoch": epoch, "step": epoch, "spectrum": [1.0]})
    with pytest.raises(InputError, match="not one matrix"):
        overlay(folder)


def test_a_recipe_is_converted_as_the_flow_needs_it() -> None:
    setting = setting_of(read_recipe("linear_theory"))
    flow = setting.flow
    assert (flow.time_per_step, flow.eta, flow.alpha_p) == pytest.approx((0.01, 0.04, 1))
    assert flow.beta == pytest.approx(0.4) and setting.sigma2 == pytest.approx(0.09)
    assert setting.run_time == pytest.approx(48) and setting.symmetric and setting.alpha is None
    predictor = "optimizer.predictor={kind: sgd, lr: 0.005, momentum: 0, weight_decay: 0.08}"
    flow = setting_of(read_recipe("linear_theory", [predictor, "method.symmetric=false"])).flow
    assert (flow.time_per_step, flow.alpha_p, flow.eta, flow.eta_p) == pytest.approx((0.005, 2, 0.08, 0.08))
    assert setting_of(read_recipe("linear_theory", ["method.ema={kind: none}"])).flow.beta is None


def test_forecasts_from_flags() -> None:
    below, above = (forecast(flags_setting(None, 0.04, None), p0=p0, sigma2=0.09) for p0 in (0.041, 0.043))
    assert below.numbers["outcome"] == "collapse" and above.numbers["useful_p"] == pytest.approx(0.875516, abs=1e-6)
    held, free = (forecast(flags_setting(None, 0.04, None), tau0=tau0) for tau0 in (0.5, 1.0))
    assert (
        "the target is held at tau = 0.5 of the online network" in held.lines[0] and "kappa, the rate" in held.lines[2]
    )
    assert "alpha_p = 1 (predictor's over network's learning rate)" in free.lines[0]
    assert "the target is the online network" in free.lines[0] and "kappa, the rate" in free.lines[2]
    assert held.numbers["useful_p"] == pytest.approx(0.39952, abs=1e-5)
    bare = forecast(setting_of(read_recipe("linear_theory", ["method.stop_gradient=false"])), tau0=0.5)
    assert "the target is the online network" in bare.lines[0]
    dead = forecast(flags_setting(None, 0.3, None))
    assert "beyond the critical" in " ".join(dead.lines)
    still = forecast(setting_of(read_recipe("linear_theory", ["method.predictor={kind: none}"])))
    assert math.isclose(still.numbers["eta"], 0.04) and "Collapse: without predictor" in still.lines[-1]


Command = Callable[..., tuple[int, str, str]]


def test_the_command(sslrun: Command, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "phase_figure", partial(figures.phase_figure, resolution=6))
    code, out, _ = sslrun("theory", "--p0", "0.03")
    assert code == 0 and "Collapse: p(0) = 0.03 starts below the threshold p- = 0.0417441" in out
    picture = tmp_path / "overlay.png"
    code, out, _ = sslrun("theory", "--run", run.path, "--out", picture)
    assert code == 0 and "exact flow: mean error" in out and picture.stat().st_size > 10_000
    code, out, _ = sslrun("theory", "linear_theory", "--json", "--phase", "decay", "--out", tmp_path / "phase.svg")
    assert code == 0 and json.loads(out)["beta"] == pytest.approx(0.4) and (tmp_path / "phase.svg").exists()
    code, _, _ = sslrun("theory", "--figure", "4", "--out", tmp_path / "figure.pdf")
    assert code == 0 and (tmp_path / "figure.pdf").exists()


BEYOND = [
    *([flag, "1e308"] for flag in ("--p0", "--s0", "--tau0", "--alpha-p", "--eta", "--beta", "--sigma2")),
    *(["--phase", "ema", "--eta", "1e300"], ["--p0", "-1e308"], ["--p0", "1e5"], ["--alpha-p", "1e-300"]),
]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--figure", "6"], "figure 6 is not one of the simulated ones"),
        (["--figure", "4", "--out", "figure.gif"], "figures are written as .png, .svg, .pdf"),
        (["quickstart", "--eta", "0.1"], "the recipe says it"),
        (["quickstart", "--figure", "4"], "ask for one thing"),
        (["--phase", "tau"], "no such map"),
        (["--alpha-p", "0"], "must be positive"),
        (["--figure", "3", "--p0", "0.03"], "--p0: changes nothing with --figure 3"),
        (["--run", "x", "--eta", "0.03"], "--eta: changes nothing with --run x"),
        (["--set", "seed=1"], "--set: changes nothing with no recipe"),
        (["quickstart", "--tau0", "0.5"], "--tau0: changes nothing of what quickstart foretells"),
        (["quickstart", "--s0", "0.1"], "--s0: changes nothing"),
        (["linear_theory", "--set", "method.stop_gradient=false", "--p0", "0.1"], "--p0: changes nothing"),
        (["--out", "x.gif"], "figures are written as .png, .svg, .pdf"),
        (["--out", "x.png"], "there is no figure to draw"),
        *((flags, "beyond what floating point can follow") for flags in BEYOND),
        (["--eta", "1e-300"], "settles so late"),
        (["--beta", "1e-300"], "settles so late"),
        (["linear_theory", "--set", f"data.variances=[{', '.join(['1e-300'] * 8)}]"], "sigma2: is beyond"),
        (["linear_theory", "--set", "views.noise=1e200"], "noise: is beyond"),
        (["linear_theory", "--set", "optimizer.network.lr=1e300"], "lr: is beyond"),
    ],
)
def test_mistakes_are_told(sslrun: Command, arguments: list[Any], what: str) -> None:
    code, _, err = sslrun("theory", *arguments)
    assert code == 2 and what in err


def test_a_flow_that_gets_nowhere_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "MOST_EVALUATIONS", 100)
    with pytest.raises(InputError, match="not at its end after 100 steps"):
        describe_mode(0.2, eta=1e-6, beta=1e-3)
    with pytest.raises(InputError, match="not at its end after 100 steps"):
        simulate(0.2, 0.04, 1.0, 1.0, 0.04, 0.1, 0.09, [0.0, 1e6])


def test_a_rule_sets_p_at_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.recipe.write_text(to_yaml(read_recipe("quickstart")))
    for epoch, p in ((0, [-0.1, -0.2, 0.05]), (1, [0.8, 0.5, 0.2]), (2, [1.0, 0.9, 0.8])):
        folder.history.append({"epoch": epoch, "step": 2000 * epoch, "p": p, "spectrum": [0.3, 0.03, 0.003]})
    found = overlay(folder)
    assert found.alone is not None
    assert found.alone.p_TJ[0] == pytest.approx([1.1, 0.1**0.5 + 0.1, 0.2])  # epsilon with it
    assert found.measured.s_TJ[0] == pytest.approx([1, 0.1, 0.01])
    assert (found.alone.p_TJ[-1] > 0.9).all()
    assert any("The rule sets p at the first step" in line for line in closing(found))
    figure = figures.overlay_figure(found)
    figure.canvas.draw()
    foot = figure._supxlabel.get_window_extent()
    assert foot.x0 >= 0 and foot.x1 <= figure.bbox.width and "Qualitative" in figure._supxlabel.get_text()


@pytest.mark.parametrize(
    ("options", "matrix"),
    [
        ("kind: directpred, epsilon: 0.2, exponent: 0.7", lambda F: predictor_from_correlation(F, 0.7, 0.2)),
        (
            "kind: directpred, epsilon: -0.3, epsilon_inside: true",
            lambda F: predictor_from_correlation(F, 0.5, -0.3, epsilon_inside=True),
        ),
        ("kind: directset, alpha: 0.3, norm: frobenius", lambda F: directset_matrix(F, 0.3, 0.3, "frobenius")),
        ("kind: directcopy, norm: none, epsilon: 0.1", lambda F: directcopy_matrix(F, 0.1, "none")),
    ],
)
def test_the_theorys_rule_is_the_one_that_training_sets(options: str, matrix: Callable[[Tensor], Tensor]) -> None:
    """And its flow is that of whole matrices whose W_p is set anew all along."""
    recipe = read_recipe("quickstart", [f"method.predictor={{{options}}}"])
    rule = setting_of(recipe).rule
    assert rule is not None
    s_J = np.array([2.0, 0.9, 0.05, 0.0])
    U, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    F_DD = U @ torch.diag(torch.tensor(s_J)) @ U.T
    p_J = np.diag((U.T @ matrix(F_DD) @ U).numpy())
    np.testing.assert_allclose(rule(s_J), p_J, atol=1e-9)
    problem = LinearProblem(X_MM=np.eye(1), X_prime_MM=0.1 * np.eye(1), eta=0.01, beta=0.5)
    p_TJ, s_TJ = simulate_rule(s_J, [0.0, 1.0, 3.0], rule, problem=problem)
    w, target = np.sqrt(s_J), np.sqrt(s_J)
    for _ in range(30_000):  # Euler's steps of the flow, by hand
        p = rule(w**2)
        w, target = w + 1e-4 * (p * (target - p * w * 1.1) - 0.01 * w), target + 1e-4 * 0.5 * (w - target)
    np.testing.assert_allclose(p_TJ[-1], rule(w**2), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(s_TJ[-1] / s_TJ[-1].max(), w**2 / (w**2).max(), rtol=2e-3, atol=1e-9)
