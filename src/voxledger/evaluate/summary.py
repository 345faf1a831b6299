"""From rows per case to means per set, generation, model and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxledger.evaluate.bootstrap import Floats, Interval, gain_interval, mean_interval, resamples
from voxledger.evaluate.case_metrics import Generation

TEST = "test"
"""Name of the fixed test split among the sets; an external source is `external/<source>`."""

OTHER_METRICS = ("iou", "surface_dice", "hd95_mm", "volume_error_percent")
"""Metrics whose mean over all classes is given beside Dice."""


@dataclass(frozen=True)
class Row:
    """Metrics of one class of one case by one model."""

    set_name: str
    case_id: str
    generation: Generation
    model: str
    class_name: str
    reference_ml: float
    values: dict[str, float]


@dataclass(frozen=True)
class ModelSummary:
    """Dice of one model on one set: over all classes, by class; and the means of all other metrics."""

    set_name: str
    generation: Generation
    model: str
    mean: Interval
    classes: dict[str, Interval]
    other: dict[str, Interval]


@dataclass(frozen=True)
class Gain:
    """What a model gained in mean Dice from the base to the next generation, with a paired interval.

    All three are over the cases of one set that both generations predicted.
    """

    set_name: str
    model: str
    base: Interval
    next: Interval
    gain: Interval


def summarise(rows: Sequence[Row], class_order: Sequence[str], samples: int, seed: int) -> list[ModelSummary]:
    """Means with bootstrap intervals, ordered by set (test first), generation and model."""
    dice = _matrices(rows, class_order, "dice")
    other = {m: _matrices(rows, class_order, m) for m in OTHER_METRICS}
    summaries = []
    for key in sorted(dice, key=lambda k: (k[0] != TEST, *k)):
        values = dice[key]
        draws = resamples(len(values), samples, seed)
        judged = {r.class_name for r in rows if (r.set_name, r.generation, r.model) == key}
        summaries.append(
            ModelSummary(
                *key,
                mean_interval(values, draws),
                {c: mean_interval(values[:, [i]], draws) for i, c in enumerate(class_order) if c in judged},
                {m: mean_interval(matrices[key], draws) for m, matrices in other.items()},
            )
        )
    return summaries


def gains(rows: Sequence[Row], class_order: Sequence[str], samples: int, seed: int) -> list[Gain]:
    """The gain of every model that is there in both generations, ordered by set (test first) and model."""
    dice = _matrices(rows, class_order, "dice")
    found = []
    for set_name, generation, model in sorted(dice, key=lambda k: (k[0] != TEST, *k)):
        before = dice.get((set_name, Generation.BASE, model))
        if generation is not Generation.NEXT or before is None:
            continue
        after = dice[set_name, generation, model]
        shared = np.logical_and(np.isfinite(before).any(axis=1), np.isfinite(after).any(axis=1))
        before, after = (np.where(shared.reshape(-1, 1), values, np.nan) for values in (before, after))
        draws = resamples(len(after), samples, seed)
        found.append(
            Gain(
                set_name,
                model,
                mean_interval(before, draws),
                mean_interval(after, draws),
                gain_interval(before, after, draws),
            )
        )
    return found


def _matrices(
    rows: Sequence[Row], class_order: Sequence[str], metric: str
) -> dict[tuple[str, Generation, str], Floats]:
    """Values (cases of the set, classes) by set, generation and model; NaN where nothing was measured."""
    cases: dict[str, list[str]] = {}
    for set_name, case_id in sorted({(r.set_name, r.case_id) for r in rows}):
        cases.setdefault(set_name, []).append(case_id)
    place = {(s, case): i for s, listed in cases.items() for i, case in enumerate(listed)}
    column = {c: i for i, c in enumerate(class_order)}
    matrices: dict[tuple[str, Generation, str], Floats] = {}
    for r in rows:
        key = (r.set_name, r.generation, r.model)
        if key not in matrices:
            matrices[key] = np.full((len(cases[r.set_name]), len(column)), np.nan)
        matrices[key][place[r.set_name, r.case_id], column[r.class_name]] = r.values[metric]
    return matrices
