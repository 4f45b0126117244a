"""The linear probe against scikit-learn's logistic regression, and how it chooses its decay."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sslrun.errors import InputError, RunFailed, RunHeld
from sslrun.evaluation import logistic
from sslrun.evaluation.linear import LinearProbeResult, _split
from sslrun.evaluation.linear import linear_probe as probe_by
from sslrun.evaluation.logistic import fit, in_principal_axes, zero_weights
from sslrun.evaluation.problem import problem, standardised
from sslrun.recipe.schema import LinearProbe
from sslrun.seeds import stream_seed

DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def correlated(n: int, d: int = 24, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features like a network's: rectified, strongly correlated, of different scales and offsets."""
    r, q = np.random.default_rng(0), np.random.default_rng(seed)
    centres, mixing = r.normal(size=(classes, 6)), r.normal(size=(6, d)) * r.lognormal(size=d)
    y = q.integers(0, classes, n)
    h = np.maximum((centres[y] + q.normal(size=(n, 6))) @ mixing + 0.3 * q.normal(size=(n, d)), 0) + 5
    return torch.tensor(h).float(), torch.tensor(y)


def linear_probe(
    *given: Tensor, classes: int, seed: int, beat: Callable[[], None] = lambda: None, **options: Any
) -> LinearProbeResult:
    return probe_by(LinearProbe(**options), problem(*given, classes), seed, beat)


def probe(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: int = 5, decays: tuple[float, ...] = DECAYS
) -> LinearProbeResult:
    return linear_probe(*train, *test, classes=classes, decays=decays, held_out=0.2, iterations=500, seed=0)


def objective(x: Tensor, y: Tensor, weight: np.ndarray, bias: np.ndarray, decay: float) -> float:
    logits = x.double().numpy() @ weight.T + bias
    losses = logsumexp(logits, axis=1) - logits[np.arange(len(y)), y.numpy()]
    return float(losses.mean() + decay / 2 * (weight**2).sum())


@pytest.mark.parametrize("decay", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("most_axes", [2048, 0])
def test_objective_is_scikit_learns_to_a_millionth(
    decay: float, most_axes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "_MOST_AXES", most_axes)
    h, y = correlated(600)
    x, _ = standardised(h, h)
    turned, _, variance = in_principal_axes(x, x)
    ours = fit(turned, y, variance, decay, zero_weights(x, 5), 500)
    theirs = LogisticRegression(C=1 / (decay * len(y)), tol=1e-9, max_iter=20_000)
    theirs.fit(x.double().numpy(), y.numpy())
    least = objective(x, y, theirs.coef_, theirs.intercept_, decay)
    found = objective(turned, y, ours.weight.numpy(), ours.bias.numpy(), decay)
    assert ours.converged
    assert found == pytest.approx(least, rel=1e-6)
    assert (ours.classify(turned).numpy() == theirs.predict(x.double().numpy())).mean() > 0.998


def test_test_accuracy_is_scikit_learns() -> None:
    (h, y), (h_test, y_test) = correlated(600), correlated(500, seed=1)
    scaler = StandardScaler().fit(h.double().numpy())
    for decay in (1e-1, 1e-3):
        ours = probe((h, y), (h_test, y_test), decays=(decay,))
        theirs = LogisticRegression(C=1 / (decay * len(y)), tol=1e-8, max_iter=5000)
        theirs.fit(scaler.transform(h.double().numpy()), y.numpy())
        score = theirs.score(scaler.transform(h_test.double().numpy()), y_test.numpy())
        assert ours.accuracy == pytest.approx(score, abs=0.0021)
        assert ours.train_accuracy == pytest.approx(
            theirs.score(scaler.transform(h.double().numpy()), y.numpy()), abs=0.002
        )
        assert (ours.decay, ours.held_out, ours.converged) == (decay, {}, True)


def test_decay_is_chosen_on_held_out_training_images() -> None:
    train, test = correlated(200), correlated(400, seed=1)
    result = probe(train, test)
    assert set(result.held_out) == set(DECAYS)
    best = max(result.held_out.values())
    assert result.decay == max(decay for decay, accuracy in result.held_out.items() if accuracy == best)
    scrambled = probe(train, (test[0], test[1].flip(0)))
    assert (scrambled.decay, scrambled.held_out) == (result.decay, result.held_out)
    assert probe(train, test) == result  # the same seed, the same split
    assert result.accuracy == probe(train, test, decays=(result.decay,)).accuracy


def test_of_equally_good_decays_the_largest_is_taken() -> None:
    y = torch.arange(60) % 3
    h = 9.0 * torch.nn.functional.one_hot(y, 4) + 0.1 * torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    result = probe((h, y), (h, y), classes=3, decays=(1e-3, 1e-1, 1e-2))
    assert set(result.held_out.values()) == {1.0}
    assert result.decay == 1e-1


def test_another_seed_holds_out_other_images() -> None:
    train = correlated(200)
    found = [
        linear_probe(*train, *train, classes=5, decays=DECAYS, held_out=0.3, iterations=50, seed=n) for n in (0, 1, 0)
    ]
    assert found[0] == found[2]
    assert found[0].held_out != found[1].held_out


def test_noise_asks_for_more_decay() -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(800) % 2
    h = torch.randn(800, 200, generator=generator) + 0.1 * y[:, None]
    result = probe((h, y), (h, y), classes=2, decays=(1e-6, 3.0))
    assert result.decay == 3.0


def test_scale_and_offset_of_features_do_not_matter() -> None:
    (h, y), (h_test, y_test) = correlated(300), correlated(300, seed=1)
    scale = torch.logspace(-6, 6, h.shape[1])
    plain = probe((h, y), (h_test, y_test), decays=(1e-2,))
    scaled = probe((h * scale, y), (h_test * scale, y_test), decays=(1e-2,))
    assert scaled.accuracy == pytest.approx(plain.accuracy, abs=0.004)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e20])
def test_constant_features_say_nothing(value: float) -> None:
    (h, y), (h_test, y_test) = correlated(300), correlated(300, seed=1)
    wide, wide_test = (torch.cat([h, torch.full((300, 3), value)], 1) for h in (h, h_test))
    wide_test[:, -1] = 7.0  # nor if they vary in the test images
    with_constants = probe((wide, y), (wide_test, y_test), decays=(1e-2,))
    assert with_constants.accuracy == pytest.approx(probe((h, y), (h_test, y_test), decays=(1e-2,)).accuracy, abs=0.004)


def test_collapsed_features_give_the_largest_class() -> None:
    y = torch.tensor([0, 1, 1, 1, 2] * 20)
    h = torch.full((100, 4), 0.3)
    result = probe((h, y), (h, y), classes=3)
    assert result.accuracy == pytest.approx(0.6)
    assert result.converged


def test_classes_that_training_lacks_are_wrong_not_fatal() -> None:
    (h, y), (h_test, y_test) = correlated(400), correlated(400, seed=1)
    seen, seen_test = y != 2, y_test != 2
    result = probe((h[seen], y[seen]), (h_test, y_test))
    alone = probe((h[seen], y[seen]), (h_test[seen_test], y_test[seen_test]))
    assert result.accuracy == pytest.approx(alone.accuracy * float(seen_test.float().mean()))


def test_one_class_only() -> None:
    h, _ = correlated(30)
    y = torch.full((30,), 3)
    assert probe((h, y), (h, y)).accuracy == 1


def test_few_images_of_each_class() -> None:
    h, y = correlated(400)
    few = torch.cat([torch.where(y == c)[0][:2] for c in range(5)])
    assert 0 <= probe((h[few], y[few]), (h, y)).accuracy <= 1
    one = few[::2]
    with pytest.raises(InputError, match="every class has one image"):
        probe((h[one], y[one]), (h, y))
    assert probe((h[one], y[one]), (h, y), decays=(0.1,)).train_accuracy == 1


def test_unlabelled_images_are_left_out() -> None:
    (h, y), test = correlated(300), correlated(300, seed=1)
    known = torch.arange(300) < 200
    assert probe((h, torch.where(known, y, -1)), test) == probe((h[known], y[known]), test)
    with pytest.raises(InputError, match=r"no labelled training images.*\n.*choose data that has them"):
        probe((h, torch.full_like(y, -1)), test)


def test_too_few_iterations_are_told() -> None:
    train = correlated(300)
    result = linear_probe(*train, *train, classes=5, decays=(1e-4,), held_out=0.2, iterations=3, seed=0)
    assert not result.converged


def test_features_that_are_not_finite_name_the_encoder() -> None:
    h, y = correlated(50)
    h[3, 1] = torch.nan
    with pytest.raises(RunFailed, match=r"(?s)features are not finite for 1 of 50 training images.*look at the loss"):
        probe((h, y), correlated(50))


def test_digits_of_other_writers() -> None:
    digits = load_digits()
    h, y = torch.tensor(digits.data).float() / 16, torch.tensor(digits.target)
    result = probe((h[:1400], y[:1400]), (h[1400:], y[1400:]), classes=10)
    assert 0.88 < result.accuracy < result.train_accuracy
    assert min(result.held_out.values()) > 0.9


def test_beats_every_iteration_and_ends_where_a_beat_says_so() -> None:
    (h, y), beats = correlated(400), []  # type: tuple[Tensor, Tensor], list[int]
    settings = {"classes": 5, "decays": (0.1, 1e-4), "held_out": 0.2, "iterations": 6, "seed": 0}
    result = linear_probe(h, y, h, y, **settings, beat=lambda: beats.append(1))  # type: ignore[arg-type]  # one table
    assert len(beats) >= 3 * 6  # two fits to choose a decay, and the last one
    assert not result.converged
    assert result == linear_probe(h, y, h, y, **settings)  # type: ignore[arg-type]

    def lost() -> None:
        raise RunHeld("lost to another process")

    with pytest.raises(RunHeld, match="lost"):
        linear_probe(h, y, h, y, **settings, beat=lost)  # type: ignore[arg-type]


def test_features_of_small_variance_are_fitted_in_few_iterations_without_decay() -> None:
    """They are scaled by their variance, of which only what is below a millionth is left as it is."""
    h, y = correlated(400)
    x, _ = standardised(h, h)
    small_ND = x * 1e-2
    variance_D = small_ND.square().mean(0).double()
    plain = fit(x, y, torch.ones(x.shape[1], dtype=torch.float64), 0.0, zero_weights(x, 5), 40)
    small = fit(small_ND, y, variance_D, 0.0, zero_weights(x, 5), 40)
    least, found = (
        objective(features_ND, y, weights.weight.numpy(), weights.bias.numpy(), 0.0)
        for features_ND, weights in ((x, plain), (small_ND, small))
    )
    assert found == pytest.approx(least, rel=0.02)


def test_images_are_held_out_in_the_order_of_one_shuffle() -> None:
    """Of each class the first of a permutation that the seed alone decides, however many images there are."""
    y_N = torch.arange(600) % 3
    fitted, held = _split(y_N, 0.25, 7)
    shuffled = torch.randperm(600, generator=torch.Generator().manual_seed(stream_seed(7, "probe"))).tolist()
    by_class = [[n for n in shuffled if n % 3 == c] for c in range(3)]
    assert held.tolist() == [n for one in by_class for n in one[:50]]
    assert fitted.tolist() == [n for one in by_class for n in one[50:]]


@pytest.mark.parametrize(("multiplications", "most"), [(1_000, 1), (10**9, 2)])
def test_small_fits_take_one_thread_and_large_ones_all(multiplications: int, most: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with logistic.few_threads(multiplications):
            assert torch.get_num_threads() == most
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("held_out", [0.01, 0.5, 0.99])
def test_of_each_class_one_image_at_least_is_held_out_and_one_fitted_where_there_are_two(held_out: float) -> None:
    y_N = torch.tensor([0, 1, 1, 2, 2, 2, 4, 0, 0, 0, 0, 0])
    fitted, held = _split(y_N, held_out, 3)
    assert sorted([*fitted.tolist(), *held.tolist()]) == list(range(12))
    assert set(y_N[fitted].tolist()) == {0, 1, 2, 4}
    assert set(y_N[held].tolist()) == {0, 1, 2}


def test_features_as_small_as_you_like_are_standardised_all_the_same() -> None:
    h, _ = correlated(300)
    expected = StandardScaler().fit(h.double().numpy()).transform(h.double().numpy())
    for scale in (1.0, 1e-7, 1e7):
        x, y = standardised(h * scale, h[:5] * scale)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-3, atol=1e-4)
        assert torch.equal(y, x[:5])
