"""What the round cost: minutes of readers, against labelling the same cases from nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from voxledger.knowledge import Labelled, labelled
from voxledger.records.decisions import Decided
from voxledger.records.ledger import Ledger, Origin
from voxledger.records.readings import Reading


@dataclass(frozen=True)
class Effort:
    """Cost and state of the round's end."""

    cases_reviewed: int
    """Cases that reviewers decided on in this round."""
    decisions: int
    """Classes of cases that they decided on in this round."""
    timed: int
    """Decisions of this round that give minutes."""
    untimed: int
    """Decisions of this round that give none, though people made them."""
    minutes: float
    """Reader minutes of this round, of the decisions that give them: a lower bound where some do not."""
    minutes_total: float
    """Reader minutes of this and all earlier rounds; a lower bound where `untimed_total` is above 0."""
    untimed_total: int
    """Decisions without minutes in this and all earlier rounds whose history tells."""
    cases_trusted_by_review: int
    """Cases of which every class is trusted, at least one of them by review, in any round."""
    scratch_minutes_total: float
    """Minutes to draw from nothing the masks that readers made trusted in any round: of a case, their share of it. The
    classes of a case share its minutes equally; one that is known to be absent has no part."""
    pool: Labelled
    """What people stand behind in the pool."""


def effort(
    decisions: Sequence[Decided | Reading],
    ledger: Ledger,
    pool: Sequence[str],
    classes: Sequence[str],
    minutes_before: float,
    untimed_before: int,
    scratch_minutes: float,
    clicked: Collection[str] = (),
) -> Effort:
    """Add up what a round cost.

    Parameters
    ----------
    ledger
        The ledger after the round.
    pool
        Ids of the pool's cases.
    classes
        Classes of the schema: a case is complete when a person stands behind each of them.
    minutes_before, untimed_before
        Reader minutes of all earlier rounds, and their decisions without minutes.
    scratch_minutes
        Minutes to label one case from nothing.
    clicked
        SHA-256 of returns that a virtual reader made: their minutes are reported elsewhere.
    """
    by_review = [
        entry
        for (_, name), entry in ledger.items()
        if name in classes and entry.origin in (Origin.ACCEPTED, Origin.REVISED)
    ]
    absent = Counter(case_id for (case_id, name), entry in ledger.items() if name in classes and not entry.ml)
    present = [len(classes) - absent[entry.case_id] for entry in by_review if entry.ml]
    timed = [d.minutes for d in decisions if d.minutes is not None]
    untimed = sum(d.minutes is None and d.bundle not in clicked for d in decisions)
    return Effort(
        cases_reviewed=len({d.case_id for d in decisions}),
        decisions=len(decisions),
        timed=len(timed),
        untimed=untimed,
        minutes=sum(timed),
        minutes_total=minutes_before + sum(timed),
        untimed_total=untimed_before + untimed,
        cases_trusted_by_review=labelled(ledger, {entry.case_id for entry in by_review}, classes).complete,
        scratch_minutes_total=sum(scratch_minutes / count for count in present),
        pool=labelled(ledger, pool, classes),
    )
