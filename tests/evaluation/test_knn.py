"""kNN against scikit-learn and a loop in float64, its ties, and its refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from sslrun.errors import InputError, RunFailed
from sslrun.evaluation import similarity
from sslrun.evaluation.knn import knn_accuracy as accuracy_of
from sslrun.evaluation.problem import problem as checked
from sslrun.recipe.schema import Knn

Problem = tuple[Tensor, Tensor, Tensor, Tensor]


def clusters(train: int = 300, test: int = 120, d: int = 12, classes: int = 6, seed: int = 0) -> Problem:
    r = np.random.default_rng(seed)
    centres = r.normal(size=(classes, d))
    y, y_test = r.integers(0, classes, train), r.integers(0, classes, test)
    x, x_test = centres[y] + 1.5 * r.normal(size=(train, d)), centres[y_test] + 1.5 * r.normal(size=(test, d))
    return torch.tensor(x).float(), torch.tensor(y), torch.tensor(x_test).float(), torch.tensor(y_test)


def knn_accuracy(*given: Tensor, classes: int, beat: Callable[[], None] = lambda: None, **options: Any) -> float:
    return accuracy_of(Knn(**options), checked(*given, classes), beat)


def by_loop(problem: Problem, k: int, temperature: float, classes: int) -> float:
    x, y, x_test, y_test = (value.double().numpy() for value in problem)
    hits = 0
    for h, label in zip(x_test, y_test, strict=True):
        s = np.array([h @ g / np.linalg.norm(h) / np.linalg.norm(g) for g in x])
        votes = np.zeros(classes)
        for i in np.argsort(-s, kind="stable")[:k]:
            votes[int(y[i])] += np.exp(s[i] / temperature)
        hits += int(votes.argmax() == label)
    return hits / len(y_test)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (300, 0.02)])
def test_equals_a_loop_and_scikit_learn(k: int, temperature: float) -> None:
    x, y, x_test, y_test = problem = clusters()

    def weights(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp((1 - distance) / temperature)

    theirs = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
    theirs.fit(x.double().numpy(), y.numpy())
    accuracy = knn_accuracy(*problem, k=k, temperature=temperature, classes=6)
    assert accuracy == by_loop(problem, k, temperature, 6)
    assert accuracy == pytest.approx(theirs.score(x_test.double().numpy(), y_test.numpy()), abs=1e-12)
    assert 0.3 < accuracy < 0.95


@given(seed=st.integers(0, 100), limit=st.sampled_from([1, 700, 10_000]))
def test_order_of_images_and_chunks_do_not_matter(seed: int, limit: int) -> None:
    x, y, x_test, y_test = clusters()
    expected = knn_accuracy(x, y, x_test, y_test, classes=6)
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randperm(len(x), generator=generator), torch.randperm(len(x_test), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "_MOST_SIMILARITIES", limit)
        assert knn_accuracy(x[a], y[a], x_test[b], y_test[b], classes=6) == expected


def test_tiny_temperature_follows_the_nearest_without_overflow() -> None:
    problem = clusters()
    assert knn_accuracy(*problem, k=5, temperature=1e-6, classes=6) == knn_accuracy(*problem, k=1, classes=6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_length_of_features_does_not_matter(scale: float) -> None:
    x, y, x_test, y_test = clusters()
    lengths = scale * (1 + torch.rand(len(x), 1, generator=torch.Generator().manual_seed(0)))
    assert knn_accuracy(x * lengths, y, x_test, y_test, classes=6) == knn_accuracy(x, y, x_test, y_test, classes=6)


def test_zeros_are_equally_near_to_all_and_ties_go_to_the_first() -> None:
    x, y, x_test, _ = clusters()
    first = int(torch.bincount(y[:7], minlength=6).argmax())
    labels = torch.full((len(x_test),), first)
    assert knn_accuracy(x, y, torch.zeros_like(x_test), labels, k=7, classes=6) == 1
    assert knn_accuracy(torch.zeros_like(x), y, x_test, labels, k=7, classes=6) == 1


def test_ties_at_the_last_place_only() -> None:
    east, north = [1.0, 0.0], [0.0, 1.0]
    train = torch.tensor([north, north, east, north, north])
    labels = torch.tensor([2, 1, 0, 1, 1])  # 3 nearest of `east`: itself, then the first two of four equally far
    assert knn_accuracy(train, labels, torch.tensor([east]), torch.tensor([0]), k=3, temperature=100, classes=3) == 1
    assert knn_accuracy(train, labels, torch.tensor([north]), torch.tensor([1]), k=3, temperature=100, classes=3) == 1


def test_unlabelled_images_are_left_out() -> None:
    x, y, x_test, y_test = clusters()
    expected = knn_accuracy(x[::2], y[::2], x_test[::3], y_test[::3], classes=6)
    y, y_test = torch.where(torch.arange(300) % 2 == 0, y, -1), torch.where(torch.arange(120) % 3 == 0, y_test, -1)
    assert knn_accuracy(x, y, x_test, y_test, classes=6) == expected


def test_refusals() -> None:
    x, y, x_test, y_test = clusters()
    with pytest.raises(InputError, match="301 neighbours of 300"):
        knn_accuracy(x, y, x_test, y_test, k=301, classes=6)
    with pytest.raises(InputError, match="no labelled training images"):
        knn_accuracy(x, torch.full_like(y, -1), x_test, y_test, classes=6)
    with pytest.raises(InputError, match="no labelled test images"):
        knn_accuracy(x, y, x_test, torch.full_like(y_test, -1), classes=6)
    with pytest.raises(InputError, match="with 5 classes"):
        knn_accuracy(x, y, x_test, y_test, classes=5)
    with pytest.raises(InputError, match="same D"):
        knn_accuracy(x, y, x_test[:, :3], y_test, classes=6)
    with pytest.raises(InputError, match="120 test features"):
        knn_accuracy(x, y, x_test, y_test[:3], classes=6)
    x_test[4, 2] = torch.inf
    with pytest.raises(RunFailed, match="encoder's features are not finite for 1 of 120 test images"):
        knn_accuracy(x, y, x_test, y_test, classes=6)


def test_digits_of_other_writers() -> None:
    """Raw 8×8 pixels of scikit-learn's digits; another implementation agrees to a few images of 397."""
    digits = load_digits()
    h, y = torch.tensor(digits.data).float() / 16, torch.tensor(digits.target)
    accuracy = knn_accuracy(h[:1400], y[:1400], h[1400:], y[1400:], classes=10)
    theirs = KNeighborsClassifier(5, metric="cosine").fit(digits.data[:1400], digits.target[:1400])
    assert accuracy == pytest.approx(theirs.score(digits.data[1400:], digits.target[1400:]), abs=0.008)
    assert accuracy > 0.93


def test_beats_with_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslrun.evaluation.similarity._MOST_SIMILARITIES", 40)
    beats: list[int] = []
    h, y = torch.eye(20), torch.arange(20)
    assert knn_accuracy(h, y, h, y, k=1, classes=20, beat=lambda: beats.append(1)) == 1
    assert len(beats) == 10
