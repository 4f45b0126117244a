"""MSN's step against a computation that shares no code with it: the transformer's attention and norms, the loss and SGD
written out in float64, Sinkhorn-Knopp in NumPy on plain probabilities.
"""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslrun.methods import build_encoder, build_method, set_up
from sslrun.methods.msn import MSN, cross_entropy, kept_patches, log_predictions, mean_entropy, sharpened
from sslrun.networks.group import Group
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Optimizer, Optimizers, Recipe
from sslrun.seeds import stream_seed
from sslrun.training.optimizers import Updates

STEPS, N, PROTOTYPES, SEED = 6, 5, 7, 3
LR, MOMENTUM, DECAY = 0.1, 0.9, 1e-3
RECIPE = f"""
seed: {SEED}
data: {{kind: digits, size: 16}}
views: {{count: 3, size: 16, small: {{count: 1, size: 8}}}}
network:
  backbone: {{kind: vit, patch: 4, depth: 2, heads: 2, width: 8}}
  projector: {{hidden: 10, out: 6, affine: true}}
method:
  {{kind: msn, prototypes: {PROTOTYPES}, temperature: 0.2, sharpening: 0.4, entropy_weight: 0.7, drop: 0.3,
    momentum: 0.9}}
training: {{epochs: 1}}
"""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    def read(*overrides: str) -> Recipe:
        (tmp_path / "msn.yaml").write_text(RECIPE)
        return read_recipe(tmp_path / "msn.yaml", overrides)

    return read


def msn(recipe: Recipe) -> MSN:
    method = build_method(recipe.method, set_up(recipe, build_encoder(recipe, 1), 1, STEPS, torch.device("cpu")))
    assert isinstance(method, MSN)
    return method.double()


def updates_for(method: MSN) -> Updates:
    sgd = Optimizer(kind="sgd", lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    return Updates(method, Optimizers(network=sgd), [1.0] * STEPS, torch.device("cpu"))


def batch(n: int) -> list[Tensor]:
    """Three full-size views and a small one of the same images, which differ by noise."""
    x = random(N, 1, 16, 16, seed=n)
    noise = random(3, N, 1, 16, 16, seed=100 + n)
    return [x + 0.3 * noise[0], x + 0.3 * noise[1], x + 0.3 * noise[2], x[:, :, 4:12, 4:12].clone()]


def softmax(s: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(s)
    return np.asarray(e / e.sum(-1, keepdims=True))


def balanced(q_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sinkhorn-Knopp on probabilities: in turn, equal sums over prototypes, unit sums over samples."""
    for _ in range(3):
        q_NK = q_NK / q_NK.sum(0) / q_NK.shape[1]
        q_NK = q_NK / q_NK.sum(1, keepdims=True)
    return q_NK


def unit(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(z / np.linalg.norm(z, axis=-1, keepdims=True))


def test_predictions_are_softmaxes_of_cosines() -> None:
    z, prototypes = random(2, N, 6), random(PROTOTYPES, 6, seed=1)
    expected = softmax(unit(z.numpy()) @ unit(prototypes.numpy()).T / 0.3)
    np.testing.assert_allclose(log_predictions(z, prototypes, 0.3).exp(), expected, rtol=1e-12)
    torch.testing.assert_close(log_predictions(5 * z, 3 * prototypes, 0.3), log_predictions(z, prototypes, 0.3))


@pytest.mark.parametrize("balance", [False, True])
def test_targets_are_sharpened_and_balanced(balance: bool) -> None:
    p = softmax(random(N, PROTOTYPES).numpy())
    power = p ** (1 / 0.25)
    expected = power / power.sum(1, keepdims=True)
    if balance:
        expected = balanced(expected)
    found = sharpened(torch.from_numpy(np.log(p)).requires_grad_(), 0.25, balance)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)
    assert not found.requires_grad


def test_cross_entropy_and_mean_entropy_against_loops() -> None:
    q, p = softmax(random(N, PROTOTYPES).numpy()), softmax(random(3, N, PROTOTYPES, seed=1).numpy())
    expected = [-math.fsum(q[i] * np.log(p[a, i])) for a in range(3) for i in range(N)]
    log_p = torch.from_numpy(np.log(p))
    assert cross_entropy(torch.from_numpy(q), log_p).item() == pytest.approx(np.mean(expected), rel=1e-12)
    mean = p.reshape(-1, PROTOTYPES).mean(0)
    assert mean_entropy(log_p).item() == pytest.approx(-math.fsum(mean * np.log(mean)), rel=1e-12)
    even = torch.full((2, N, 5), -math.log(5), dtype=torch.float64)
    assert mean_entropy(even).item() == pytest.approx(math.log(5))


def test_mean_entropy_is_finite_where_no_anchor_predicts_a_prototype() -> None:
    scores = torch.tensor([[[400.0, 0.0, 399.0]]], requires_grad=True)
    entropy = mean_entropy(scores.log_softmax(-1))
    entropy.backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    a = 1 / (1 + math.exp(-1))
    assert entropy.item() == pytest.approx(-a * math.log(a) - (1 - a) * math.log(1 - a), rel=1e-5)


def test_masks_are_subsets_drawn_for_each_image() -> None:
    kept = kept_patches(4000, 9, 0.3, seed=1)
    assert kept.shape == (4000, 6)
    assert all(len(set(row)) == 6 for row in kept.tolist())
    counts = kept.flatten().bincount(minlength=9) / 4000
    assert (counts - 6 / 9).abs().max() < 5 * math.sqrt(6 / 9 * 3 / 9 / 4000)
    assert torch.equal(kept, kept_patches(4000, 9, 0.3, seed=1))
    assert not torch.equal(kept, kept_patches(4000, 9, 0.3, seed=2))
    assert [kept_patches(1, p, d, 0).shape[1] for p, d in ((10, 0.3), (196, 0.15), (10, 0.9), (2, 0.9))] == [
        7,
        166,
        1,
        1,
    ]


def norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    q, k, v = (x @ w[f"{name}.in_proj_weight"].T + w[f"{name}.in_proj_bias"]).chunk(3, dim=-1)
    half = x.shape[-1] // 2
    heads = []
    for h in (slice(0, half), slice(half, None)):
        weights = torch.exp(q[..., h] @ k[..., h].transpose(1, 2) / math.sqrt(half))
        heads.append(weights / weights.sum(-1, keepdim=True) @ v[..., h])
    return torch.cat(heads, dim=-1) @ w[f"{name}.out_proj.weight"].T + w[f"{name}.out_proj.bias"]


def forward(w: dict[str, Tensor], x: Tensor, keep: Tensor | None) -> Tensor:
    """The transformer (depth 2, two heads, patch 4) on kept patches, and the projector."""
    grid = x.shape[-1] // 4
    patches = x.reshape(N, grid, 4, grid, 4).permute(0, 1, 3, 2, 4).reshape(N, grid**2, 16)
    tokens = patches @ w["0.conv_proj.weight"].reshape(8, 16).T + w["0.conv_proj.bias"]
    position = w["0.encoder.pos_embedding"][0]
    others = position[1:]
    if grid == 2:  # halved, Keys' kernel at ±0.5 and ±1.5 with a = −0.75
        taps = torch.tensor([-0.09375, 0.59375, 0.59375, -0.09375], dtype=torch.float64)
        across = torch.zeros(2, 4, dtype=torch.float64)
        for row, first in enumerate((-1, 1)):
            for t in range(4):
                across[row, min(max(first + t, 0), 3)] += taps[t]
        others = torch.einsum("ia,jb,abd->ijd", across, across, others.reshape(4, 4, 8)).reshape(4, 8)
    tokens = tokens + others
    if keep is not None:
        tokens = torch.stack([tokens[i, keep[i]] for i in range(N)])
    first_token = (w["0.class_token"][0, 0] + position[0]).expand(N, 1, 8)
    h = torch.cat([first_token, tokens], dim=1)
    for layer in ("0.encoder.layers.encoder_layer_0", "0.encoder.layers.encoder_layer_1"):
        h = h + attention(norm(h, w, f"{layer}.ln_1"), w, f"{layer}.self_attention")
        y = norm(h, w, f"{layer}.ln_2") @ w[f"{layer}.mlp.0.weight"].T + w[f"{layer}.mlp.0.bias"]
        y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
        h = h + y @ w[f"{layer}.mlp.3.weight"].T + w[f"{layer}.mlp.3.bias"]
    h = norm(h, w, "0.encoder.ln")[:, 0]
    h = h @ w["1.0.weight"].T + w["1.0.bias"]
    h = (h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt() * w["1.1.weight"] + w["1.1.bias"]
    return h.clamp(min=0) @ w["1.3.weight"].T + w["1.3.bias"]


def by_hand(
    online: dict[str, Tensor], target: dict[str, Tensor], prototypes: Tensor, balance: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, list[float]]:
    weights = online | {"prototypes": prototypes}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    losses = []
    for n in range(STEPS):
        live = {name: value.clone().requires_grad_() for name, value in weights.items()}
        first, *anchors = batch(n)
        c = live["prototypes"] / live["prototypes"].norm(dim=1, keepdim=True)
        rows = []
        for view, x in enumerate(anchors, start=1):
            keep = None
            if x.shape[-1] == 16:
                generator = torch.Generator().manual_seed(stream_seed(SEED, "mask", n, view))
                keep = torch.rand(N, 16, generator=generator).argsort(dim=1)[:, :11]
            z = forward(live, x, keep)
            s = torch.exp(z / z.norm(dim=1, keepdim=True) @ c.T / 0.2)
            rows.append(s / s.sum(1, keepdim=True))
        p = torch.cat(rows)
        t = unit(forward(target, first, None).numpy())
        q = softmax(t @ c.detach().numpy().T / 0.2) ** (1 / 0.4)
        q = q / q.sum(1, keepdims=True)
        q_repeated = torch.from_numpy(balanced(q) if balance else q).repeat(3, 1)
        mean = p.mean(0)
        loss = -(q_repeated * p.log()).sum() / (3 * N) + 0.7 * (mean * mean.log()).sum()
        losses.append(loss.item())
        for (name, value), gradient in zip(
            weights.items(), torch.autograd.grad(loss, list(live.values())), strict=True
        ):
            velocity[name] = MOMENTUM * velocity[name] + gradient + DECAY * value
            weights[name] = value - LR * velocity[name]
        m = 0.9 + 0.1 * n / STEPS
        target = {name: m * target[name] + (1 - m) * weights[name] for name in target}
    prototypes = weights.pop("prototypes")
    return weights, target, prototypes, losses


def parameters(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


@pytest.mark.parametrize("balance", [True, False])
def test_six_steps_equal_the_computation_by_hand(recipe: Callable[..., Recipe], balance: bool) -> None:
    method = msn(recipe(f"method.sinkhorn={str(balance).lower()}"))
    with torch.no_grad():
        for seed, value in enumerate(method.online.parameters()):  # nothing at zero or one, where torchvision starts it
            value += 0.1 * random(*value.shape, seed=seed)
        for mine, theirs in zip(method.target.parameters(), method.online.parameters(), strict=True):
            mine.copy_(theirs + 0.05)  # a target of its own, so that mixing the two up shows
    start = parameters(method.online), parameters(method.target), method.prototypes.weight.detach().clone()
    online, target, prototypes, losses = by_hand(*start, balance)
    updates = updates_for(method)
    ours = [method.step(batch(n), n, updates).item() for n in range(STEPS)]

    np.testing.assert_allclose(ours, losses, atol=1e-6)
    torch.testing.assert_close(method.prototypes.weight.detach(), prototypes, atol=1e-6, rtol=0)
    for name, value in parameters(method.online).items():
        torch.testing.assert_close(value, online[name], atol=1e-6, rtol=0, msg=name)
    for name, value in parameters(method.target).items():
        torch.testing.assert_close(value, target[name], atol=1e-6, rtol=0, msg=name)
    assert not torch.equal(prototypes, start[2])


def test_resuming_midway_gives_the_same_bits(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    whole, resumed = msn(recipe()), msn(recipe("seed=8"))
    resumed.seed = SEED  # other weights to begin with, the same masks
    updates, updates_again = updates_for(whole), updates_for(resumed)
    for n in range(STEPS):
        if n == 3:
            torch.save((whole.state_dict(), updates.state_dict()), tmp_path / "halfway.pt")
        whole.step(batch(n), n, updates)
    method_state, optimizer_state = torch.load(tmp_path / "halfway.pt", weights_only=True)
    resumed.load_state_dict(method_state)
    updates_again.load_state_dict(optimizer_state)
    for n in range(3, STEPS):
        resumed.step(batch(n), n, updates_again)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_nothing_is_dropped_without_masks_and_the_seed_draws_them(recipe: Callable[..., Recipe]) -> None:
    def loss(*overrides: str) -> float:
        method = msn(recipe(*overrides))
        return method.step(batch(0), 0, updates_for(method)).item()

    whole = msn(recipe("method.drop=0"))
    whole.seed = SEED + 1
    assert loss("method.drop=0") == pytest.approx(whole.step(batch(0), 0, updates_for(whole)).item(), rel=1e-12)
    masked = msn(recipe())
    masked.seed = SEED + 1
    assert abs(loss() - masked.step(batch(0), 0, updates_for(masked)).item()) > 1e-6


def test_a_process_draws_the_masks_of_the_whole_batch_and_takes_its_part(recipe: Callable[..., Recipe]) -> None:
    method, x_NCHW = msn(recipe()), batch(0)[1]
    whole_NF = method._anchor(x_NCHW, 1, 0, masked=True)
    method.group = Group(rank=1, size=2)
    method.group.batch = N
    part_MF = method._anchor(x_NCHW[2:], 1, 0, masked=True)
    torch.testing.assert_close(part_MF, whole_NF[2:])


RUN = """
data: {kind: digits, size: 16, limit: 128}
views:
  {size: 16, small: {count: 2, size: 8}, crop: {scale: [0.4, 1.0]}, style: {kind: bss}, colours: batch_wise_after,
    greyscale: 0, jitter: null, blur: null}
network:
  backbone: {kind: vit, patch: 4, depth: 2, heads: 2, width: 32}
  projector: {hidden: 32, out: 16}
method: {kind: msn, prototypes: 16}
optimizer: {network: {kind: adamw, lr: 1e-3}, schedule: {kind: cosine}}
training: {epochs: 2, batch_size: 32}
evaluation: {linear: null}
run: {threads: 1, device: cpu}
"""


def test_a_run_trains_is_judged_goes_on_where_it_was_stopped_and_is_exported(
    sslrun: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msn.yaml").write_text(RUN)
    step = MSN.step

    def interrupted(self: MSN, views: list[Tensor], iteration: int, updates: Updates) -> Tensor:
        if iteration == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, views, iteration, updates)

    with monkeypatch.context() as patch:
        patch.setattr(MSN, "step", interrupted)
        assert sslrun("pretrain", tmp_path / "msn.yaml", "--results", tmp_path / "stopped")[0] == 130
    for name in ("whole", "stopped"):
        code, out, _ = sslrun("pretrain", tmp_path / "msn.yaml", "--results", tmp_path / name)
        assert code == 0
        assert "ViT/4, 2 layers of 32 · MSN" in out
        assert "kNN" in out
    whole, stopped = (next((tmp_path / name).glob("msn-*/encoder.safetensors")) for name in ("whole", "stopped"))
    assert whole.read_bytes() == stopped.read_bytes()
    code, out, _ = sslrun("export", whole.parent, "--to", "torchvision", "--out", tmp_path / "vit.pt")
    assert code == 0
    assert "VisionTransformer(16, 4, 2, 2, 32, 128)" in out
