"""When to stop: how much attention and error is left, how many cases will still need revision, what the audit found.

Pure functions; the score stage says what it can before people look, `voxledger.evaluate.hindsight` after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from voxledger.score.quality import ENOUGH_MASKS, ENOUGH_PATIENTS, QualityModel
from voxledger.score.table import CaseScore
from voxledger.statistics import LEVEL, Estimate, expected_revisions


def knee(values: Sequence[float]) -> int:
    """How many values lie above the knee of their curve, sorted falling.

    The knee is where the curve lies farthest below the chord from its first to its last point, both axes
    scaled to 1 (Satopää et al. 2011, "Kneedle"). 0 for fewer than three values and for a curve without a bend.
    """
    curve = np.sort(np.asarray(values, np.float64))[::-1]
    if len(curve) < 3 or curve[0] == curve[-1]:
        return 0
    scaled = (curve - curve[-1]) / (curve[0] - curve[-1])
    below = 1.0 - np.arange(len(curve)) / (len(curve) - 1) - scaled
    best = int(np.argmax(below))
    return best if below[best] > 1e-9 else 0


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Outlook:
    """What the score stage knows about stopping."""

    open_cases: int
    """Cases with a class that nobody stands behind."""
    attention_ml: float
    above_knee: int
    knee_ml: float
    chosen: int
    reviewed_last: int
    revised_last: int
    expected_revisions: Estimate | None
    """Of the cases chosen now; None where nothing was reviewed yet."""
    left: ErrorLeft | None
    stop: bool
    why: str


def outlook(
    cases: Sequence[CaseScore],
    chosen: int,
    revised: int,
    reviewed: int,
    unseen: int = 0,
    left: ErrorLeft | None = None,
    target: tuple[bool, str] | None = None,
) -> Outlook:
    """Say whether to go on, and why.

    Parameters
    ----------
    cases
        Cases with an untrusted class.
    chosen
        Cases on the worklist of this round, the audit left out.
    revised, reviewed
        Cases that needed revision and cases looked at in the last round.
    unseen
        Cases in which an organ was not found, so that no model looked for what lies in it.
    left, target
        What `error_left` and `by_target` say; a target that can be judged has the word.
    """
    sizes = sorted((c.attention_ml for c in cases), reverse=True)
    above = knee(sizes)
    total = sum(sizes)
    if not cases:
        stop, why = True, "people stand behind every class of every case"
    elif unseen:
        stop, why = False, f"an organ was not found in {_cases(unseen)}, and nobody has looked for what lies in it"
    elif target is not None:
        stop, why = target
    elif reviewed and not revised:
        stop, why = True, f"none of the {reviewed} cases at the top of the last worklist needed revision"
    elif total == 0 and reviewed:
        stop, why = True, "the models give no reason to look at any case"
    elif reviewed:
        stop, why = False, f"{revised} of the last {reviewed} cases needed revision"
    else:
        stop, why = False, "nobody has reviewed anything yet"
    return Outlook(
        len(cases),
        total,
        above,
        sizes[above] if above else 0.0,
        chosen,
        reviewed,
        revised,
        expected_revisions(revised, reviewed, chosen) if reviewed else None,
        left,
        stop,
        why,
    )


@dataclass(frozen=True)
class ErrorLeft:
    """What is expected to be wrong in the labels that nobody looked at, and how good they are."""

    masks: int
    """Proposed masks that nobody stands behind, and whose quality is predicted."""
    cases: int
    unpredicted: int
    """Further masks that nobody stands behind."""
    error_ml: Estimate
    """Of all of them together."""
    dice: Estimate
    """Mean over them."""
    compared: int
    """Patients with judged masks from which the prediction was corrected, of all rounds."""
    blind: bool
    """Whether all of those masks are of cases that were drawn blindly."""


def error_left(
    cases: Sequence[CaseScore], model: QualityModel | None, patients: Mapping[str, str] = MappingProxyType({})
) -> ErrorLeft | None:
    """The error left in labels that nobody looked at; None where nothing is predicted.

    The sum of what is predicted, corrected by how far predictions of the masks of left-out judged patients were off
    (prediction-powered inference, Angelopoulos et al. 2023), a ratio of sums over patients, who have one mask or many.
    The interval is that of Student for as many further patients as are left, since what they hold varies, too.

    Parameters
    ----------
    cases
        Cases with a class that nobody stands behind, with predicted quality.
    model
        What predicted it.
    patients
        By case; one that is not in it is a patient of its own.
    """
    left = [case for case in cases if case.quality]
    if model is None or not left:
        return None
    found = [one for case in left for one in case.quality.values()]
    masks, off = len(found), model.correction
    further = len({patients.get(case.case_id, case.case_id) for case in left})

    def corrected(predicted: float, by: Sequence[float]) -> Estimate:
        middle, reach = _mean_of_further(by, off.masks, further)
        return Estimate(predicted + middle, predicted + middle - reach, predicted + middle + reach)

    ml = corrected(sum(one.predicted_error_ml for one in found) / masks, off.error_ml)
    dice = corrected(sum(one.predicted_dice for one in found) / masks, off.dice)
    return ErrorLeft(
        masks,
        len(left),
        sum(len(case.classes) for case in cases) - masks,
        Estimate(*(max(0.0, masks * value) for value in (ml.estimate, ml.low, ml.high))),
        Estimate(*(min(1.0, max(0.0, value)) for value in (dice.estimate, dice.low, dice.high))),
        len(off.dice),
        off.blind,
    )


def _mean_of_further(sums: Sequence[float], masks: Sequence[int], further: int) -> tuple[float, float]:
    """The mean over masks, given their sums by patient, and how far that of `further` such patients may lie from it.

    The variance is that of a ratio estimator with patients as clusters (Cochran 1977, ch. 6).
    """
    from scipy.special import stdtrit

    total, count = np.array(sums), np.array(masks)
    mean = total.sum() / count.sum()
    spread = ((((total - mean * count) / count.mean()) ** 2).sum() / (len(count) - 1)) ** 0.5
    t = float(stdtrit(len(count) - 1, (1 + LEVEL) / 2))
    return float(mean), t * float(spread) * (1 / len(count) + 1 / further) ** 0.5


UNJUDGED = (
    f"the target of score.stop_error_ml or score.stop_dice cannot be judged before {ENOUGH_MASKS} masks of "
    f"{ENOUGH_PATIENTS} patients were audited blindly (score.audit)"
)


def by_target(left: ErrorLeft | None, error_ml: float | None, dice: float | None) -> tuple[bool, str] | None:
    """Whether the error left is small enough to stop, and why; None where no target is set, or none can be judged.

    Only a blind audit tells what is left: the cases of a worklist were chosen for looking bad.

    Parameters
    ----------
    error_ml
        Most wrong ml, in all labels that nobody looked at together.
    dice
        Least mean Dice of them.
    """
    if left is None or not left.blind or (error_ml is None and dice is None):
        return None
    if left.unpredicted:
        return False, not_predicted(left.unpredicted)
    said, met = [], True
    if error_ml is not None:
        met = left.error_ml.high <= error_ml
        said.append(f"hold at most {left.error_ml.high:.4g} ml of error, where {error_ml:g} are allowed")
    if dice is not None:
        met = met and left.dice.low >= dice
        said.append(f"have a mean Dice of at least {left.dice.low:.3f}, where {dice:g} is wanted")
    return met, f"labels that nobody looked at {' and '.join(said)}"


def not_predicted(masks: int) -> str:
    """Why a target is not reached where nothing can be said of some masks."""
    return f"the quality of {masks} masks that nobody looked at cannot be predicted"
