"""Differences between arms with paired intervals, and what they say.

Patients are resampled with all their cases, and so are the seeds of the trainings: what another training of the same
models would have brought is part of the interval. Both arms get the same resamples (Efron & Tibshirani 1993, chapter
8.5). A class of a case counts where all trainings of both arms have a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.records.worth import Difference, Judged, Says, Verdict
from voxledger.statistics import LEVEL, Resamples, resampled_means, resamples

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats, npt.NDArray[np.int64]], Floats]
"""From Dice (cases, classes) and how often each case is drawn (samples, cases) to a value a resample."""
WORST = 0.1
"""Share of the cases that is the worst of them."""


@dataclass(frozen=True)
class Paired:
    """Dice of two arms on the same classes of the same cases, (seeds, cases, classes); NaN where they do not count."""

    without: Floats
    arm: Floats


def judge(
    cohort: str,
    arm: str,
    without: Sequence[Sequence[Judged]],
    found: Sequence[Sequence[Judged]],
    class_order: Sequence[str],
    round_number: int,
    samples: int,
    seed: int,
) -> list[Verdict]:
    """What an arm is worth on every set of cases, the external ones first.

    Parameters
    ----------
    without, found
        Dice without the cohort and of the arm, one table a seed, in the same order of the seeds.
    class_order
        The classes, in the order of the schema.
    round_number
        The round that was open, for the verdicts.
    samples, seed
        Of the bootstrap.
    """
    verdicts, both = [], [*without, *found]
    known = {r.class_name for rows in both for r in rows}
    for set_name in sorted({r.set_name for rows in both for r in rows}, key=lambda n: ("/" not in n, n)):
        patients = {r.case_id: r.patient for rows in both for r in rows if r.set_name == set_name}
        order = sorted(patients), [c for c in class_order if c in known]
        values = [np.stack([_matrix(rows, set_name, *order) for rows in rows_of]) for rows_of in (without, found)]
        counts = np.isfinite(values[0]).all(axis=0) & np.isfinite(values[1]).all(axis=0)
        paired = Paired(*(np.where(counts, v, np.nan) for v in values))
        draws = resamples([patients[c] for c in order[0]], samples, seed)
        picks = np.random.default_rng(seed + 1).integers(0, len(without), (samples, len(without)))
        mean = _difference(paired, draws, picks, resampled_means)
        verdicts.append(
            Verdict(
                cohort=cohort,
                arm=arm,
                seeds=len(without),
                round=round_number,
                set_name=set_name,
                cases=len(patients),
                patients=len(set(patients.values())),
                mean=mean,
                worst=_difference(paired, draws, picks, _worst),
                classes={
                    name: _difference(
                        Paired(paired.without[..., [k]], paired.arm[..., [k]]), draws, picks, resampled_means
                    )
                    for k, name in enumerate(order[1])
                },
                by_seed=_by_seed(paired),
                says=_says(mean),
                empty=len(_empty(both, set_name)),
                false_alarms=(_false_alarms(without, set_name), _false_alarms(found, set_name)),
            )
        )
    return verdicts


def _says(mean: Difference) -> Says:
    if mean.low is None or mean.high is None or mean.low <= 0 <= mean.high:
        return "cannot be said"
    return "helps" if mean.low > 0 else "hurts"


def _empty(trainings: Sequence[Sequence[Judged]], set_name: str) -> set[tuple[str, str]]:
    """Pairs of case and class of a set whose reference is empty."""
    of_set = (r for rows in trainings for r in rows if r.set_name == set_name)
    return {(r.case_id, r.class_name) for r in of_set if r.reference_ml == 0}


def _false_alarms(trainings: Sequence[Sequence[Judged]], set_name: str) -> float:
    """In how many pairs with an empty reference a training predicts anything, on average."""
    return sum(r.is_false_alarm for rows in trainings for r in rows if r.set_name == set_name) / len(trainings)


def _matrix(rows: Sequence[Judged], set_name: str, cases: Sequence[str], classes: Sequence[str]) -> Floats:
    """Dice (cases, classes) of one training; NaN where there is none, as of a class that it was never taught."""
    values = np.full((len(cases), len(classes)), np.nan)
    places = {c: i for i, c in enumerate(cases)}, {c: i for i, c in enumerate(classes)}
    for r in rows:
        if r.set_name == set_name:
            values[places[0][r.case_id], places[1][r.class_name]] = r.dice
    return values


def _worst(values: Floats, draws: npt.NDArray[np.int64]) -> Floats:
    """Mean of the worst tenth of the cases by their mean over classes, in each resample (samples,)."""
    judged = np.isfinite(values).any(axis=1)
    if not judged.any():
        return np.full(len(draws), np.nan)
    of_case = np.nanmean(values[judged], axis=1)
    order = np.argsort(of_case, kind="stable")
    drawn, ascending = draws[:, judged][:, order].astype(float), of_case[order]
    wanted = np.ceil(WORST * drawn.sum(axis=1, keepdims=True))
    before = np.cumsum(drawn, axis=1) - drawn
    taken = np.clip(wanted - before, 0, drawn)
    with np.errstate(invalid="ignore"):
        return np.asarray((taken @ ascending) / taken.sum(axis=1))


def _difference(paired: Paired, draws: Resamples, picks: npt.NDArray[np.int64], statistic: Statistic) -> Difference:
    """Without an interval below two patients: one person says nothing about others."""
    once = np.ones((1, draws.patients.size), np.int64)
    point = [np.mean([statistic(one, once)[0] for one in arm]) for arm in (paired.without, paired.arm)]
    if not math.isfinite(point[1]):
        return Difference(dice=None, delta=None, low=None, high=None)
    by_seed = np.stack(
        [
            statistic(b, draws.counts) - statistic(a, draws.counts)
            for a, b in zip(paired.without, paired.arm, strict=True)
        ]
    )
    resampled = np.take_along_axis(by_seed, picks.T, axis=0).mean(axis=0)
    resampled = resampled[np.isfinite(resampled)]
    several = len(np.unique(draws.patients[np.isfinite(paired.arm).any(axis=(0, 2))])) > 1
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if several else (None, None)
    rounded = [None if v is None else round(float(v), 6) for v in (point[1], point[1] - point[0], low, high)]
    return Difference(**dict(zip(("dice", "delta", "low", "high"), rounded, strict=True)))


def _by_seed(paired: Paired) -> list[float]:
    once = np.ones((1, paired.arm.shape[1]), np.int64)
    found = [
        resampled_means(b, once)[0] - resampled_means(a, once)[0]
        for a, b in zip(paired.without, paired.arm, strict=True)
    ]
    return [round(float(v), 6) for v in found if math.isfinite(v)]
