import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sslrun.grids.power import detectable, fresh_seeds, spread_bounds
from sslrun.report.intervals import Difference, Estimate, Judged, estimate, holm, judge, paired_difference

numbers = st.floats(-100, 100, allow_nan=False)


@given(st.lists(numbers, min_size=2, max_size=30).filter(lambda found: np.std(found) > 1e-6))
def test_mean_spread_and_interval_are_scipys(found: list[float]) -> None:
    ours = estimate(found)
    low, high = stats.t.interval(0.95, len(found) - 1, loc=np.mean(found), scale=stats.sem(found))
    assert (ours.n, ours.mean, ours.std) == pytest.approx((len(found), np.mean(found), np.std(found, ddof=1)))
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_one_seed_has_no_spread_and_none_has_no_mean() -> None:
    one, none = estimate([0.9]), estimate([])
    assert (one.n, one.mean) == (1, 0.9)
    assert all(map(math.isnan, (one.std, one.low, one.high, none.mean, none.std)))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=20))
def test_paired_differences_are_scipys_over_the_seeds_in_common(pairs: list[tuple[float, float]]) -> None:
    gaps = [a - b for a, b in pairs]
    if np.std(gaps) < 1e-6:
        return
    condition = {seed: a for seed, (a, _) in enumerate(pairs)} | {1000: 5.0}
    baseline = {seed: b for seed, (_, b) in reversed(list(enumerate(pairs)))} | {2000: 7.0}
    ours = paired_difference(condition, baseline)
    theirs = stats.ttest_rel(*zip(*pairs, strict=True))
    low, high = theirs.confidence_interval(0.95)
    assert ours.estimate.n == len(pairs)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((low, high))


def test_differences_without_spread_are_not_tested() -> None:
    """SciPy's p is 0 there; but accuracies are multiples of 1/N, and two seeds differ by the same by mere chance."""
    alike = paired_difference({0: 0.9, 1: 0.7}, {0: 0.6, 1: 0.4})
    assert 0 < alike.estimate.std < 1e-15  # rounding
    assert math.isnan(alike.p)
    (judged,) = judge([alike])
    assert all(map(math.isnan, (judged.could_see, judged.fresh_from, judged.fresh_to)))
    assert paired_difference({0: 2.0, 1: 3.0}, {0: 2.0, 1: 3.0}).p == 1
    assert math.isnan(paired_difference({0: 2.0}, {0: 1.0}).p)


def test_few_seeds_on_few_test_images_make_few_false_claims() -> None:
    draw, images = np.random.default_rng(3), 397
    false = 0
    for _ in range(400):
        accuracies = draw.normal(0.96, 2.6 / images, (12, 2))
        runs = [dict(enumerate(np.round(row * images) / images)) for row in accuracies]
        false += min(holm([paired_difference(row, runs[0]).p for row in runs[1:]])) <= 0.05
    assert false / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_ninety_five_per_cent_intervals_cover_about_that() -> None:
    draws = np.random.default_rng(0).normal(0.9, 0.01, (4000, 5))
    covered = sum(found.low <= 0.9 <= found.high for found in map(estimate, draws.tolist()))
    assert covered / 4000 == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_paired_intervals_cover_where_seeds_share_their_luck() -> None:
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        luck = draw.normal(0, 0.05, 4)
        ours = dict(enumerate(0.92 + luck + draw.normal(0, 0.01, 4)))
        theirs = dict(enumerate(0.90 + luck + draw.normal(0, 0.01, 4)))
        found = paired_difference(ours, theirs).estimate
        covered += found.low <= 0.02 <= found.high
        assert found.high - found.low < 0.5
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_holm_by_hand_and_nan_does_not_count() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert adjusted[2] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])


def test_holm_keeps_false_claims_rare_among_many_comparisons() -> None:
    draws = np.random.default_rng(2).normal(0, 1, (500, 12, 5))
    false = 0
    for experiment in draws:
        differences = [paired_difference(dict(enumerate(row)), dict.fromkeys(range(5), 0.0)) for row in experiment]
        false += min(holm([difference.p for difference in differences])) <= 0.05
    assert false / 500 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_judged_says_what_could_have_been_seen_and_how_many_fresh_seeds_it_would_take() -> None:
    clear = paired_difference(dict(enumerate([1.0, 1.1, 0.9, 1.05])), dict.fromkeys(range(4), 0.0))
    unclear = paired_difference(dict(enumerate([1.0, -0.6, 0.9, 0.2])), dict.fromkeys(range(4), 0.0))
    nothing = Difference(Estimate(3, 0.0, 1.0, -1.0, 1.0), 1.0)
    first, second, third = judge([clear, unclear, nothing])
    assert [judged.distinguishable for judged in (first, second, third)] == [True, False, False]
    std = unclear.estimate.std
    assert second.could_see == pytest.approx(std * detectable(4, family=3))
    low, high = spread_bounds(std, 4)
    mean = unclear.estimate.mean
    assert (second.fresh_from, second.fresh_to) == (fresh_seeds(mean / low, 3), fresh_seeds(mean / high, 3) or math.inf)
    assert third.could_see == pytest.approx(detectable(3, family=3)) and math.isnan(third.fresh_from)


@pytest.mark.parametrize(("n", "family", "repetitions"), [(3, 5, 300), (5, 1, 2000)])
def test_who_follows_the_report_claims_falsely_in_at_most_five_per_cent_of_studies(
    n: int, family: int, repetitions: int
) -> None:
    """Without any effect: a study, and where it shows nothing one of as many fresh seeds as it names, alone."""
    draw, false = np.random.default_rng(5), [0, 0]

    def study(pairs: int) -> list[Judged]:
        values = draw.normal(0, 1, (family, pairs))
        return judge([paired_difference(dict(enumerate(row)), dict.fromkeys(range(pairs), 0.0)) for row in values])

    for _ in range(repetitions):
        seen = study(n)
        false[0] += any(judged.distinguishable for judged in seen)
        named = min((judged.fresh_from for judged in seen if not judged.distinguishable), default=2.0)
        false[1] += any(judged.distinguishable for judged in study(int(min(named, 20))))
    for claims in false:
        assert claims / repetitions < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)
