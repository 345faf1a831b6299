"""Estimates and their intervals: means and rates over cases (bootstrap), shares (exact), counts still to come.

Patients are resampled, with all their cases and classes, because these are not independent (Efron & Tibshirani 1993,
chapter 8.5; Davison & Hinkley 1997, chapter 3.8). Two models judged on the same cases get the same resamples, so the
interval of a gain is paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Interval:
    """A mean, its percentile interval, and the number of cases with a finite value.

    The mean of no case is NaN, and so are the bounds below two patients: one person says nothing about others.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Resamples:
    """Bootstrap draws of the cases of a set, patient by patient."""

    counts: npt.NDArray[np.int64]
    """How often each case is drawn in each resample, (samples, cases)."""
    patients: npt.NDArray[np.int64]
    """Number of the patient of each case, from 0, (cases,)."""


def resamples(patients: Sequence[Hashable], samples: int, seed: int) -> Resamples:
    """Draw patients with replacement, as many as there are; all cases of a patient are drawn together.

    Parameters
    ----------
    patients
        The patient of each case, in the order of the rows of the values; a number or a name.
    samples
        Number of resamples.
    seed
        Seed of chance.

    Examples
    --------
    >>> drawn = resamples(["a", "b", "a"], 4, seed=0)
    >>> bool((drawn.counts[:, 0] == drawn.counts[:, 2]).all())
    True
    """
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(patient, len(number)) for patient in patients], np.int64)
    if not number:
        return Resamples(np.zeros((samples, 0), np.int64), index)
    share = np.full(len(number), 1 / len(number))
    drawn = np.random.default_rng(seed).multinomial(len(number), share, size=samples)
    return Resamples(drawn[:, index], index)


def mean_interval(values: Floats, draws: Resamples) -> Interval:
    """Mean of `values` (cases, classes): over cases for each class, then over classes.

    NaN and infinite values are left out. In a resample without a case of some class, that class keeps its mean
    over all cases. `draws` comes from `resamples`.
    """
    mean, resampled = resampled_means(values, _once(values))[0], resampled_means(values, draws.counts)
    return _interval(mean, resampled, _judged(values), draws)


def gain_interval(before: Floats, after: Floats, draws: Resamples) -> Interval:
    """How much the mean of `after` exceeds that of `before`, both (cases, classes) on the same cases."""
    gain = resampled_means(after, _once(after))[0] - resampled_means(before, _once(before))[0]
    resampled = resampled_means(after, draws.counts) - resampled_means(before, draws.counts)
    fewer = min(_judged(before), _judged(after), key=np.count_nonzero)
    return _interval(gain, resampled, fewer, draws)


@dataclass(frozen=True)
class Rate:
    """A rate over cases with its percentile interval; NaN where its denominator is 0."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Rounded for metrics files; None where undefined."""
        return {
            name: None if math.isnan(value) else round(value, 6)
            for name, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }


Statistic = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""From sums over cases (…, columns) to a value (…)."""


def rates(counts: npt.NDArray[Any], statistics: Sequence[Statistic], draws: Resamples) -> list[Rate]:
    """Statistics of the sums over cases, with percentile intervals; lesions of one patient are not independent.

    Parameters
    ----------
    counts
        One row a case, (cases, columns).
    statistics
        What is made of the sums of the columns, see `ratio`.
    draws
        From `resamples`, of the patients of these cases.
    """
    counts = np.asarray(counts, np.float64)
    if len(counts) == 0:
        return [Rate(math.nan, math.nan, math.nan)] * len(statistics)
    sums = draws.counts @ counts
    found = []
    for statistic in statistics:
        resampled = statistic(sums)
        resampled = resampled[np.isfinite(resampled)]
        low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if resampled.size else (math.nan,) * 2
        found.append(Rate(float(statistic(counts.sum(axis=0))), float(low), float(high)))
    return found


def ratio(numerator: int, denominator: int) -> Statistic:
    """Column `numerator` over column `denominator`; NaN where that is 0."""

    def of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            share: npt.NDArray[np.float64] = np.where(
                sums[..., denominator] > 0, sums[..., numerator] / sums[..., denominator], np.nan
            )
        return share

    return of


@dataclass(frozen=True)
class Estimate:
    """An estimate and its interval."""

    estimate: float
    low: float
    high: float


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> Estimate:
    """Exact two-sided interval of a share, Clopper and Pearson 1934; without trials anything from 0 to 1."""
    from scipy.special import betaincinv  # `scipy.stats.beta.ppf` is the same, and takes a second to import

    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials}")
    tail = (1 - level) / 2
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return Estimate(hits / trials if trials else float("nan"), low, high)


def expected_revisions(revised: int, reviewed: int, ahead: int, level: float = LEVEL) -> Estimate:
    """How many of the next `ahead` cases will need revision, given that `revised` of `reviewed` did.

    Mean and quantiles of the beta-binomial predictive distribution under Jeffreys' prior. Assumes that the next
    cases are like the last ones; since the worst come first, it errs on the side of too many.
    """
    if not 0 <= revised <= reviewed:
        raise ValueError(f"{revised} of {reviewed}")
    if ahead == 0:
        return Estimate(0.0, 0.0, 0.0)
    a, b = revised + 0.5, reviewed - revised + 0.5
    up_to = np.cumsum(_beta_binomial(ahead, a, b))
    low, high = (float(np.searchsorted(up_to, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return Estimate(ahead * (a / (a + b)), low, high)


def _beta_binomial(n: int, a: float, b: float) -> Floats:
    """Probability of each count from 0 to `n`."""

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    whole = math.log(n + 1) + log_beta(a, b)
    logs = [log_beta(k + a, n - k + b) - log_beta(n - k + 1, k + 1) - whole for k in range(n + 1)]
    found: Floats = np.exp(np.array(logs))
    return found


def resampled_means(values: Floats, draws: npt.NDArray[np.int64]) -> Floats:
    """Mean over cases for each class, then over classes, in each resample (samples,).

    Parameters
    ----------
    values
        (cases, classes); what is not finite is left out. NaN where nothing is left.
    draws
        How often each case is drawn, (samples, cases).
    """
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


def _judged(values: Floats) -> npt.NDArray[np.bool_]:
    """Cases with a finite value, (cases,)."""
    return np.asarray(np.isfinite(values).any(axis=1))


def _interval(mean: float, resampled: Floats, judged: npt.NDArray[np.bool_], draws: Resamples) -> Interval:
    n = int(np.count_nonzero(judged))
    if len(np.unique(draws.patients[judged])) < 2:
        return Interval(float(mean), math.nan, math.nan, n)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(mean), float(low), float(high), n)


MOST_POINTS = 3000
"""That a robust line is laid through."""


@dataclass(frozen=True)
class Line:
    """A straight line through points, and the interval of its slope; NaN where too many points tie to give one."""

    slope: float
    low: float
    high: float
    intercept: float


def robust_line(points: Sequence[tuple[float, float]], level: float = LEVEL) -> Line | None:
    """The line whose slope is the median of those between every two points (Theil 1950; its interval: Sen 1968).

    A few points that are far off do not move it. The intercept is the median of what the slope leaves of y. Of more
    than `MOST_POINTS` so many are drawn, as memory goes with their square.

    Returns
    -------
    None where fewer than two values of x are there.

    Examples
    --------
    >>> found = robust_line([(0, 1), (1, 3), (2, 5), (3, 7), (4, 90)])
    >>> (found.slope, found.intercept)
    (2.0, 1.0)
    """
    from scipy.stats import theilslopes

    x, y = (np.array([point[i] for point in points], np.float64) for i in (0, 1))
    if len(np.unique(x)) < 2:
        return None
    if len(x) > MOST_POINTS:
        drawn = np.sort(np.random.default_rng(0).choice(len(x), MOST_POINTS, replace=False))
        x, y = x[drawn], y[drawn]
        if len(np.unique(x)) < 2:
            return None
    with np.errstate(invalid="ignore"):
        found = theilslopes(y, x, level, method="joint")
    slope, intercept, low, high = (float(value) for value in found)
    return Line(slope, low, high, intercept)
