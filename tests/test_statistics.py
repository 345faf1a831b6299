"""Intervals: seeds, empties, coverage, pairing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from voxledger.statistics import (
    Estimate,
    clopper_pearson,
    expected_revisions,
    gain_interval,
    mean_interval,
    rates,
    ratio,
    resamples,
)

NAN = math.nan


def column(*values):
    return np.array(values, float)[:, None]


@pytest.mark.parametrize(
    ("values", "mean", "n"),
    [
        (np.zeros((0, 2)), NAN, 0),
        (column(NAN, NAN), NAN, 0),
        (column(0.5), 0.5, 1),
        (column(0.2, 0.4, NAN), 0.3, 2),
        (column(1.0, math.inf), 1.0, 1),
        (np.array([[1.0, NAN], [0.5, 0.1], [0.0, NAN]]), (0.5 + 0.1) / 2, 3),
        (np.array([[1.0, NAN], [0.5, NAN]]), 0.75, 2),
    ],
)
def test_mean_leaves_out_what_is_not_finite_and_counts_it(values, mean, n):
    found = mean_interval(values, resamples(range(len(values)), 200, 0))
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.n == n
    if n > 1:
        assert found.low <= found.mean <= found.high
    else:
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_the_seed_decides():
    values = np.random.default_rng(1).random((20, 3))
    first, again, other = (mean_interval(values, resamples(range(20), 500, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first.low != other.low


def test_a_rare_class_does_not_widen_the_interval_by_being_missed():
    values = np.full((30, 2), 0.9)
    values[:, 1] = NAN
    values[0, 1] = 0.1
    found = mean_interval(values, resamples(range(30), 500, 0))
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_intervals_cover_the_true_mean():
    rng = np.random.default_rng(7)
    draws = resamples(range(40), 400, 0)
    hits = sum(i.low <= 0.5 <= i.high for i in (mean_interval(rng.random((40, 1)), draws) for _ in range(300)))
    assert 0.90 <= hits / 300 <= 0.98


def test_gain_is_paired():
    rng = np.random.default_rng(3)
    before = rng.random((25, 2))
    after = before + 0.05
    draws = resamples(range(25), 500, 0)
    gain = gain_interval(before, after, draws)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.05, 0.05, 0.05))
    assert mean_interval(before, draws).high - mean_interval(before, draws).low > 0.05


def test_patients_are_drawn_with_all_their_cases():
    """Forty cases of four patients, alike within each, tell as much as four cases."""
    of_patient = np.array([0.5, 0.6, 0.7, 0.8])
    four = mean_interval(of_patient[:, None], resamples(range(4), 500, 0))
    forty = mean_interval(np.repeat(of_patient, 10)[:, None], resamples(np.repeat(range(4), 10).tolist(), 500, 0))
    assert (forty.low, forty.high, forty.n) == (pytest.approx(four.low), pytest.approx(four.high), 40)
    as_cases = mean_interval(np.repeat(of_patient, 10)[:, None], resamples(range(40), 500, 0))
    assert forty.high - forty.low > 2 * (as_cases.high - as_cases.low)


@pytest.mark.parametrize("values", [column(0.5, 0.7), column(0.5, 0.7, NAN)])
def test_several_cases_of_one_patient_say_nothing_about_others(values):
    found = mean_interval(values, resamples(["p", "p", "q"][: len(values)], 100, 0))
    assert (found.mean, found.n) == (pytest.approx(0.6), 2)
    assert math.isnan(found.low)


def test_where_every_case_is_a_patient_the_draw_is_that_of_cases():
    """Numbers of reports of before stay."""
    draws = resamples(["a", "b", "c"], 50, 3)
    assert (draws.counts == np.random.default_rng(3).multinomial(3, np.full(3, 1 / 3), size=50)).all()


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # exact values: (0, n) has 1 − 0.025^(1/n) above, (n, n) 0.025^(1/n) below; 4 of 20 from Clopper and Pearson's table
    [(0, 10, 0.0, 1 - 0.025**0.1), (10, 10, 0.025**0.1, 1.0), (4, 20, 0.0573, 0.4366), (0, 0, 0.0, 1.0)],
)
def test_clopper_pearson(hits, trials, low, high):
    found = clopper_pearson(hits, trials)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)
    assert math.isnan(found.estimate) if not trials else found.estimate == hits / trials


def test_clopper_pearson_refuses_the_impossible():
    with pytest.raises(ValueError, match="3 of 2"):
        clopper_pearson(3, 2)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_covers_what_it_should(pair):
    hits, trials = pair
    found = clopper_pearson(hits, trials)
    assert found.low <= hits / trials <= found.high
    mirrored = clopper_pearson(trials - hits, trials)
    assert mirrored.low == pytest.approx(1 - found.high)


def test_the_interval_of_a_ratio() -> None:
    counts = np.array([[1, 1], [0, 1], [1, 2], [0, 0]])
    found = rates(counts, [ratio(0, 1), ratio(1, 0)], resamples(range(4), 500, 3))[0]
    assert found.value == 0.5
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert rates(counts, [ratio(0, 1)], resamples(range(4), 500, 3))[0] == found


def test_a_rate_of_nothing() -> None:
    assert math.isnan(rates(np.zeros((0, 2)), [ratio(0, 1)], resamples([], 100, 0))[0].value)
    assert math.isnan(rates(np.zeros((3, 2)), [ratio(0, 1)], resamples(range(3), 100, 0))[0].value)


@pytest.mark.parametrize(("revised", "reviewed"), [(0, 1), (0, 20), (7, 20), (20, 20), (1, 400)])
@pytest.mark.parametrize("ahead", [1, 20, 500])
def test_revisions_to_expect_are_beta_binomial(revised: int, reviewed: int, ahead: int) -> None:
    found, scipy = (
        expected_revisions(revised, reviewed, ahead),
        betabinom(ahead, revised + 0.5, reviewed - revised + 0.5),
    )
    assert found == Estimate(scipy.mean(), scipy.ppf(0.025), scipy.ppf(0.975))
