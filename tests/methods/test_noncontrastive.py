"""The step against a step-by-step computation that shares no code with it: NumPy for F and W_p, plain torch
functions and hand-written SGD for the rest, in the order of the DirectPred code.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from methods_by_hand import DECAY, INPUTS, LR, MOMENTUM, STEPS, D, N, forward, network, parameters, setup, updates_for
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods import Setup
from sslrun.methods.noncontrastive import NonContrastive, cosine_loss, squared_loss
from sslrun.networks.heads import Projector
from sslrun.recipe.schema import (
    Byol,
    ConstantEma,
    CosineEma,
    DirectPredictor,
    LinearPredictor,
    NoEma,
    NoPredictor,
    Optimizer,
    Optimizers,
    Predictor,
    SimSiam,
)
from sslrun.training.optimizers import Updates

LINEAR = LinearPredictor(kind="linear")


def views(seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(STEPS, N, INPUTS, generator=generator, dtype=torch.float64)
    return [
        tuple(x[n] + 0.3 * torch.randn(N, INPUTS, generator=generator, dtype=torch.float64) for _ in range(2))
        for n in range(STEPS)
    ]


def cosine(p: Tensor, t: Tensor) -> Tensor:
    return (-2 * (p * t).sum(1) / (p.norm(dim=1) * t.norm(dim=1))).mean()


def by_hand(
    online: dict[str, Tensor],
    target: dict[str, Tensor],
    w_p: Tensor,
    batches: list[tuple[Tensor, Tensor]],
    *,
    momentum: float,
    freq: int,
    rho: float,
    epsilon: float,
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, list[float]]:
    """Six iterations of DirectPred, BYOL's loss, symmetric, one SGD for the network and one for W_p."""
    velocity = {name: torch.zeros_like(value) for name, value in online.items()} | {"w_p": torch.zeros_like(w_p)}
    f_hat, losses = None, []
    for n, (x1, x2) in enumerate(batches):
        live = {name: value.clone().requires_grad_() for name, value in online.items()}
        predictor = w_p.clone().requires_grad_()
        z1, z2 = forward(live, x1), forward(live, x2)
        stacked = torch.cat([z1, z2]).detach().numpy()
        c = stacked.T @ stacked / len(stacked)
        f_hat = c if f_hat is None else rho * f_hat + (1 - rho) * c
        t1, t2 = forward(target, x1), forward(target, x2)
        loss = cosine(z1 @ predictor.T, t2) + cosine(z2 @ predictor.T, t1)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, [*live.values(), predictor])
        for name, value, gradient in zip([*live, "w_p"], [*online.values(), w_p], gradients, strict=True):
            gradient = gradient + DECAY * value
            velocity[name] = gradient if n == 0 else MOMENTUM * velocity[name] + gradient
            if name == "w_p":
                w_p = value - LR * velocity[name]
            else:
                online[name] = value - LR * velocity[name]
        if n % freq == 0:
            s, u = np.linalg.eigh(f_hat)
            scaled = np.sqrt(np.clip(s, 0, None) / s.max())
            w_p = torch.from_numpy(u @ np.diag(np.maximum(scaled + epsilon, 1e-4)) @ u.T)
        target = {name: momentum * target[name] + (1 - momentum) * online[name] for name in target}
    return online, target, w_p, losses


def byol(predictor: Predictor, **options: Any) -> NonContrastive:
    return NonContrastive(Byol(kind="byol", predictor=predictor, **options), setup()).double()


def simsiam(**options: Any) -> NonContrastive:
    return NonContrastive(SimSiam(kind="simsiam", predictor=LINEAR, **options), setup()).double()


@pytest.mark.parametrize("freq", [1, 3])
@pytest.mark.parametrize("momentum", [0.9, None])
def test_six_steps_of_directpred_with_independent_target_equal_the_computation_by_hand(
    freq: int, momentum: float | None
) -> None:
    method = byol(
        DirectPredictor(kind="directpred", freq=freq, rho=0.3, epsilon=0.1),
        target="independent",
        ema=NoEma(kind="none") if momentum is None else ConstantEma(kind="constant", momentum=momentum),
    )
    predictor = method.predictor
    assert method.target is not None
    assert predictor.matrix_DD is not None
    start = parameters(method.online), parameters(method.target), predictor.matrix_DD.detach().clone()
    batches = views(4)
    online, target, w_p, losses = by_hand(*start, batches, momentum=momentum or 0.0, freq=freq, rho=0.3, epsilon=0.1)
    updates = updates_for(method)
    ours = [method.step(batch, n, updates).item() for n, batch in enumerate(batches)]

    np.testing.assert_allclose(ours, losses, atol=1e-6)
    for name, value in parameters(method.online).items():
        torch.testing.assert_close(value, online[name], atol=1e-6, rtol=0)
    for name, value in parameters(method.target).items():
        torch.testing.assert_close(value, target[name], atol=1e-6, rtol=0)
    torch.testing.assert_close(predictor.matrix_DD.detach(), w_p, atol=1e-6, rtol=0)


def test_without_an_independent_target_no_ema_means_the_online_network_itself() -> None:
    """Momentum 0 and no target network at all are the same computation when both start from a copy."""
    batches = views(5)
    explicit, implicit = byol(LINEAR, ema=ConstantEma(kind="constant", momentum=0)), simsiam()
    assert explicit.target is not None
    assert implicit.target is None
    for method in (explicit, implicit):
        updates = updates_for(method)
        for n, batch in enumerate(batches):
            method.step(batch, n, updates)
    for name, value in parameters(implicit.online).items():
        torch.testing.assert_close(value, parameters(explicit.online)[name], atol=1e-12, rtol=0)


def gradient_of_first_step(method: NonContrastive, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    before = parameters(method.online)
    sgd = Optimizer(kind="sgd", lr=1.0, momentum=0.0, weight_decay=0.0)
    method.step(batch, 0, Updates(method, Optimizers(network=sgd), [1.0], torch.device("cpu")))
    return {name: before[name] - value for name, value in parameters(method.online).items()}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_gradient_flows_through_the_target_branch_only_without_stop_gradient(
    stop_gradient: bool, symmetric: bool
) -> None:
    x1, x2 = views(6)[0]
    method = simsiam(stop_gradient=stop_gradient, symmetric=symmetric)
    live = {name: value.requires_grad_() for name, value in parameters(method.online).items()}
    assert method.predictor.matrix_DD is not None
    w_p = method.predictor.matrix_DD.detach().clone()
    z1, z2 = forward(live, x1), forward(live, x2)
    t1, t2 = (z1.detach(), z2.detach()) if stop_gradient else (z1, z2)
    loss = cosine(z1 @ w_p.T, t2)
    if symmetric:
        loss = loss + cosine(z2 @ w_p.T, t1)
    expected = dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))
    for name, value in gradient_of_first_step(method, (x1, x2)).items():
        torch.testing.assert_close(value, expected[name], atol=1e-12, rtol=0)


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_networks_see_the_views_that_the_loss_needs_and_no_more(
    stop_gradient: bool, symmetric: bool, moving: bool
) -> None:
    """Batch norm's running statistics, which judge the encoder, are of what passed through it."""
    method = byol(
        LINEAR,
        stop_gradient=stop_gradient,
        symmetric=symmetric,
        ema=ConstantEma(kind="constant", momentum=0.9) if moving else NoEma(kind="none"),
    )
    batch, seen = views(8)[0], list[str]()

    def watch(name: str, network: nn.Module) -> None:
        network.register_forward_hook(
            lambda _, given, __: seen.append(name + str(1 + [x is given[0] for x in batch].index(True)))
        )

    watch("online ", method.online[0])
    if method.target is not None:
        watch("target ", method.target[0])
    method.step(batch, 0, updates_for(method))
    second = "target" if moving and stop_gradient else "online"
    targets = {f"{second} 2", f"{second} 1"} if symmetric else {f"{second} 2"}
    assert len(seen) == len(set(seen))
    assert set(seen) == {"online 1", *(["online 2"] if symmetric else []), *targets}


def test_losses_against_their_formulas() -> None:
    p, t = torch.randn(2, N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(cosine_loss(p, t), cosine(p, t))
    unit = F.normalize(p), F.normalize(t)
    torch.testing.assert_close(cosine_loss(p, t), squared_loss(*unit) - 2)
    expected = np.mean([sum((a - b) ** 2 for a, b in zip(r, s, strict=True)) for r, s in zip(p, t, strict=True)])
    torch.testing.assert_close(squared_loss(p, t).item(), float(expected))


def test_without_stop_gradient_a_linear_network_never_grows_and_collapses() -> None:
    """Theorem 2 of arXiv 2102.06810: |W| falls monotonically to 0; with the stop-gradient it does not."""
    norms = {}
    for stop_gradient in (True, False):
        torch.manual_seed(0)
        encoder = nn.Linear(4, 4, bias=False).double()
        nn.init.orthogonal_(encoder.weight)
        encoder.weight.data.mul_(0.6)
        made_of = Setup(encoder, Projector(out_dim=4), lambda: network(2))
        section = SimSiam(kind="simsiam", predictor=LINEAR, loss="squared", stop_gradient=stop_gradient)
        method = NonContrastive(section, made_of).double()
        with torch.no_grad():
            next(method.predictor.parameters()).copy_(0.6 * torch.eye(4))
        sgd = Optimizer(kind="sgd", lr=0.05, momentum=0.0, weight_decay=0.0)
        steps = 600
        updates = Updates(method, Optimizers(network=sgd), [1.0] * steps, torch.device("cpu"))
        generator = torch.Generator().manual_seed(2)
        course = [encoder.weight.norm().item()]
        for n in range(steps):
            x = torch.randn(512, 4, generator=generator, dtype=torch.float64)
            noise = 0.6 * torch.randn(2, 512, 4, generator=generator, dtype=torch.float64)
            method.step((x + noise[0], x + noise[1]), n, updates)
            course.append(encoder.weight.norm().item())
        norms[stop_gradient] = course
    assert all(after <= before for before, after in pairwise(norms[False]))
    assert norms[False][-1] < 0.02 * norms[False][0]
    assert norms[True][-1] > 0.8 * norms[True][0]


def test_a_non_finite_step_is_masked_named_and_leaves_the_weights_alone() -> None:
    method = byol(NoPredictor(kind="none"), ema=ConstantEma(kind="constant", momentum=0.9))
    updates = updates_for(method)
    batches = views(7)
    for n in range(3):
        method.step(batches[n], n, updates)
    before = parameters(method.online)
    updates.raise_if_not_finite()
    method.step((batches[3][0] * float("nan"), batches[3][1]), 3, updates)
    method.step(batches[4], 4, updates)
    for name, value in parameters(method.online).items():
        assert torch.equal(value, before[name])
    with pytest.raises(Exception, match="at step 3"):
        updates.raise_if_not_finite()


def test_a_rising_momentum_is_that_of_the_step_which_it_ends() -> None:
    """BYOL's m at step k of K is 1 − (1 − m₀)·(cos(πk/K) + 1)/2, k counted from 0."""
    section = Byol(kind="byol", predictor=LINEAR, ema=CosineEma(kind="cosine", momentum=0.6))
    method = NonContrastive(section, setup(steps_per_epoch=3, epochs=2)).double()
    assert method.target is not None
    updates = updates_for(method)
    for n, batch in enumerate(views(8)):
        before = parameters(method.target)
        method.step(batch, n, updates)
        m, online = 1 - 0.4 * (np.cos(np.pi * n / 6) + 1) / 2, parameters(method.online)
        for name, value in parameters(method.target).items():
            torch.testing.assert_close(value, m * before[name] + (1 - m) * online[name], atol=1e-12, rtol=0)
