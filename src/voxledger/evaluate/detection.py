"""Detection of lesions over cases: sensitivity, false alarms, PPV, F1, before and after each rule, with intervals.

Lesion-wise, a lesion counts once and so does a component. Patient-wise, a patient with any lesion of the class is
ill, and positive when anything of the class is predicted. F1 is the harmonic mean of sensitivity and PPV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise

import numpy as np
import numpy.typing as npt

from voxledger.imaging.detection import ANY, Step, ball_ml
from voxledger.statistics import Rate, Statistic, rates, ratio, resamples

SIZES_MM = (10.0, 20.0, 40.0)
"""Bounds of lesion sizes, as the diameter of a sphere of the same volume; 20 mm parts T1 from T2 in the pancreas."""


@dataclass(frozen=True)
class Rates:
    """Rates of one class in one split after one step."""

    split: str
    class_name: str
    step: int
    rule: str
    cases: int
    ill: int
    lesions: int
    sensitivity: Rate
    ppv: Rate
    f1: Rate
    false_positives_per_scan: Rate
    patient_sensitivity: Rate
    patient_specificity: Rate
    patient_ppv: Rate
    patient_f1: Rate


RATES = (
    "sensitivity",
    "ppv",
    "f1",
    "false_positives_per_scan",
    "patient_sensitivity",
    "patient_specificity",
    "patient_ppv",
    "patient_f1",
)


@dataclass(frozen=True)
class Missed:
    """Lesions of one size in one class and split, and how many the last step leaves unfound."""

    split: str
    class_name: str
    size: str
    lesions: int
    missed: int


@dataclass(frozen=True)
class Harm:
    """What one rule took from true lesions of one case."""

    split: str
    case_id: str
    class_name: str
    step: int
    rule: str
    voxels: int
    lesions: int
    """Lesions that were found before the rule and not after."""


def detection_rates(steps: Sequence[Step], patients: Mapping[str, str], samples: int, seed: int) -> list[Rates]:
    """Rates by split, class (in order of appearance, `any` last) and step.

    Parameters
    ----------
    steps
        What was found in each case.
    patients
        Patient by case id: they are resampled, with all their cases.
    samples, seed
        Resamples for the intervals, and what draws them.
    """
    groups: dict[tuple[str, str, int], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.split, step.class_name, step.step), []).append(step)
    names = [*dict.fromkeys(s.class_name for s in steps if s.class_name != ANY), ANY]
    found = []
    for (split, name, number), members in sorted(
        groups.items(), key=lambda g: (g[0][0], names.index(g[0][1]), g[0][2])
    ):
        counts = np.array([_counts(step) for step in members], float)
        values = rates(counts, _STATISTICS, resamples([patients[m.case_id] for m in members], samples, seed))
        ill, lesions = int(counts[:, 5].sum()), int(counts[:, 1].sum())
        found.append(Rates(split, name, number, members[0].rule, len(members), ill, lesions, *values))
    return found


def from_size(steps: Sequence[Step], from_mm: float) -> list[Step]:
    """The steps with the lesions alone that have a diameter; what is predicted stays as it is."""
    kept = [[ml >= ball_ml(from_mm) for ml in step.lesion_ml] for step in steps]
    return [
        replace(s, lesion_ml=tuple(compress(s.lesion_ml, k)), hit=tuple(compress(s.hit, k)))
        for s, k in zip(steps, kept, strict=True)
    ]


def missed_by_size(steps: Sequence[Step]) -> list[Missed]:
    """Lesions that the last step misses, by split, class and size; classes without lesions are left out."""
    last = max((s.step for s in steps), default=0)
    bounds = (0.0, *SIZES_MM, float("inf"))
    texts = [f"< {SIZES_MM[0]:g} mm"]
    texts += [f"{low:g}–{high:g} mm" for low, high in pairwise(SIZES_MM)]
    texts += [f"≥ {SIZES_MM[-1]:g} mm"]
    counts: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    for step in steps:
        if step.step != last:
            continue
        table = counts.setdefault((step.split, step.class_name), np.zeros((len(texts), 2), np.int64))
        for ml, hit in zip(step.lesion_ml, step.hit, strict=True):
            size = int(np.searchsorted(bounds, diameter_mm(ml), side="right")) - 1
            table[size] += (1, not hit)
    return [
        Missed(split, name, text, int(lesions), int(missed))
        for (split, name), table in sorted(counts.items())
        for text, (lesions, missed) in zip(texts, table, strict=True)
        if lesions
    ]


def harm(steps: Sequence[Step]) -> list[Harm]:
    """Every rule that took voxels of a true lesion of the class, by split, case and step."""
    before: dict[tuple[str, str], Step] = {}
    found = []
    for step in sorted(steps, key=lambda s: (s.split, s.case_id, s.step)):
        previous = before.get((step.case_id, step.class_name))
        before[step.case_id, step.class_name] = step
        if previous is None or step.class_name == ANY or previous.true_voxels <= step.true_voxels:
            continue
        lost = sum(was and not now for was, now in zip(previous.hit, step.hit, strict=True))
        voxels = previous.true_voxels - step.true_voxels
        found.append(Harm(step.split, step.case_id, step.class_name, step.step, step.rule, voxels, lost))
    return found


def diameter_mm(ml: float) -> float:
    """Diameter of a sphere of a volume."""
    return float(np.cbrt(6 * ml * 1000 / np.pi))


def _counts(step: Step) -> list[float]:
    found = step.detection
    ill, positive = found.lesions > 0, found.components > 0
    return [
        found.hits,
        found.lesions,
        found.true_components,
        found.components,
        found.false_components,
        ill,
        not ill,
        positive,
        ill and positive,
        not ill and not positive,
        1,
    ]


def _f1(numerator_s: int, denominator_s: int, numerator_p: int, denominator_p: int) -> Statistic:
    sensitivity, ppv = ratio(numerator_s, denominator_s), ratio(numerator_p, denominator_p)

    def of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        s, p = sensitivity(sums), ppv(sums)
        # Nothing predicted: nothing right is predicted, so F1 is 0 wherever there is something to find.
        p = np.where(np.isnan(p) & ~np.isnan(s), 0.0, p)
        with np.errstate(divide="ignore", invalid="ignore"):
            both: npt.NDArray[np.float64] = np.where(s + p > 0, 2 * s * p / (s + p), np.where(np.isnan(s), np.nan, 0.0))
        return both

    return of


_STATISTICS: list[Statistic] = [
    ratio(0, 1),
    ratio(2, 3),
    _f1(0, 1, 2, 3),
    ratio(4, 10),
    ratio(8, 5),
    ratio(9, 6),
    ratio(8, 7),
    _f1(8, 5, 8, 7),
]
