"""SwAV's loss against its formula as loops; steps with queue, frozen prototypes and small views against a
computation by hand; a resume in the middle.
"""

from typing import Literal

import numpy as np
import pytest
import torch
from methods_by_hand import (
    N,
    assert_resumes_in_the_middle,
    forward,
    gradient_step,
    parameters,
    setup,
    updates_for,
    views,
)
from torch import Tensor
from torch.nn import functional as F

from sslrun.methods import Method, build_encoder, build_method, set_up
from sslrun.methods.swav import SwAV, swapped_prediction
from sslrun.recipe import schema

K, A, V = 7, 2, 3
EPSILON, TEMPERATURE, ITERATIONS = 0.1, 0.2, 3
FREEZE, QUEUE, QUEUE_FROM, QUEUE_FULL = 2, 24, 3, 5  # a queue of one batch and a half

Scope = Literal["view", "joint"]


def swav(scope: Scope, queue: int = QUEUE) -> SwAV:
    section = schema.Swav(
        kind="swav",
        prototypes=K,
        temperature=TEMPERATURE,
        epsilon=EPSILON,
        iterations=ITERATIONS,
        assign=scope,
        freeze_prototypes=FREEZE,
        queue=schema.SwavQueue(length=queue, start_epoch=1) if queue else None,
    )
    return SwAV(section, setup(views=A, batch_size=N, steps_per_epoch=QUEUE_FROM)).double()


def codes(z: Tensor, c: Tensor) -> Tensor:
    """Sinkhorn-Knopp as SwAV's code writes it: prototypes in rows, plain exponentials."""
    q = (z @ c.T / EPSILON).exp().T
    q = q / q.sum()
    for _ in range(ITERATIONS):
        q = q / q.sum(1, keepdim=True) / K
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def test_the_loss_equals_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(4, 5, 6, generator=generator, dtype=torch.float64)
    q = torch.rand(2, 5, 6, generator=generator, dtype=torch.float64)
    expected = 0.0
    for t in range(2):
        for v in set(range(4)) - {t}:
            for i in range(5):
                weights = np.exp(s[v, i].numpy() / 0.3)
                expected -= float(q[t, i].numpy() @ np.log(weights / weights.sum())) / 5 / 3 / 2
    assert swapped_prediction(s, q, 0.3).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scope", ["view", "joint"])
@pytest.mark.parametrize("queue", [0, QUEUE])
def test_six_steps_equal_the_computation_by_hand(scope: Scope, queue: int) -> None:
    method = swav(scope, queue)
    weights, prototypes = parameters(method.online), method.prototypes.weight.detach().clone()
    velocity: dict[str, Tensor] = {}
    earlier: list[list[Tensor]] = [[] for _ in range(A)]
    batches, updates = views(4, count=V), updates_for(method)
    for n, batch in enumerate(batches):
        live = {name: value.clone().requires_grad_() for name, value in weights.items()}
        prototypes = prototypes / prototypes.norm(dim=1, keepdim=True)
        c = prototypes.clone().requires_grad_()
        z = [F.normalize(forward(live, x), dim=1) for x in batch]
        fixed = [z[t].detach() for t in range(A)]
        helped = [
            torch.cat([torch.stack(earlier[t][-queue:]), fixed[t]]) if queue and n >= QUEUE_FULL else fixed[t]
            for t in range(A)
        ]
        if scope == "view":
            q = [codes(part, prototypes)[-N:] for part in helped]
        else:
            q = [part[-N:] for part in codes(torch.cat(helped), prototypes).chunk(A)]
        loss = torch.zeros((), dtype=torch.float64)
        for t in range(A):
            for v in set(range(V)) - {t}:
                p = (z[v] @ c.T / TEMPERATURE).softmax(1)
                loss = loss - (q[t] * p.log()).sum(1).mean() / (V - 1) / A
        for t in range(A):
            earlier[t] += fixed[t].flip(0)  # any order within a batch would do, but half of one is kept
        both = gradient_step(loss, live | ({} if n < FREEZE else {"prototypes": c}), velocity)
        prototypes = both.pop("prototypes", prototypes)
        weights = both

        assert method.step(batch, n, updates).item() == pytest.approx(loss.item(), abs=1e-6)
        if n < FREEZE:
            torch.testing.assert_close(method.prototypes.weight.detach(), prototypes, atol=1e-12, rtol=0)
    for name, value in parameters(method.online).items():
        torch.testing.assert_close(value, weights[name], atol=1e-6, rtol=0)
    torch.testing.assert_close(method.prototypes.weight.detach(), prototypes, atol=1e-6, rtol=0)


@pytest.mark.parametrize("at", [1, 4])  # within the frozen steps, and with the queue in use
def test_a_resume_in_the_middle_gives_the_same_bits(at: int) -> None:
    assert_resumes_in_the_middle(lambda: swav("view"), views(4, count=V), at)


def recipe(queue: schema.SwavQueue | None = None) -> schema.Recipe:
    return schema.Recipe(
        name="clusters",
        data=schema.Digits(kind="digits"),
        views=schema.Views(count=3),
        network=schema.Network(backbone=schema.Backbone(kind="small_resnet", width=8)),
        method=schema.Swav(kind="swav", prototypes=5, queue=queue),
        training=schema.Training(epochs=4, batch_size=10),
    )


def method_of(asked: schema.Recipe) -> Method:
    return build_method(asked.method, set_up(asked, build_encoder(asked, 1), 1, 7, torch.device("cpu")))


@pytest.mark.parametrize(("length", "start_epoch", "expected"), [(25, 0, 3), (20, 0, 2), (25, 2, 17), (90, 1, 16)])
def test_a_recipes_queue_is_filled_from_its_epoch_on_and_used_once_it_is_full(
    length: int, start_epoch: int, expected: int
) -> None:
    asked = recipe(queue=schema.SwavQueue(length=length, start_epoch=start_epoch))
    method = method_of(asked)
    assert isinstance(method, SwAV)
    assert method.queue_from == expected
    assert method.queue_ALD.shape == (3, length, asked.network.projector.out)


def test_a_recipes_prototypes_are_trained_by_the_networks_optimiser_and_start_from_the_seed() -> None:
    asked = recipe()
    one, other = method_of(asked), method_of(asked)
    assert isinstance(one, SwAV)
    assert isinstance(other, SwAV)
    assert torch.equal(one.prototypes.weight, other.prototypes.weight)
    assert any(parameter is one.prototypes.weight for parameter in one.network_parameters())


def test_a_queue_and_a_smaller_last_batch_do_not_go_together() -> None:
    sections = recipe(queue=schema.SwavQueue()).model_dump()
    sections["training"]["last_batch"] = "keep"
    with pytest.raises(ValueError, match="whole batches"):
        schema.Recipe.model_validate(sections)
