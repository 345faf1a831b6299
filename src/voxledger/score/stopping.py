"""When to stop: how much attention is left, how many cases will still need revision, what the audit found.

Pure functions; the score stage says what it can before people look, `voxledger.evaluate.hindsight` after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxledger.score.table import CaseScore
from voxledger.statistics import Estimate, expected_revisions


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
    stop: bool
    why: str


def outlook(cases: Sequence[CaseScore], chosen: int, revised: int, reviewed: int, unseen: int = 0) -> Outlook:
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
    """
    sizes = sorted((c.attention_ml for c in cases), reverse=True)
    above = knee(sizes)
    total = sum(sizes)
    if not cases:
        stop, why = True, "people stand behind every class of every case"
    elif unseen:
        stop, why = False, f"an organ was not found in {_cases(unseen)}, and nobody has looked for what lies in it"
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
        stop,
        why,
    )
