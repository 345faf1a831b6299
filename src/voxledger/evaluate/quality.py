"""Was the predicted quality right? After import, what was predicted of masks against what people made of them.

Dice and wrong ml are those of the mask that a reader was shown against the one that he left; of a mask that he accepted
1 and 0. A rejected one is left out: nobody knows what it should have been.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.bundles.reviewed import Reviewed, reviewed
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.html import table
from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.path_length import added_path_length
from voxledger.imaging.volume import read_grid, read_label
from voxledger.params import Params
from voxledger.records.cases import Case
from voxledger.records.decisions import Decision
from voxledger.records.mask_quality import JudgedMask, MaskQuality, read_judged, read_predicted, write_judged
from voxledger.records.worklist import AUDIT, read_worklist
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text


@dataclass(frozen=True)
class Found:
    """What a mask was found to be worth."""

    class_name: str
    dice: float
    error_ml: float
    path_share: float


class MeasureMasks(Job[tuple[Found, ...]]):
    """Compares the masks of a case that people judged with what they made of them."""

    stage, algorithms = "quality", ("quality",)
    case: Reviewed = content()
    schema: LabelSchema = content()
    tolerance_mm: float = content()
    """Of the path length: a contour that near to the old one was not drawn."""

    def compute(self, folder: Path) -> tuple[Found, ...]:
        grid = read_grid(self.case.before)
        before, after = read_label(self.case.before, grid), read_label(self.case.after, grid)
        found = []
        for name, decision in self.case.decisions.items():
            was, became = (self.schema.mask(labels, name) for labels in (before, after))
            if decision is Decision.ACCEPT:
                became = was
            both, either = np.count_nonzero(was & became), np.count_nonzero(was) + np.count_nonzero(became)
            axis = acquisition_axis(grid)
            whole = added_path_length(np.zeros_like(became), became, grid.spacing, axis=axis).mm
            added = added_path_length(was, became, grid.spacing, self.tolerance_mm, axis).mm
            found.append(
                Found(
                    name,
                    2 * both / either if either else 1.0,
                    (either - 2 * both) * grid.voxel_ml,
                    added / whole if whole else 0.0,
                )
            )
        return tuple(found)


def judge_masks(cases: Sequence[Case], schema: LabelSchema, params: Params) -> str:
    """Write `layout.JUDGED` (after those of the rounds before) and `layout.QUALITY_FOUND`; gives HTML for the report.

    Only masks of which the score stage wrote down what the ensemble showed are measured: with `score.quality`.
    """
    proposed = {(mask.case_id, mask.class_name): mask for mask in read_predicted(layout.QUALITY)}
    judged = _measured(cases, schema, params, proposed) if proposed else []
    history = [*read_judged(layout.BASE_JUDGED), *judged]
    write_judged(layout.JUDGED, history)
    metrics = {
        "round": params.round,
        "judged": len(judged),
        "judged_so_far": len(history),
        "all": _measures(judged),
        "blind": _measures([one for one in judged if one.blind]),
    }
    replace_text(layout.QUALITY_FOUND, json.dumps(metrics, indent=2) + "\n")
    return _section(metrics)


def _measured(
    cases: Sequence[Case], schema: LabelSchema, params: Params, proposed: Mapping[tuple[str, str], MaskQuality]
) -> list[JudgedMask]:
    """Masks of this round that were proposed, and then accepted or revised."""
    ids = {case_id for case_id, _ in proposed}
    jobs = [
        MeasureMasks(name=one.case_id, case=one, schema=schema, tolerance_mm=params.evaluate.path_tolerance_mm)
        for one in reviewed(cases)
        if one.case_id in ids
    ]
    found = zip(jobs, casemap(jobs, layout.REPORTS, params.machine), strict=True)
    audited = {item.case_id for item in read_worklist(layout.WORKLIST) if item.reason == AUDIT}
    return [
        JudgedMask(params.round, mask, job.name in audited, one.dice, one.error_ml, one.path_share)
        for job, of_case in found
        for one in of_case
        if (mask := proposed.get((job.name, one.class_name)))
    ]


def _measures(judged: Sequence[JudgedMask]) -> dict[str, Any]:
    """How far the predictions of some masks were off, and in what share the intervals held what was found."""
    pairs = [(one, one.mask.quality) for one in judged if one.mask.quality is not None]
    if not pairs:
        return {"masks": 0}
    return {
        "masks": len(pairs),
        "dice_error": _mean([abs(one.dice - q.predicted_dice) for one, q in pairs]),
        "dice_held": _mean([_holds(q.predicted_dice_low, one.dice, q.predicted_dice_high) for one, q in pairs]),
        "ml_error": _mean([abs(one.error_ml - q.predicted_error_ml) for one, q in pairs]),
        "ml_held": _mean(
            [_holds(q.predicted_error_ml_low, one.error_ml, q.predicted_error_ml_high) for one, q in pairs]
        ),
        "path_error": _mean([abs(one.path_share - q.predicted_path_share) for one, q in pairs]),
    }


ROUNDING = 1e-4
"""Tables hold four decimals."""


def _holds(low: float, value: float, high: float) -> bool:
    return low - ROUNDING <= value <= high + ROUNDING


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _section(metrics: dict[str, Any]) -> str:
    rows = [
        [
            what,
            str(found["masks"]),
            f"{found['dice_error']:.3f}",
            f"{found['dice_held']:.0%}",
            f"{found['ml_error']:.3g}",
            f"{found['ml_held']:.0%}",
        ]
        for what, found in (("all that were judged", metrics["all"]), ("of the blind audit", metrics["blind"]))
        if found["masks"]
    ]
    if not rows:
        return ""
    head = ("Masks", "Number", "Dice off by", "Interval held", "Error in ml off by", "Interval held")
    return (
        "<h2>Was the predicted quality right?</h2>\n<p>Predicted before people looked, against what they made of the "
        "masks; means of absolute differences. Intervals should hold 90 %; those of masks that were chosen for looking "
        f"bad may hold fewer.</p>\n{table(head, rows)}\n"
    )
