"""When to stop: how much attention is left, how many cases will still need revision, what the audit found.

Pure functions; the score stage says what it can before people look, `voxledger.score.hindsight` after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxledger.audit import Audit
from voxledger.records.ledger import Ledger, Origin
from voxledger.score.table import CaseScore

LEVEL = 0.95
"""Of every interval here."""
ACCEPTABLE_MISSED = 0.05
"""The audit allows to stop when the upper bound on the share of cases with missed errors is at most this."""

ENOUGH_AUDITED = math.ceil(math.log((1 - LEVEL) / 2) / math.log(1 - ACCEPTABLE_MISSED))
"""Fewest audited cases with which the bound can be kept, if none of them has an error: 72."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval."""

    estimate: float
    low: float
    high: float


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """Exact two-sided interval of a share, Clopper and Pearson 1934; without trials anything from 0 to 1."""
    from scipy.stats import beta

    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials}")
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Interval(hits / trials if trials else float("nan"), low, high)


def pooled(audits: Sequence[Audit]) -> list[Audit]:
    """The audits that count together with the last one: the fewest of the newest that hold `ENOUGH_AUDITED` cases.

    Goes back no further than to where the pool or the classes changed, and pools nothing if the last round had no
    audit. How far it goes depends on how many cases were audited, never on what was found in them.

    Notes
    -----
    The upper Clopper-Pearson bound of the pooled audits holds for the share of the last round under the assumption
    that the share of cases with errors outside the worklist has not risen over the pooled rounds: then every audited
    case was at least as likely to have an error as one of today is, and their number is at least as large in
    distribution as in as many draws of today. Nothing here can show that the assumption holds: the labels of the
    earlier audits were those of earlier models.

    Parameters
    ----------
    audits
        One a round, oldest first.
    """
    found: list[Audit] = []
    for audit in reversed(audits):
        enough = sum(a.cases for a in found) >= ENOUGH_AUDITED
        if enough or not audits[-1].cases or audit.population != audits[-1].population:
            break
        if audit.cases:
            found.append(audit)
    return found[::-1]


def expected_revisions(revised: int, reviewed: int, ahead: int, level: float = LEVEL) -> Interval:
    """How many of the next `ahead` cases will need revision, given that `revised` of `reviewed` did.

    Mean and quantiles of the beta-binomial predictive distribution under Jeffreys' prior. Assumes that the next
    cases are like the last ones; since the worst come first, it errs on the side of too many.
    """
    from scipy.stats import betabinom

    if not 0 <= revised <= reviewed:
        raise ValueError(f"{revised} of {reviewed}")
    if ahead == 0:
        return Interval(0.0, 0.0, 0.0)
    found = betabinom(ahead, revised + 0.5, reviewed - revised + 0.5)
    return Interval(float(found.mean()), float(found.ppf((1 - level) / 2)), float(found.ppf((1 + level) / 2)))


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


def last_reviewed(ledger: Ledger, case_ids: set[str]) -> tuple[int, int]:
    """Of the cases that people decided on in the last round in which they did: how many needed revision, of how many.

    A case needed it if any of its classes was revised or rejected.
    """
    decided = [
        e
        for e in ledger.values()
        if e.case_id in case_ids and e.origin in (Origin.ACCEPTED, Origin.REVISED, Origin.REJECTED) and e.bundle
    ]
    latest = max((e.version for e in decided), default=None)
    now = [e for e in decided if e.version == latest]
    wrong = {e.case_id for e in now if e.origin is not Origin.ACCEPTED}
    return len(wrong), len({e.case_id for e in now})


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
    expected_revisions: Interval | None
    """Of the cases chosen now; None where nothing was reviewed yet."""
    stop: bool
    why: str


def outlook(cases: Sequence[CaseScore], chosen: int, revised: int, reviewed: int) -> Outlook:
    """Say whether to go on, and why.

    Parameters
    ----------
    cases
        Cases with an untrusted class.
    chosen
        Cases on the worklist of this round, the audit left out.
    revised, reviewed
        Cases that needed revision and cases looked at in the last round.
    """
    sizes = sorted((c.attention_ml for c in cases), reverse=True)
    above = knee(sizes)
    total = sum(sizes)
    if not cases:
        stop, why = True, "people stand behind every class of every case"
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
