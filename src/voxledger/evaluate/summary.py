"""From rows per case to means per set, generation, model and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.metric import averaged
from voxledger.statistics import Floats, Interval, Resamples, gain_interval, mean_interval, resamples

TEST = "test"
"""Name of the fixed test split among the sets; an external source is `external/<source>`."""


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
class ClassGain:
    """Dice of one class before and after, over the cases in which both generations have a value."""

    base: Interval
    next: Interval
    gain: Interval


@dataclass(frozen=True)
class Gain:
    """What a model gained in mean Dice from the base to the next generation, with a paired interval.

    `base`, `next` and `gain` are over the same pairs: classes of cases of one set in which both generations have a
    value.
    """

    set_name: str
    model: str
    base: Interval
    next: Interval
    gain: Interval
    pairs: int
    classes: dict[str, ClassGain]
    """Classes with at least one pair."""
    new: dict[str, Interval]
    """Dice of the classes that the next generation knows and the base did not."""
    lost: dict[str, Interval]
    """Dice of the classes that the base knew and the next generation does not."""
    false_alarms: tuple[int, int]
    """Empty references of classes that both know in which anything is predicted, before and after. Where one of the
    two predicts nothing, as is right, there is no Dice and so no pair."""


def summarise(
    rows: Sequence[Row], class_order: Sequence[str], samples: int, seed: int, patients: Mapping[str, str]
) -> list[ModelSummary]:
    """Means with bootstrap intervals, ordered by set (test first), generation and model.

    Parameters
    ----------
    class_order
        The classes, in the order of the schema.
    samples, seed
        Of the bootstrap.
    patients
        Patient by case id; a case that is not in it is a patient of its own.
    """
    dice, cases = _matrices(rows, class_order, "dice"), _cases_of_sets(rows)
    other = {m: _matrices(rows, class_order, m) for m in averaged()}
    summaries = []
    for key in sorted(dice, key=lambda k: (k[0] != TEST, *k)):
        values = dice[key]
        draws = resamples([patients.get(c, c) for c in cases[key[0]]], samples, seed)
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


def gains(
    rows: Sequence[Row], class_order: Sequence[str], samples: int, seed: int, patients: Mapping[str, str]
) -> list[Gain]:
    """The gain of every model that is there in both generations, ordered by set (test first) and model.

    Parameters are those of `summarise`.
    """
    dice, cases = _matrices(rows, class_order, "dice"), _cases_of_sets(rows)
    found = []
    for set_name, generation, model in sorted(dice, key=lambda k: (k[0] != TEST, *k)):
        before = dice.get((set_name, Generation.BASE, model))
        if generation is not Generation.NEXT or before is None:
            continue
        after = dice[set_name, generation, model]
        shared = np.isfinite(before) & np.isfinite(after)
        draws = resamples([patients.get(c, c) for c in cases[set_name]], samples, seed)
        mine = [r for r in rows if (r.set_name, r.model) == (set_name, model)]
        known = {g: {r.class_name for r in mine if r.generation is g} for g in Generation}
        found.append(
            Gain(
                set_name,
                model,
                *_compared(before, after, shared, draws),
                int(shared.sum()),
                {
                    c: ClassGain(*_compared(before[:, [i]], after[:, [i]], shared[:, [i]], draws))
                    for i, c in enumerate(class_order)
                    if shared[:, i].any()
                },
                _by_class(after, known[Generation.NEXT] - known[Generation.BASE], class_order, draws),
                _by_class(before, known[Generation.BASE] - known[Generation.NEXT], class_order, draws),
                _false_alarms(mine),
            )
        )
    return found


def _compared(
    before: Floats, after: Floats, shared: npt.NDArray[np.bool_], draws: Resamples
) -> tuple[Interval, Interval, Interval]:
    before, after = (np.where(shared, values, np.nan) for values in (before, after))
    return mean_interval(before, draws), mean_interval(after, draws), gain_interval(before, after, draws)


def _by_class(values: Floats, names: set[str], class_order: Sequence[str], draws: Resamples) -> dict[str, Interval]:
    """Mean of each of some classes that has a value in any case."""
    means = {c: mean_interval(values[:, [i]], draws) for i, c in enumerate(class_order) if c in names}
    return {c: mean for c, mean in means.items() if mean.n}


def _false_alarms(rows: Sequence[Row]) -> tuple[int, int]:
    empty: dict[Generation, dict[tuple[str, str], bool]] = {g: {} for g in Generation}
    for r in rows:
        if r.reference_ml == 0:
            empty[r.generation][r.case_id, r.class_name] = bool(np.isfinite(r.values["dice"]))
    both = empty[Generation.BASE].keys() & empty[Generation.NEXT].keys()
    before, after = (sum(empty[g][key] for key in both) for g in (Generation.BASE, Generation.NEXT))
    return before, after


def _matrices(
    rows: Sequence[Row], class_order: Sequence[str], metric: str
) -> dict[tuple[str, Generation, str], Floats]:
    """Values (cases of the set, classes) by set, generation and model; NaN where nothing was measured."""
    import pandas as pd

    cases = _cases_of_sets(rows)
    values = [(r.set_name, r.generation, r.model, r.case_id, r.class_name, r.values[metric]) for r in rows]
    table = pd.DataFrame(values, columns=["set", "generation", "model", "case", "class", "value"])
    return {
        (set_name, generation, model): part.pivot(index="case", columns="class", values="value")
        .reindex(index=cases[set_name], columns=class_order)
        .to_numpy(float)
        for (set_name, generation, model), part in table.groupby(["set", "generation", "model"], sort=False)
    }


def _cases_of_sets(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Case ids by set, sorted: what the rows of a matrix are."""
    cases: dict[str, list[str]] = {}
    for set_name, case_id in sorted({(r.set_name, r.case_id) for r in rows}):
        cases.setdefault(set_name, []).append(case_id)
    return cases
