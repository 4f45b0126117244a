"""Six training steps of a tiny linear network with each predictor rule, against the same steps by hand in NumPy.

The hand computation has its own gradients, momentum, statistics and rules (by SVD, Kronecker products and loops over
samples); only initial weights and drawn numbers are taken from the predictor. The target network is fixed.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.linalg import expm

from sslrun.networks.predictors import Predictor, build_predictor
from sslrun.recipe.schema.predictor import Predictor as Section

Array = NDArray[np.float64]
STEPS, N, INPUTS, D = 6, 10, 6, 4
LR, LR_P, MOMENTUM = 0.02, 0.03, 0.9


def section(**options: Any) -> Section:
    built: Section = TypeAdapter(Annotated[Section, "as a field"]).validate_python(options)
    return built


def batches() -> Iterator[tuple[Array, Array]]:
    for step in range(STEPS):
        x = np.random.default_rng([11, step]).normal(size=(2, N, INPUTS))
        yield x[0] + 0.3, x[1] + 0.3


def networks() -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(D, INPUTS)), rng.normal(size=(D, INPUTS))


def by_torch(predictor: Predictor) -> tuple[Array, list[Array]]:
    """Online weights and predictor parameters after all steps, as a training step would do it."""
    online, target = (torch.from_numpy(w) for w in networks())
    online.requires_grad_()
    predictor.double()
    parameters = list(predictor.parameters())
    optimizer = torch.optim.SGD([online], lr=LR)
    optimizer_p = torch.optim.SGD(parameters, lr=LR_P, momentum=MOMENTUM) if parameters else None
    for n, views in enumerate(batches()):
        x1, x2 = (torch.from_numpy(x) for x in views)
        z, t = [x1 @ online.T, x2 @ online.T], [x2 @ target.T, x1 @ target.T]
        predictor.observe([z[0].detach(), z[1].detach()], t)
        loss = sum(((predictor(z_i) - t_i) ** 2).sum(1).mean() for z_i, t_i in zip(z, t, strict=True))
        assert isinstance(loss, torch.Tensor)
        for opt in filter(None, (optimizer, optimizer_p)):
            opt.zero_grad()
        loss.backward()
        for opt in filter(None, (optimizer, optimizer_p)):
            opt.step()
        predictor.after_step(n)
    return online.detach().numpy(), [p.detach().numpy() for p in parameters]


Rule = Callable[[Array, int, list[Array], list[Array]], Array]


def by_hand(w_p: Array, rule: Rule, bias: Array | None = None) -> tuple[Array, list[Array]]:
    """The same for one linear layer; `rule(W_p, n, all z so far, all t so far)` gives W_p after iteration n."""
    online, target = networks()
    v_p, v_b = np.zeros_like(w_p), np.zeros(D)
    seen_z: list[Array] = []
    seen_t: list[Array] = []
    for n, (x1, x2) in enumerate(batches()):
        grad, grad_p, grad_b = np.zeros_like(online), np.zeros_like(w_p), np.zeros(D)
        z_both, t_both = np.stack([x1, x2]) @ online.T, np.stack([x2, x1]) @ target.T
        seen_z.append(z_both)
        seen_t.append(t_both)
        for x, z, t in zip((x1, x2), z_both, t_both, strict=True):
            residual = 2 / N * (z @ w_p.T + (0 if bias is None else bias) - t)
            grad_p += residual.T @ z
            grad_b += residual.sum(0)
            grad += w_p.T @ residual.T @ x
        v_p, v_b = MOMENTUM * v_p + grad_p, MOMENTUM * v_b + grad_b
        online = online - LR * grad
        w_p = rule(w_p - LR_P * v_p, n, seen_z, seen_t)
        if bias is not None:
            bias = bias - LR_P * v_b
    return online, [w_p] if bias is None else [w_p, bias]


def outer(a: Array, b: Array) -> Array:
    """Mean over both views and all samples of a bᵀ."""
    return np.asarray(
        np.mean([np.outer(u, v) for u, v in zip(a.reshape(-1, D), b.reshape(-1, D), strict=True)], axis=0)
    )


def average(batches_: list[Array], rho: float | None) -> Array:
    """The moving average of a list of batch values, unrolled into its weights."""
    n = len(batches_)
    weights = [1 / n] * n if rho is None else [rho ** (n - 1)] + [(1 - rho) * rho ** (n - 1 - i) for i in range(1, n)]
    return np.asarray(sum(w * b for w, b in zip(weights, batches_, strict=True)))


def spectral(f: Array, function: Callable[[Array], Array]) -> Array:
    u, s, _ = np.linalg.svd(f)
    return np.asarray((u * function(s)) @ u.T)


def correlations(z: list[Array]) -> list[Array]:
    return [outer(batch, batch) for batch in z]


def directpred(rho: float | None = 0.3, freq: int = 1, center: bool = False, **rule: Any) -> Rule:
    epsilon, exponent, floor = rule.get("epsilon", 0.1), rule.get("exponent", 0.5), rule.get("floor", 1e-4)

    def function(s: Array) -> Array:
        v = s / s.max()
        if rule.get("epsilon_inside"):
            return np.asarray(np.maximum(v + epsilon, floor) ** exponent)
        return np.asarray(np.maximum(v**exponent + epsilon, floor))

    def apply(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
        if n % freq:
            return w_p
        f = average(correlations(z), rho)
        if center:
            m = average([batch.mean((0, 1)) for batch in z], rho)
            f = f - np.outer(m, m)
        return spectral(f, function)

    return apply


def power(alpha: float, norm: str, epsilon: float = 0.3, rho: float = 0.5) -> Rule:
    def apply(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
        f = spectral(average(correlations(z), rho), lambda s: s**alpha)
        size = {"spectral": np.linalg.norm(f, 2), "frobenius": np.sqrt((f**2).sum()), "none": 1.0}[norm]
        return f / size + epsilon * np.eye(D)

    return apply


def solve(side: str, ridge: float, rho: float | None) -> Rule:
    def apply(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
        f = average(correlations(z), rho) + ridge * np.eye(D)
        m = average([outer(b, a) for a, b in zip(z, t, strict=True)], rho)
        return np.asarray(np.linalg.inv(f) @ m if side == "left" else m @ np.linalg.inv(f))

    return apply


def minimal_space(
    ridge: float = 1e-3, rho: float | None = 0.8, freq: int = 1, center: bool = False, symmetric: bool = True,
    variant: str = "full", time: float = 1.0, psd_steps: int | None = None,
) -> Rule:  # fmt: skip
    def apply(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
        if n % freq:
            return (w_p + w_p.T) / 2 if symmetric else w_p
        if rho is None:  # averages start anew after each setting
            z, t = z[max(0, n - freq + 1) :], t[max(0, n - freq + 1) :]
        f = average(correlations(z), rho)
        m = average([outer(b, a) for a, b in zip(z, t, strict=True)], rho)
        if center:
            mean_z, mean_t = (average([b.mean((0, 1)) for b in batches_], rho) for batches_ in (z, t))
            f, m = f - np.outer(mean_z, mean_z), m - np.outer(mean_t, mean_z)
        m = (m + m.T) / 2 if symmetric else m
        if variant == "finite_time":
            w = expm(-f * time) @ m @ expm(-f * time)
        else:
            if variant == "diagonal":
                u = np.linalg.svd(f)[0]
                m = u @ np.diag([u_j @ m @ u_j for u_j in u.T]) @ u.T
            # W F + F W + ridge W = 2 M, as one linear system
            shifted = f + ridge / 2 * np.eye(D)
            system = np.kron(shifted, np.eye(D)) + np.kron(np.eye(D), shifted)
            w = np.linalg.solve(system, 2 * m.reshape(-1)).reshape(D, D)
        if psd_steps is None:
            return np.asarray(w)
        p, v = np.linalg.eigh((w + w.T) / 2)
        h, tried = v * np.sqrt(np.maximum(p, 0)), []
        m = average([outer(b, a) for a, b in zip(z, t, strict=True)], rho)
        for _ in range(psd_steps):
            gradient = (2 * (m + m.T) / 2 - f @ h @ h.T - h @ h.T @ f) @ h
            tried.append((np.linalg.norm(gradient), h))
            h = h + 0.01 * gradient
        h = min(tried, key=lambda pair: float(pair[0]))[1] if tried else h
        return np.asarray(h @ h.T)

    return apply


def unconstrained(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
    return w_p


def symmetric_norm(w_p: Array, n: int, z: list[Array], t: list[Array]) -> Array:
    s = (w_p + w_p.T) / 2
    return np.asarray(s / np.linalg.eigvals(s).real.max())


ONE_LAYER: list[tuple[dict[str, Any], Rule]] = [
    ({"kind": "linear"}, unconstrained),
    ({"kind": "linear", "bias": True}, unconstrained),
    ({"kind": "linear", "decay": 0.1}, lambda w, n, z, t: 0.9 * w),
    ({"kind": "symmetric"}, lambda w, n, z, t: (w + w.T) / 2),
    ({"kind": "symmetric", "bias": True, "decay": 0.2}, lambda w, n, z, t: 0.4 * (w + w.T)),
    ({"kind": "symmetric_norm"}, symmetric_norm),
    ({"kind": "diagonal"}, lambda w, n, z, t: w * np.eye(D)),
    ({"kind": "directpred"}, directpred()),
    ({"kind": "directpred", "rho": None, "freq": 2, "exponent": 1.0}, directpred(None, 2, exponent=1)),
    ({"kind": "directpred", "freq": 4, "center": True, "epsilon": -0.2}, directpred(0.3, 4, True, epsilon=-0.2)),
    ({"kind": "directpred", "epsilon_inside": True, "rho": 0.9}, directpred(0.9, epsilon_inside=True)),
    ({"kind": "directpred", "floor": 0.5}, directpred(floor=0.5)),
    ({"kind": "offset", "offset": 0.1}, directpred(epsilon=-0.1, epsilon_inside=True)),
    ({"kind": "offset", "offset": -0.05, "freq": 2}, directpred(0.3, 2, epsilon=0.05, epsilon_inside=True)),
    *(({"kind": "directset", "alpha": 0.25, "norm": n}, power(0.25, n)) for n in ("spectral", "frobenius", "none")),
    *(({"kind": "directcopy", "norm": n}, power(1, n)) for n in ("spectral", "frobenius", "none")),
    ({"kind": "directcopy", "rho": 0.9, "epsilon": 0.1}, power(1, "spectral", 0.1, 0.9)),
    ({"kind": "solve", "side": "left", "ridge": 0.1}, solve("left", 0.1, 0.8)),
    ({"kind": "solve", "rho": None}, solve("right", 1e-3, None)),
    ({"kind": "minimal_space"}, minimal_space()),
    ({"kind": "minimal_space", "rho": None, "freq": 2, "ridge": 0.2}, minimal_space(0.2, None, 2)),
    ({"kind": "minimal_space", "symmetric": False, "center": True}, minimal_space(center=True, symmetric=False)),
    ({"kind": "minimal_space", "variant": "diagonal"}, minimal_space(variant="diagonal")),
    ({"kind": "minimal_space", "variant": "finite_time", "time": 0.2}, minimal_space(variant="finite_time", time=0.2)),
    ({"kind": "minimal_space", "psd_steps": 0}, minimal_space(psd_steps=0)),
    ({"kind": "minimal_space", "psd_steps": 5}, minimal_space(psd_steps=5)),
    ({"kind": "minimal_space", "variant": "diagonal", "psd_steps": 3}, minimal_space(variant="diagonal", psd_steps=3)),
]


def label(value: object) -> str | None:
    return " ".join(f"{v}" for v in value.values()) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("options", "rule"), ONE_LAYER, ids=label)
def test_one_layer(options: dict[str, Any], rule: Rule) -> None:
    predictor = build_predictor(section(**options), D, torch.Generator().manual_seed(3))
    initial = [p.detach().double().numpy().copy() for p in predictor.parameters()]
    online, parameters = by_torch(predictor)
    expected, expected_p = by_hand(initial[0], rule, *initial[1:])
    np.testing.assert_allclose(online, expected, atol=1e-9)
    for actual, wanted in zip(parameters, expected_p, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-9)
    assert predictor.matrix_DD is not None
    np.testing.assert_array_equal(predictor.matrix_DD.numpy(), parameters[0])


def two_layers_by_hand(
    w1: Array, w2: Array, gain: Array, tie: Callable[[Array, Array], tuple[Array, Array]]
) -> tuple[Array, list[Array]]:
    """Linear, batch norm with gain and shift, ReLU, Linear, without biases; all by the chain rule."""
    online, target = networks()
    shift = np.zeros_like(gain)
    speeds = [np.zeros_like(p) for p in (w1, gain, shift, w2)]
    for x1, x2 in batches():
        grads = [np.zeros_like(p) for p in (w1, gain, shift, w2)]
        grad = np.zeros_like(online)
        for x, other in ((x1, x2), (x2, x1)):
            z = x @ online.T
            a = z @ w1.T
            scale = 1 / np.sqrt(a.var(0) + 1e-5)
            unit = (a - a.mean(0)) * scale
            y = unit * gain + shift
            residual = 2 / N * (np.maximum(y, 0) @ w2.T - other @ target.T)
            dy = (residual @ w2) * (y > 0)
            du = dy * gain
            da = scale * (du - du.mean(0) - unit * (du * unit).mean(0))
            for i, g in enumerate((da.T @ z, (dy * unit).sum(0), dy.sum(0), residual.T @ np.maximum(y, 0))):
                grads[i] += g
            grad += w1.T @ da.T @ x
        online = online - LR * grad
        speeds = [MOMENTUM * v + g for v, g in zip(speeds, grads, strict=True)]
        w1, w2 = tie(w1 - LR_P * speeds[0], w2 - LR_P * speeds[3])
        gain, shift = gain - LR_P * speeds[1], shift - LR_P * speeds[2]
    return online, [w1, gain, shift, w2]


def tied(w1: Array, w2: Array) -> tuple[Array, Array]:
    a = (w1 + w2.T) / 2
    return a, a.T


def tied_rows(w1: Array, w2: Array) -> tuple[Array, Array]:
    a = np.array([row / np.sqrt(row @ row) for row in tied(w1, w2)[0]])
    return a, a.T


@pytest.mark.parametrize(
    ("options", "tie"),
    [
        ({"kind": "mlp", "bias": False}, lambda w1, w2: (w1, w2)),
        ({"kind": "mlp", "bias": False, "decay": 0.1}, lambda w1, w2: (0.9 * w1, 0.9 * w2)),
        ({"kind": "symmetric", "layers": 2}, tied),
        ({"kind": "symmetric_row_norm"}, tied_rows),
    ],
    ids=label,
)
def test_two_layers(options: dict[str, Any], tie: Callable[[Array, Array], tuple[Array, Array]]) -> None:
    predictor = build_predictor(section(**options, hidden=7, affine=True), D, torch.Generator().manual_seed(3))
    w1, gain, _, w2 = (p.detach().double().numpy().copy() for p in predictor.parameters())
    online, parameters = by_torch(predictor)
    expected, expected_p = two_layers_by_hand(w1, w2, gain, tie)
    np.testing.assert_allclose(online, expected, atol=1e-9)
    for actual, wanted in zip(parameters, expected_p, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-9)
    assert predictor.matrix_DD is None


@pytest.mark.parametrize(("rho", "epsilon"), [(0.3, 0.1), (None, 0.0)])
def test_partition(rho: float | None, epsilon: float) -> None:
    """Sample by sample: its side of each hyperplane, that side's F with this batch in it, the mean of the matrices."""
    predictor = build_predictor(
        section(kind="partition", hyperplanes=3, rho=rho, epsilon=epsilon), D, torch.Generator().manual_seed(3)
    )
    planes = dict(predictor.named_buffers())["normals"].double().numpy().T
    online, _ = by_torch(predictor)
    expected, target = networks()
    seen: dict[tuple[int, bool], list[Array]] = {}
    for x1, x2 in batches():
        sides: list[list[list[bool]]] = []  # [view][sample][plane]
        for x in (x1, x2):
            z = x @ expected.T
            sides.append([[bool(h @ row >= (z @ h).mean()) for h in planes] for row in z])
        z_all = [row @ expected.T for x in (x1, x2) for row in x]
        side_all = [side for view in sides for side in view]
        for k in range(3):
            for positive in (True, False):
                rows = [np.outer(z, z) for z, side in zip(z_all, side_all, strict=True) if side[k] is positive]
                seen.setdefault((k, positive), []).append(np.asarray(np.mean(rows, axis=0)))
        matrix = {
            key: spectral(average(f, rho), lambda s: np.maximum(np.sqrt(s / s.max()) + epsilon, 1e-4))
            for key, f in seen.items()
        }
        grad = np.zeros_like(expected)
        for x, other, view in ((x1, x2, sides[0]), (x2, x1, sides[1])):
            for row, t, side in zip(x, other @ target.T, view, strict=True):
                w = np.asarray(np.mean([matrix[k, side[k]] for k in range(3)], axis=0))
                grad += 2 / N * np.outer(w.T @ (w @ expected @ row - t), row)
        expected = expected - LR * grad
    np.testing.assert_allclose(online, expected, atol=1e-9)


def test_none_has_nothing_to_train() -> None:
    predictor = build_predictor(section(kind="none"), D, torch.Generator())
    z = torch.randn(3, D, generator=torch.Generator().manual_seed(0))
    assert torch.equal(predictor(z), z)
    assert not list(predictor.parameters()) and predictor.matrix_DD is None
