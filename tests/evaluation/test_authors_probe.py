"""The probe of the DirectPred code against Adam written out in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.evaluation.authors_probe import AuthorsProbeResult
from sslrun.evaluation.authors_probe import authors_probe as probe_by
from sslrun.evaluation.problem import problem
from sslrun.recipe.schema import AuthorsProbe
from sslrun.seeds import stream_seed


def authors_probe(
    *given: Tensor, classes: int, seed: int, beat: Callable[[], None] = lambda: None, **options: Any
) -> AuthorsProbeResult:
    return probe_by(AuthorsProbe(**options), problem(*given, classes), seed, beat)


def data(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (n,), generator=generator)
    h = torch.randn((n, 5), generator=generator) * torch.tensor([1.0, 3.0, 0.1, 1.0, 0.0]) + 2
    return h + 0.7 * nn.functional.one_hot(y, 5), y


def by_numpy(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], epochs: int, lr: float, decay: float, batch: int
) -> list[float]:
    x, y = train[0].double().numpy(), train[1].numpy()
    mean, std = x.mean(0), np.where(x.std(0) > 1e-6, x.std(0), 1)  # the last feature is constant
    x, x_test = (x - mean) / std, (test[0].double().numpy() - mean) / std
    torch.manual_seed(stream_seed(7, "probe", 0))
    layer = nn.Linear(5, 3)
    theta = np.concatenate([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]], 1).astype(float)
    m, v, step, accuracies = np.zeros_like(theta), np.zeros_like(theta), 0, []
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(stream_seed(7, "probe", epoch))).numpy()
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            inputs = np.concatenate([x[rows], np.ones((len(rows), 1))], 1)
            p = np.exp(inputs @ theta.T)
            p = p / p.sum(1, keepdims=True) - np.eye(3)[y[rows]]
            g = p.T @ inputs / len(rows) + decay * theta
            step += 1
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            theta = theta - lr * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        logits = np.concatenate([x_test, np.ones((len(x_test), 1))], 1) @ theta.T
        accuracies.append(float((logits.argmax(1) == test[1].numpy()).mean()))
    return accuracies


@pytest.mark.parametrize(("lr", "decay", "batch"), [(3e-4, 1e-3, 128), (0.05, 0.3, 32)])
def test_equals_adam_in_numpy(lr: float, decay: float, batch: int) -> None:
    train, test = data(300, 0), data(501, 1)
    expected = by_numpy(train, test, 8, lr, decay, batch)
    result = authors_probe(*train, *test, classes=3, epochs=8, lr=lr, weight_decay=decay, batch_size=batch, seed=7)
    np.testing.assert_allclose(result.per_epoch, expected, atol=1 / 501)
    assert result.last == result.per_epoch[-1]
    assert result.best_on_test == max(result.per_epoch)
    assert len(set(result.per_epoch)) > 1


def test_seed_alone_decides_and_the_global_generator_is_left_alone() -> None:
    train, test = data(200, 0), data(300, 1)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    a, b, c = (authors_probe(*train, *test, classes=3, epochs=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert a == b
    assert a != c


def test_beats_every_step() -> None:
    train, beats = data(200, 0), []  # type: tuple[Tensor, Tensor], list[int]
    authors_probe(*train, *train, classes=3, epochs=2, batch_size=64, seed=0, beat=lambda: beats.append(1))
    assert len(beats) == 2 * 4


def test_unlabelled_images_are_left_out() -> None:
    (h, y), test = data(200, 0), data(300, 1)
    known = torch.arange(200) < 150
    a = authors_probe(h, torch.where(known, y, -1), *test, classes=3, epochs=2, seed=0)
    assert a == authors_probe(h[known], y[known], *test, classes=3, epochs=2, seed=0)
    with pytest.raises(InputError, match="no labelled training images"):
        authors_probe(h, torch.full_like(y, -1), *test, classes=3, epochs=2, seed=0)
