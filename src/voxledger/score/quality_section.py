"""What the report says of predicted quality before people look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxledger.html import table
from voxledger.records.mask_quality import JudgedMask, MaskQuality
from voxledger.score.quality import ENOUGH_MASKS, ENOUGH_PATIENTS, LEVEL, QualityModel
from voxledger.score.stopping import ErrorLeft

SHOWN = 10
"""Masks in the table."""


def quality_section(
    model: QualityModel | None,
    masks: Sequence[MaskQuality],
    left: ErrorLeft | None,
    judged: Sequence[JudgedMask],
    patients: Mapping[str, str],
) -> str:
    """HTML of what is predicted, from what, and of the error left in labels that nobody looked at.

    Parameters
    ----------
    masks
        Every mask that models proposed and nobody stands behind.
    judged
        Masks that people judged in earlier rounds.
    patients
        By case.
    """
    text = ["<h3>Predicted quality</h3>"]
    if model is None:
        return "\n".join(
            [
                *text,
                f"<p>Nothing is predicted yet: it is learned from masks that people accepted or revised in earlier "
                f"rounds, {ENOUGH_MASKS} of {ENOUGH_PATIENTS} patients at least; there are {len(judged)} of "
                f"{len({patients.get(one.mask.case_id, one.mask.case_id) for one in judged})}.</p>\n",
            ]
        )
    whence = "of the blind audit" if model.correction.blind else "of the worklists, and each predicted from the others"
    text.append(
        f"<p>Learned from {model.masks} masks of {model.cases} cases that people judged in earlier rounds (model "
        f"{model.record()['id']}). Dice is against what a reader would make of the mask. Intervals hold {LEVEL:.0%} of "
        f"{len(model.correction.dice)} patients {whence}.</p>"
    )
    if not model.correction.blind:
        text.append(
            "<p>Cases of a worklist were chosen for looking bad: of what nobody looked at, the intervals may say too "
            f"much or too little until {ENOUGH_MASKS} masks of {ENOUGH_PATIENTS} patients were audited blindly.</p>"
        )
    if left is not None:
        text.append(f"<p>{left_sentence(left)}</p>")
    predicted = [mask for mask in masks if mask.quality is not None]
    worst = sorted(predicted, key=lambda m: (m.quality.predicted_dice if m.quality else 1, m.case_id))[:SHOWN]
    text.append(f"<p>The {len(worst)} masks of {len(predicted)} with the lowest predicted Dice:</p>")
    text.append(table(("Case", "Class", "Predicted Dice", "Predicted error in ml"), [_row(mask) for mask in worst]))
    return "\n".join(text) + "\n"


def left_sentence(left: ErrorLeft) -> str:
    """What is left in labels that nobody looked at, in one sentence."""
    ml, dice = left.error_ml, left.dice
    whence = (
        f"from {left.compared} patients of blind audits"
        if left.blind
        else f"from {left.compared} patients who were chosen for review: without a blind audit it cannot tell to stop"
    )
    return (
        f"The {left.masks} masks of {left.cases} cases that nobody looked at are expected to hold {ml.estimate:.4g} ml "
        f"of error ({ml.low:.4g} to {ml.high:.4g}, 95 %), at a mean Dice of {dice.estimate:.3f} ({dice.low:.3f} to "
        f"{dice.high:.3f}), {whence}."
    )


def _row(mask: MaskQuality) -> list[str]:
    q = mask.quality
    if q is None:
        return [mask.case_id, mask.class_name, "", ""]
    return [
        mask.case_id,
        mask.class_name,
        f"{q.predicted_dice:.3f} ({q.predicted_dice_low:.3f} to {q.predicted_dice_high:.3f})",
        f"{q.predicted_error_ml:.3g} ({q.predicted_error_ml_low:.3g} to {q.predicted_error_ml_high:.3g})",
    ]
