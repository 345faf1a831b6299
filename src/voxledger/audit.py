"""Blind audits: cases drawn by chance from those that nobody was going to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from voxledger.statistics import LEVEL

ACCEPTABLE_MISSED = 0.05
"""The audit allows to stop when the upper bound on the share of cases with missed errors is at most this."""

ENOUGH_AUDITED = math.ceil(math.log((1 - LEVEL) / 2) / math.log(1 - ACCEPTABLE_MISSED))
"""Fewest audited cases with which the bound can be kept, if none of them has an error: 72."""


@dataclass(frozen=True)
class Audit:
    """What the audit of one round found."""

    round: int
    cases: int
    """Predicted cases that were drawn and decided on."""
    with_errors: int
    """Those of them in which a class was revised or rejected."""
    population: str
    """Hash of what was asked: the cases of the pool and the classes; audits of other ones say nothing about these.

    Empty for a round whose history does not tell.
    """


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
