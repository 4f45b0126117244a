"""The optimisers of a recipe, which weights each has and how it decays them, and the schedule: against NumPy."""

import math
from itertools import product
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sslrun.errors import RunFailed
from sslrun.networks.group import ALONE
from sslrun.recipe.schema import Optimizer, Optimizers, Schedule
from sslrun.training.optimizers import Lars, Updates, learning_rates, weight_decays


def test_lars_against_numpy() -> None:
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(4, 3)), rng.normal(size=4)
    weight, bias = nn.Parameter(torch.from_numpy(w.copy())), nn.Parameter(torch.from_numpy(b.copy()))
    lars = Lars(
        [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0, "scale": False}],
        lr=0.5,
        momentum=0.9,
        trust=0.02,
    )
    v_w, v_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(5):
        g_w, g_b = rng.normal(size=w.shape), rng.normal(size=b.shape)
        weight.grad, bias.grad = torch.from_numpy(g_w.copy()), torch.from_numpy(g_b.copy())
        lars.step()
        g = g_w + 0.1 * w
        v_w = 0.9 * v_w + g * 0.02 * np.linalg.norm(w) / np.linalg.norm(g)
        v_b = 0.9 * v_b + g_b
        w, b = w - 0.5 * v_w, b - 0.5 * v_b
    np.testing.assert_allclose(weight.detach().numpy(), w, atol=1e-12)
    np.testing.assert_allclose(bias.detach().numpy(), b, atol=1e-12)


def test_lars_leaves_a_zero_weight_unscaled() -> None:
    weight = nn.Parameter(torch.zeros(3, 2))
    weight.grad = torch.ones(3, 2)
    Lars([weight], lr=0.5, momentum=0.0, trust=1e-3).step()
    assert torch.equal(weight.detach(), torch.full((3, 2), -0.5))


def test_schedules() -> None:
    assert np.array_equal(learning_rates(Schedule(), 3, 4), np.ones(12))
    rates = learning_rates(Schedule(kind="cosine", warmup_epochs=2), steps_per_epoch=5, epochs=10)
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[9] == rates[10] == 1
    for n in range(10, 50):
        assert rates[n] == pytest.approx((1 + math.cos(math.pi * (n - 10) / 40)) / 2)
    assert 0 < rates[-1] < 0.01


def test_a_warm_up_of_one_step_and_one_that_is_all_of_training() -> None:
    assert learning_rates(Schedule(kind="cosine", warmup_epochs=1), 1, 3).tolist() == [1, 1, pytest.approx(0.5)]
    assert learning_rates(Schedule(kind="cosine", warmup_epochs=2), 2, 2).tolist() == [0.25, 0.5, 0.75, 1]
    assert learning_rates(Schedule(kind="cosine"), 1, 1).tolist() == [1]


RATES = [0.5, 1.0, 0.25, 0.8]
Values = NDArray[np.float64]


class ByHand:
    """The update rule of an optimiser's section for one weight, after the papers and torch's documentation."""

    def __init__(self, section: Optimizer, w: Values) -> None:
        self.section, self.w, self.n = section, w.copy(), 0
        self.v, self.second = np.zeros_like(w), np.zeros_like(w)

    def step(self, g: Values, lr: float) -> None:
        s = self.section
        self.n += 1
        spared = self.w.ndim == 1 and not s.decay_norm_and_bias
        decay = 0.0 if spared else s.weight_decay
        if s.kind == "adamw":
            self.v = s.momentum * self.v + (1 - s.momentum) * g
            self.second = s.beta2 * self.second + (1 - s.beta2) * g**2
            v, second = self.v / (1 - s.momentum**self.n), self.second / (1 - s.beta2**self.n)
            self.w = self.w - lr * decay * self.w - lr * v / (np.sqrt(second) + 1e-8)
            return
        g = g + decay * self.w
        if s.kind == "lars" and not spared:
            g = g * s.trust * np.linalg.norm(self.w) / np.linalg.norm(g)
        self.v = s.momentum * self.v + g
        self.w = self.w - lr * (g + s.momentum * self.v if s.nesterov else self.v)


SECTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd", "momentum": 0.9},
    "nesterov": {"kind": "sgd", "momentum": 0.8, "nesterov": True},
    "adamw": {"kind": "adamw", "momentum": 0.7, "beta2": 0.95},
    "lars": {"kind": "lars", "momentum": 0.6, "trust": 0.02},
}


@pytest.mark.parametrize("vectors", [True, False], ids=["all decay", "matrices decay"])
@pytest.mark.parametrize(("network", "predictor"), list(product(SECTIONS, [None, *SECTIONS])))
def test_each_weight_is_updated_by_its_own_section(network: str, predictor: str | None, vectors: bool) -> None:
    ours = Optimizer(**SECTIONS[network], lr=0.1, weight_decay=0.2, decay_norm_and_bias=vectors)
    # Another rate, another decay, and vectors the other way about: nothing may come from the network's section.
    own = (
        Optimizer(**SECTIONS[predictor], lr=0.03, weight_decay=0.4, decay_norm_and_bias=not vectors)
        if predictor
        else None
    )
    rng = np.random.default_rng(0)
    shapes = {"network": [(4, 3), (4,), (2, 4, 1, 1)], "predictor": [(3, 3), (3,)]}
    weights = {place: [nn.Parameter(torch.from_numpy(rng.normal(size=n))) for n in shapes[place]] for place in shapes}
    rules = {
        place: [ByHand(ours if place == "network" else own or ours, w.detach().numpy()) for w in weights[place]]
        for place in shapes
    }
    method: Any = SimpleNamespace(
        group=ALONE,
        network_parameters=lambda: iter(weights["network"]),
        predictor=SimpleNamespace(parameters=lambda: iter(weights["predictor"])),
    )
    updates = Updates(method, Optimizers(network=ours, predictor=own), RATES, torch.device("cpu"))
    for iteration, rate in enumerate(RATES):
        updates.zero_grad()
        for place in shapes:
            for weight, rule in zip(weights[place], rules[place], strict=True):
                assert weight.grad is None
                gradient = rng.normal(size=rule.w.shape)
                weight.grad = torch.from_numpy(gradient.copy())
                rule.step(gradient, rate * rule.section.lr)
        updates.step(iteration, torch.tensor(1.0))
    for place in shapes:
        for weight, rule in zip(weights[place], rules[place], strict=True):
            np.testing.assert_allclose(weight.detach().numpy(), rule.w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lars"])
def test_nothing_moves_from_the_first_step_that_is_not_finite(kind: Literal["sgd", "adamw", "lars"]) -> None:
    weight, own = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))
    predictor = SimpleNamespace(parameters=lambda: iter([own]))
    method: Any = SimpleNamespace(
        group=ALONE, network_parameters=lambda: iter([weight]), predictor=predictor, modules=lambda: iter([])
    )
    updates = Updates(method, Optimizers(network=Optimizer(kind=kind)), [1.0] * 6, torch.device("cpu"))
    losses = [1.0, 1.0, 1.0, math.inf, 1.0]
    kept: list[torch.Tensor] = []
    for iteration, loss in enumerate(losses):
        weight.grad, own.grad = torch.ones(2, 2), torch.ones(3)
        if iteration == 2:
            own.grad[1] = math.nan
        updates.step(iteration, torch.tensor(loss))
        kept.append(torch.cat([weight.detach().flatten(), own.detach()]))
        if iteration < 2:
            updates.raise_if_not_finite()
    assert not torch.equal(kept[0], kept[1])
    assert all(torch.equal(later, kept[1]) for later in kept[2:])
    with pytest.raises(RunFailed, match=r"(?s)at step 2.*Try a lower optimizer\.network\.lr"):
        updates.raise_if_not_finite()


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_momentum_is_there_from_the_first_step_and_none_takes_no_memory(momentum: float) -> None:
    weights = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))]
    method: Any = SimpleNamespace(group=ALONE, network_parameters=lambda: iter(weights), predictor=None)
    updates = Updates(method, Optimizers(network=Optimizer(momentum=momentum)), [1.0], torch.device("cpu"))
    kept = [state["momentum_buffer"].shape for one in updates.optimizers for state in one.state.values()]
    assert kept == ([(2, 2), (3,)] if momentum else [])


def test_the_public_schedule_of_msn() -> None:
    """Warm-up from `start` to 1, a cosine down to `end`; the decay along half a cosine between its two values."""
    schedule = Schedule(kind="cosine", warmup_epochs=2, start=0.2, end=0.001)
    rates = learning_rates(schedule, steps_per_epoch=5, epochs=10)
    np.testing.assert_allclose(rates[:10], 0.2 + 0.8 * np.arange(1, 11) / 10)
    for n in range(10, 50):
        assert rates[n] == pytest.approx(0.001 + 0.999 * (1 + math.cos(math.pi * (n - 10) / 40)) / 2)
    decays = weight_decays(Optimizer(kind="adamw", weight_decay=0.04, weight_decay_end=0.4), 20)
    for n, decay in enumerate(decays):
        assert decay == pytest.approx(0.4 - 0.36 * (1 + math.cos(math.pi * n / 20)) / 2)
    assert np.array_equal(weight_decays(Optimizer(weight_decay=4e-4), 7), np.full(7, 4e-4))


@pytest.mark.parametrize("clip", [0.5, 1e3])
def test_gradients_are_clipped_together_and_the_decay_of_the_step_is_for_matrices_alone(clip: float) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    method: Any = SimpleNamespace(group=ALONE, network_parameters=layer.parameters, predictor=None)
    section = Optimizer(
        lr=0.1, momentum=0, weight_decay=0.2, weight_decay_end=0.6, clip=clip, decay_norm_and_bias=False
    )
    updates = Updates(method, Optimizers(network=section), [1.0] * 4, torch.device("cpu"))
    w, b = (parameter.detach().numpy().copy() for parameter in layer.parameters())
    for step, decay in enumerate(weight_decays(section, 4)):
        gradients = [np.full_like(w, step + 1.0), np.full_like(b, -2.0)]
        for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        updates.step(step, torch.tensor(1.0))
        scale = min(1.0, clip / math.sqrt(sum(float((g**2).sum()) for g in gradients)))
        w = w - 0.1 * (scale * gradients[0] + decay * w)
        b = b - 0.1 * scale * gradients[1]
    np.testing.assert_allclose(layer.weight.detach().numpy(), w, atol=1e-6)
    np.testing.assert_allclose(layer.bias.detach().numpy(), b, atol=1e-6)
