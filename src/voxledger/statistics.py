"""Means over cases and their bootstrap percentile intervals.

Cases are resampled, not single values, because the classes of one case are not independent (Efron & Tibshirani
1993, chapter 13). Two models judged on the same cases get the same resamples, so the interval of a gain is paired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Interval:
    """A mean, its percentile interval, and the number of cases with a finite value.

    The mean of no case is NaN, and so are the bounds below two cases: one case says nothing about others.
    """

    mean: float
    low: float
    high: float
    n: int


def resamples(cases: int, samples: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each case is drawn in each resample, (samples, cases)."""
    if cases == 0:
        return np.zeros((samples, 0), np.int64)
    return np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=samples)


def mean_interval(values: Floats, draws: npt.NDArray[np.int64]) -> Interval:
    """Mean of `values` (cases, classes): over cases for each class, then over classes.

    NaN and infinite values are left out. In a resample without a case of some class, that class keeps its mean
    over all cases. `draws` comes from `resamples`.
    """
    return _interval(_mean(values, _once(values))[0], _mean(values, draws), _cases(values))


def gain_interval(before: Floats, after: Floats, draws: npt.NDArray[np.int64]) -> Interval:
    """How much the mean of `after` exceeds that of `before`, both (cases, classes) on the same cases."""
    gain = _mean(after, _once(after))[0] - _mean(before, _once(before))[0]
    return _interval(gain, _mean(after, draws) - _mean(before, draws), min(_cases(before), _cases(after)))


def _mean(values: Floats, draws: npt.NDArray[np.int64]) -> Floats:
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)[:, finite.any(axis=0)]
    finite = finite[:, finite.any(axis=0)]
    if not finite.size:
        return np.full(len(draws), np.nan)
    overall = values.sum(axis=0) / finite.sum(axis=0)
    total = draws.astype(np.float64) @ values
    count = draws.astype(np.float64) @ finite.astype(np.float64)
    # A resample may miss every case of a rare class; without that class its mean would jump.
    means = np.where(count > 0, total / np.maximum(count, 1), overall)
    averaged: Floats = means.mean(axis=1)
    return averaged


def _once(values: Floats) -> npt.NDArray[np.int64]:
    return np.ones((1, len(values)), np.int64)


def _cases(values: Floats) -> int:
    return int(np.isfinite(values).any(axis=1).sum())


def _interval(mean: float, resampled: Floats, n: int) -> Interval:
    if n < 2:
        return Interval(float(mean), math.nan, math.nan, n)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(mean), float(low), float(high), n)
