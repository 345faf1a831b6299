"""Intervals: seeds, empties, coverage, pairing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxledger.statistics import gain_interval, mean_interval, resamples

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
    found = mean_interval(values, resamples(len(values), 200, 0))
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.n == n
    if n > 1:
        assert found.low <= found.mean <= found.high
    else:
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_the_seed_decides():
    values = np.random.default_rng(1).random((20, 3))
    first, again, other = (mean_interval(values, resamples(20, 500, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first.low != other.low


def test_a_rare_class_does_not_widen_the_interval_by_being_missed():
    values = np.full((30, 2), 0.9)
    values[:, 1] = NAN
    values[0, 1] = 0.1
    found = mean_interval(values, resamples(30, 500, 0))
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_intervals_cover_the_true_mean():
    rng = np.random.default_rng(7)
    draws = resamples(40, 400, 0)
    hits = sum(i.low <= 0.5 <= i.high for i in (mean_interval(rng.random((40, 1)), draws) for _ in range(300)))
    assert 0.90 <= hits / 300 <= 0.98


def test_gain_is_paired():
    rng = np.random.default_rng(3)
    before = rng.random((25, 2))
    after = before + 0.05
    draws = resamples(25, 500, 0)
    gain = gain_interval(before, after, draws)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.05, 0.05, 0.05))
    assert mean_interval(before, draws).high - mean_interval(before, draws).low > 0.05
