"""`method.views: together` against loops as the published codes have them: views of one size through the encoder at
once, the outputs of all through the projector, so that batch norm sees all; `apart` the same with each on its own.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods import Method, Setup, build_method
from sslrun.networks.heads import Projector
from sslrun.recipe import schema
from sslrun.training.optimizers import Updates

N, D, K, STEPS = 12, 6, 5, 4


class Encoder(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7)
        )


def method_of(section: schema.Method, together: bool) -> Method:
    torch.manual_seed(0)
    projector = Projector(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, D), out_dim=D)
    made = Setup(Encoder(), projector, lambda: (Encoder(), projector), together=together, steps_per_epoch=STEPS)
    return build_method(section, made).double()


def batch(step: int, sizes: Sequence[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    # Each view in a light of its own: statistics of one view are not those of all.
    return [
        (view + 1) * torch.randn(N, 3, size, size, generator=generator, dtype=torch.float64) + view
        for view, size in enumerate(sizes)
    ]


def published(online: nn.Module, views: Sequence[Tensor]) -> Tensor:
    """(V, N, D), as SimCLR's code (all views in one batch) and SwAV's (all of one size, then one head) compute it."""
    backbone, head = online
    sizes = torch.tensor([x.shape[-1] for x in views])
    ends = torch.cumsum(torch.unique_consecutive(sizes, return_counts=True)[1], 0).tolist()
    features, start = torch.empty(0, dtype=torch.float64), 0
    for end in ends:
        features = torch.cat((features, backbone(torch.cat(list(views[start:end])))))
        start = end
    return head(features).view(len(views), N, D)


def one_by_one(online: nn.Module, views: Sequence[Tensor]) -> Tensor:
    return torch.stack([online(x) for x in views])


def simclr_loss(z_VND: Tensor, _: Tensor | None) -> Tensor:
    z = F.normalize(z_VND.flatten(0, 1), dim=1)
    scores = (z @ z.T / 0.2).fill_diagonal_(-torch.inf)
    return F.cross_entropy(scores, torch.arange(2 * N).roll(N))


def swav_loss(z_VND: Tensor, c_KD: Tensor | None) -> Tensor:
    assert c_KD is not None
    scores = F.normalize(z_VND, dim=2) @ c_KD.T
    loss = torch.zeros((), dtype=torch.float64)
    for assigned in range(2):
        with torch.no_grad():
            q = (scores[assigned] / 0.05).exp().T
            q /= q.sum()
            for _ in range(3):
                q /= q.sum(1, keepdim=True) * K
                q /= q.sum(0, keepdim=True) * N
            q = (q * N).T
        others = [v for v in range(len(scores)) if v != assigned]
        loss -= sum((q * F.log_softmax(scores[v] / 0.1, dim=1)).sum(1).mean() for v in others) / len(others) / 2
    return loss


def byol_loss(z_VND: Tensor, _: Tensor | None) -> Tensor:
    cosine = F.cosine_similarity
    t_VND = z_VND.detach()
    return -2 * (cosine(z_VND[0], t_VND[1]).mean() + cosine(z_VND[1], t_VND[0]).mean())


METHODS: dict[str, tuple[schema.Method, Sequence[int], Any]] = {
    "simclr": (schema.SimClr(kind="simclr"), (10, 10), simclr_loss),
    "swav": (schema.Swav(kind="swav", prototypes=K, freeze_prototypes=0), (10, 10, 6, 6, 6), swav_loss),
    "simsiam": (schema.SimSiam(kind="simsiam", predictor=schema.NoPredictor(kind="none")), (10, 10), byol_loss),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_steps_equal_a_published_style_loop(name: str, together: bool) -> None:
    section, sizes, loss_of = METHODS[name]
    method = method_of(section, together)
    plain = deepcopy(method)
    weights = list(plain.online.parameters())
    prototypes = getattr(plain, "prototypes", None)
    weights += [] if prototypes is None else [prototypes.weight]
    sgd = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    network = schema.Optimizer(lr=0.1, momentum=0.9, weight_decay=0.0)
    updates = Updates(method, schema.Optimizers(network=network), [1.0] * STEPS, torch.device("cpu"))
    for step in range(STEPS):
        c_KD = None
        if prototypes is not None:
            with torch.no_grad():
                prototypes.weight.copy_(F.normalize(prototypes.weight, dim=1))
            c_KD = prototypes.weight
        views = batch(step, sizes)
        loss = loss_of((published if together else one_by_one)(plain.online, views), c_KD)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        assert method.step(views, step, updates).item() == pytest.approx(loss.item(), abs=1e-6)
    for (key, ours), theirs in zip(method.online.state_dict().items(), plain.online.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0, msg=key)


@pytest.mark.parametrize("name", METHODS)
def test_it_makes_a_difference(name: str) -> None:
    section, sizes, _ = METHODS[name]
    losses = []
    for together in (True, False):
        method = method_of(section, together)
        updates = Updates(method, schema.Optimizers(), [1.0] * STEPS, torch.device("cpu"))
        losses.append(method.step(batch(0, sizes), 0, updates).item())
    assert abs(losses[0] - losses[1]) > 1e-3


def test_the_defaults_are_as_published_and_what_was_before_keeps_its_identity() -> None:
    from sslrun.recipe.identity import science

    assert [schema.SimClr(kind="simclr").views, schema.Swav(kind="swav").views] == ["together"] * 2
    assert [schema.Byol(kind="byol").views, schema.SimSiam(kind="simsiam").views] == ["apart"] * 2
    assert science(schema.SimClr(kind="simclr")) == {"kind": "simclr", "views": "together"}
    assert science(schema.SimClr(kind="simclr", views="apart")) == {"kind": "simclr"}
    assert science(schema.Byol(kind="byol")) == {"kind": "byol"}
    assert science(schema.Byol(kind="byol", views="together")) == {"kind": "byol", "views": "together"}
