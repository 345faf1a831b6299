"""How good a mask is, predicted before anybody looks: what masks like it were found to be when people judged them.

Ridge regression on signs of the ensemble, fitted to the masks of earlier rounds that people accepted or revised: the
logarithm of what lacks to Dice 1, that of the wrong ml, and the share of the contour that had to be drawn. Volumes are
logarithms, so that their ratios are linear in them. Every class has an offset of its own, and goes with each sign more
or less than all do together (partial pooling, Gelman and Hill 2006); how freely, of `OWN`, is what predicts left-out
patients best.

The interval is conformal: every judged mask is predicted from the masks of all other patients, and the interval reaches
as far as that was off in `LEVEL` of them (the jackknife of Barber et al. 2021). Where enough of them come from blind
audits, only these count: what is on a worklist was chosen for looking bad, and says little about what is not.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.minutes import LOOKING_MINUTES
from voxledger.records.mask_quality import JudgedMask, MaskQuality, Quality, Signs

Floats = npt.NDArray[np.float64]

FORMAT = 3
"""2: patients are left out, not cases. 3: signs by class."""
LEVEL = 0.9
"""Coverage of the intervals."""
ENOUGH_MASKS, ENOUGH_PATIENTS = 20, 10
"""Judged before anything is predicted; and, drawn blindly, before the intervals go by these alone."""
PENALTY = 1.0
"""Of the squared coefficients of signs with a spread of 1."""
OWN = (1.0, 10.0, 1e6)
"""Penalties of what a class has beside the common coefficients of signs; with the last it has nothing."""
LEAST_DICE, LEAST_ML, LEAST_ENTROPY = 0.01, 0.01, 1e-7
"""Added before logarithms are taken."""

VOLUMES = ("predicted_ml", "inconsistent_ml", "uncertain_ml", "overlapping_ml")
"""Signs that mean the same in every round; `attention_ml` is of the criteria in one and learned in another."""


def numbers(signs: Signs) -> list[float]:
    """What the regression sees of a mask.

    Examples
    --------
    >>> [round(v, 2) for v in numbers(Signs(2, 0.0, 0.0, 0.0, 0.0, 0.99, 0.0, 1.0))]
    [0.0, -4.61, -4.61, -4.61, -16.12, -4.61]
    """
    return [
        *(math.log(getattr(signs, name) + LEAST_ML) for name in VOLUMES),
        math.log(signs.mean_entropy + LEAST_ENTROPY),
        math.log(1 - signs.lowest_agreement + LEAST_DICE),
    ]


@dataclass(frozen=True)
class Correction:
    """What was found less the predictions of left-out patients, the sum over the masks of each."""

    error_ml: tuple[float, ...]
    dice: tuple[float, ...]
    masks: tuple[int, ...]
    blind: bool
    """Whether all of these masks are of cases that were drawn blindly."""


@dataclass(frozen=True)
class QualityModel:
    """What was learned; arrays have a row a sign, and a column each for Dice, ml and path."""

    classes: tuple[str, ...]
    """Those of which masks were judged; nothing is predicted of others."""
    centre: Floats
    spread: Floats
    coefficients: Floats
    """Rows: the intercept, the signs, the classes, and sign after sign what each class has beside that."""
    half_widths: Floats
    """Of the intervals, as far as logarithms and share reach to both sides."""
    masks: int
    cases: int
    correction: Correction

    def predict(self, class_name: str, signs: Signs) -> Quality | None:
        """The quality of a mask; None of a class that nobody judged, and where no model looked for it."""
        if class_name not in self.classes or not signs.models:
            return None
        row = _design([(class_name, signs)], self.classes, self.centre, self.spread)[0]
        middle, reach = row @ self.coefficients, self.half_widths
        dice, high, low = (_dice(middle[0] + sign * reach[0]) for sign in (0, -1, 1))
        ml, least, most = (_ml(middle[1] + sign * reach[1]) for sign in (0, -1, 1))
        return Quality(dice, low, high, ml, least, most, float(np.clip(middle[2], 0, 1)))

    def record(self) -> dict[str, Any]:
        """What `data/round/quality.json` says; its id is a hash of the rest."""
        values = {
            "level": LEVEL,
            "masks": self.masks,
            "cases": self.cases,
            "intervals_from": "blind audit" if self.correction.blind else "left-out patients",
            "interval_patients": len(self.correction.dice),
            "signs": [*VOLUMES, "mean_entropy", "lowest_agreement"],
            "classes": list(self.classes),
            **{n: _rounded(getattr(self, n)) for n in ("centre", "spread", "coefficients", "half_widths")},
        }
        content = json.dumps(values, sort_keys=True).encode()
        return {"format": FORMAT, "id": hashlib.sha256(content).hexdigest()[:16], **values}


def learn(
    judged: Sequence[JudgedMask], classes: Collection[str], patients: Mapping[str, str] = MappingProxyType({})
) -> QualityModel | None:
    """Learn from judged masks; None where they are too few.

    Parameters
    ----------
    judged
        Of earlier rounds, of cases of the pool alone.
    classes
        Those of the schema; masks of others are left out.
    patients
        By case; one that is not in it is a patient of its own.
    """
    rows = [one for one in judged if one.mask.class_name in classes and one.mask.signs.models]
    of = [patients.get(one.mask.case_id, one.mask.case_id) for one in rows]
    if not _enough(of):
        return None
    known = tuple(sorted({one.mask.class_name for one in rows}))
    signs = np.array([numbers(one.mask.signs) for one in rows])
    centre, spread = signs.mean(axis=0), signs.std(axis=0)
    own = len(known) * signs.shape[1]
    x = _design([(one.mask.class_name, one.mask.signs) for one in rows], known, centre, spread)
    y = np.array(
        [(math.log(1 - one.dice + LEAST_DICE), math.log(one.error_ml + LEAST_ML), one.path_share) for one in rows]
    )
    tried = [_ridge(x, y, of, [PENALTY] * (x.shape[1] - own) + [penalty] * own) for penalty in OWN]
    coefficients, predicted = min(tried, key=lambda one: float(np.abs(y - one[1])[:, 0].mean()))
    blind = np.array([one.blind for one in rows])
    if not _enough([patient for patient, counts in zip(of, blind, strict=True) if counts]):
        blind[:] = True
    return QualityModel(
        classes=known,
        centre=centre,
        spread=spread,
        coefficients=coefficients,
        half_widths=_reach(np.abs(y - predicted)[blind], np.array(of)[blind].tolist()),
        masks=len(rows),
        cases=len({one.mask.case_id for one in rows}),
        correction=_correction(rows, of, predicted, blind),
    )


def nothing_learned(judged: Sequence[JudgedMask]) -> dict[str, Any]:
    """What `data/round/quality.json` says where nothing is predicted."""
    return {"format": FORMAT, "id": "", "masks": len(judged), "cases": len({one.mask.case_id for one in judged})}


def predict(model: QualityModel | None, masks: Sequence[tuple[str, str, Signs]]) -> list[MaskQuality]:
    """The quality of masks, each given by case, class and signs; without a model none is predicted."""
    return [MaskQuality(c, name, signs, model.predict(name, signs) if model else None) for c, name, signs in masks]


def _enough(patients: Sequence[str]) -> bool:
    """Whether masks, each given by its patient, are enough."""
    return len(patients) >= ENOUGH_MASKS and len(set(patients)) >= ENOUGH_PATIENTS


def _design(
    masks: Sequence[tuple[str, Signs]], classes: Sequence[str], centre: Floats, spread: Floats
) -> npt.NDArray[np.float64]:
    """Rows of the regression, in the order of `QualityModel.coefficients`; a sign that never varied is 0."""
    signs = (np.array([numbers(one) for _, one in masks]) - centre) / np.where(spread > 1e-9, spread, np.inf)
    of_class = np.array([[float(name == own) for own in classes] for name, _ in masks])
    beside = (signs[:, :, None] * of_class[:, None, :]).reshape(len(masks), -1)
    return np.hstack([np.ones((len(masks), 1)), signs, of_class, beside])


def _ridge(x: Floats, y: Floats, patients: Sequence[str], penalties: Sequence[float]) -> tuple[Floats, Floats]:
    """Coefficients from all rows, and the prediction of each row from those of the other patients.

    Parameters
    ----------
    penalties
        Of the squares of the coefficients; the first, that of the intercept, does not count.
    """
    penalty = np.diag([0.0, *penalties[1:]])
    whole, right = x.T @ x + penalty, x.T @ y
    predicted = np.empty_like(y)
    for patient in sorted(set(patients)):
        own = np.array([one == patient for one in patients])
        left = np.linalg.solve(whole - x[own].T @ x[own], right - x[own].T @ y[own])
        predicted[own] = x[own] @ left
    return np.asarray(np.linalg.solve(whole, right), np.float64), predicted


def _reach(off: Floats, patients: Sequence[str]) -> Floats:
    """How far intervals reach, by how far masks (masks, values) were off; every patient counts as much as any other.

    The level is that of the jackknife for as many masks as would say as much were they of one patient each.
    """
    _, index, counts = np.unique(patients, return_inverse=True, return_counts=True)
    weights = 1 / counts[index]
    levels = [min(1.0, LEVEL * (1 + 1 / _independent(values, index, counts)) - 1e-9) for values in off.T]
    found = [
        np.quantile(values, level, weights=weights, method="inverted_cdf")
        for values, level in zip(off.T, levels, strict=True)
    ]
    return np.array(found)


def _independent(values: Floats, index: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> float:
    """How many independent values say as much as these, of which `counts` are of one patient each (Kish 1965).

    Values of a patient are alike by the intraclass correlation, that of the one-way analysis of variance.
    """
    total, patients = len(values), len(counts)
    if total == patients:
        return total
    means = np.bincount(index, values) / counts
    between = (counts * (means - values.mean()) ** 2).sum() / (patients - 1)
    within = ((values - means[index]) ** 2).sum() / (total - patients)
    size = (total - (counts**2).sum() / total) / (patients - 1)
    spread = between + (size - 1) * within
    alike = float(np.clip((between - within) / spread, 0, 1)) if spread > 0 else 1.0
    return float(total / (1 + ((counts**2).sum() / total - 1) * alike))


def _correction(
    rows: Sequence[JudgedMask], patients: Sequence[str], predicted: Floats, counted: npt.NDArray[np.bool_]
) -> Correction:
    off: dict[str, list[tuple[float, float]]] = {}
    for one, patient, (dice, ml, _), counts in zip(rows, patients, predicted, counted, strict=True):
        if counts:
            off.setdefault(patient, []).append((one.error_ml - _ml(ml), one.dice - _dice(dice)))
    ml, dice = (tuple(sum(one[i] for one in off[patient]) for patient in sorted(off)) for i in (0, 1))
    blind = all(one.blind for one, counts in zip(rows, counted, strict=True) if counts)
    return Correction(ml, dice, tuple(len(off[patient]) for patient in sorted(off)), blind)


def _dice(logarithm: float) -> float:
    return min(1.0, max(0.0, 1 + LEAST_DICE - math.exp(min(logarithm, 1.0))))


def _ml(logarithm: float) -> float:
    return max(0.0, math.exp(min(logarithm, 20.0)) - LEAST_ML)


def _rounded(values: Floats) -> Any:
    return [
        [float(f"{v:.9g}") for v in row] if isinstance(row, list) else float(f"{row:.9g}") for row in values.tolist()
    ]


def expected_minutes(quality: Quality, scratch_minutes: float, classes: int) -> float:
    """Minutes that a mask is expected to take: a look, and what is to be drawn of its share of a case from nothing.

    A look is `voxledger.minutes.LOOKING_MINUTES`: what `evaluate` says, no plan depends on.

    Examples
    --------
    >>> expected_minutes(Quality(0.8, 0.7, 0.9, 1.0, 0.5, 2.0, 0.25), 40.0, 2)
    5.5
    """
    return LOOKING_MINUTES + scratch_minutes / classes * quality.predicted_path_share
