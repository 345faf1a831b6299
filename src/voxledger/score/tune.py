"""Thresholds of the attention, tuned on what reviewers changed. Looks at cases of the pool alone, never at test cases.

Inconsistency and uncertainty are judged apart, with the entropy and the opening of the score stage. For every
threshold: sensitivity for errors of at least as many voxels as the smallest region of attention has after the opening
(125 with two erosions), precision by voxel, and their harmonic mean, F1. Precision by region would reward a threshold
so low that all attention grows into one region, which touches some error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.bundles.judged import Counts, judge
from voxledger.bundles.reviewed import Reviewed, reviewed
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.imaging.attention_file import Criterion
from voxledger.params import Entropy, MachineParams, ScoreParams
from voxledger.records.cases import Case
from voxledger.schema import LabelSchema

INCONSISTENCY = (0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
UNCERTAINTY = (0.02, 0.035, 0.05, 0.1, 0.15, 0.2)
CRITERIA = {Criterion.INCONSISTENT: "inconsistency", Criterion.UNCERTAIN: "uncertainty"}


@dataclass(frozen=True)
class Trial:
    """One threshold of one criterion for one class.

    An empty class name stands for all classes that `score.classes` gives no threshold of their own.
    """

    class_name: str
    parameter: str
    threshold: float
    sensitivity: float
    precision: float
    f1: float
    errors: int
    regions: int


def tune(
    cases: Sequence[Case],
    schema: LabelSchema,
    params: ScoreParams,
    machine: MachineParams,
) -> list[Trial]:
    """Try thresholds on the reviewed cases of the finished round; all trials, by class, parameter and threshold.

    Raises
    ------
    VoxledgerError
        Nobody has reviewed a predicted case in this round.
    """
    jobs = [
        TryThresholds(name=c.case_id, case=c, schema=schema, entropy=params.entropy, opening=params.opening)
        for c in reviewed(cases)
        if c.predictions
    ]
    if not jobs:
        raise VoxledgerError(
            f"no case of {layout.PREDICTED} has a decision in {layout.DECISIONS}, so nothing can be tried",
            "run this after `dvc repro import`",
        )
    found = casemap(jobs, layout.ROUND, machine)
    total: dict[tuple[str, str, float], Counts] = {}
    for tried in found:
        for name, parameter, threshold, counts in tried:
            own = params.classes.get(name)
            for group in ("", name) if own is None or getattr(own, parameter) is None else (name,):
                key = (group, parameter, threshold)
                total[key] = total.get(key, Counts()) + counts
    order = {"": -1} | {name: i for i, name in enumerate(schema.names)}
    return [_trial(*key, total[key]) for key in sorted(total, key=lambda k: (order[k[0]], k[1], k[2]))]


def smallest_region(opening: int) -> int:
    """Voxels of the smallest region that an opening by a 3×3×3 cube leaves: 125 after two erosions, 1 without."""
    return int((2 * opening + 1) ** 3)


def best(trials: Sequence[Trial]) -> list[Trial]:
    """For every class and parameter the trial with the highest F1, the highest threshold of equals.

    Classes without a large error say nothing about thresholds and are left out.
    """
    found: dict[tuple[str, str], Trial] = {}
    for trial in trials:
        key = (trial.class_name, trial.parameter)
        if trial.errors and (key not in found or trial.f1 >= found[key].f1):
            found[key] = trial
    return list(found.values())


def _trial(name: str, parameter: str, threshold: float, counts: Counts) -> Trial:
    sensitivity = counts.large_found / counts.large_errors if counts.large_errors else 1.0
    precision = counts.both_voxels / counts.attention_voxels if counts.attention_voxels else 1.0
    f1 = 2 * sensitivity * precision / (sensitivity + precision) if sensitivity + precision else 0.0
    return Trial(name, parameter, threshold, sensitivity, precision, f1, counts.large_errors, counts.regions)


class TryThresholds(Job[list[tuple[str, str, float, Counts]]]):
    """Judge the attention of a case at every threshold; gives class, parameter, threshold and counts."""

    stage, algorithms = "tune", ("tune", "score")
    case: Reviewed = content()
    schema: LabelSchema = content()
    entropy: Entropy = content()
    opening: int = content()

    def compute(self, folder: Path) -> list[tuple[str, str, float, Counts]]:
        return _try_case(self.case, self.schema, self.entropy, self.opening)


def _try_case(
    case: Reviewed, schema: LabelSchema, entropy: Entropy, opening: int
) -> list[tuple[str, str, float, Counts]]:
    import numpy as np

    from voxledger.imaging.soft import open_soft
    from voxledger.imaging.volume import read_label
    from voxledger.score.attention import Attention

    predictions = [open_soft(path) for path in case.predictions.values()]
    grid = predictions[0].grid
    before, after = (read_label(path, grid) for path in (case.before, case.after))
    errors = {
        name: schema.mask(before, name) != schema.mask(after if decision == "revise" else before, name)
        for name, decision in case.decisions.items()
    }
    trials = []
    for inconsistency, uncertainty in zip(INCONSISTENCY, UNCERTAINTY, strict=True):
        params = ScoreParams(inconsistency=inconsistency, uncertainty=uncertainty, entropy=entropy, opening=opening)
        attention = Attention(predictions, schema, params)
        for name, changed in errors.items():
            one = attention[name]
            bits = np.zeros(grid.shape, np.uint8)
            if one.box is not None:
                bits[one.box] = one.bits
            for criterion, parameter in CRITERIA.items():
                counts = judge(bits & np.uint8(criterion), changed, smallest_region(params.opening))
                trials.append((name, parameter, getattr(params, parameter), counts))
    return trials
