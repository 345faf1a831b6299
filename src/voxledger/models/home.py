"""Where a model is at home: what it had learned from before another model started from it."""

from __future__ import annotations

from collections.abc import Iterable

from voxledger.models.cohort import Member
from voxledger.records.card import ModelCard
from voxledger.records.ledger import Entry


def learned_from(card: ModelCard, member: Member) -> bool:
    """Whether a case that teaches today taught this model.

    One that was trained here learned from what people stood behind when it was trained; what they decided since is new.
    One from elsewhere learned from cases whose source is called like its training set.
    """
    if card.source is not None:
        return _called_alike(card.source.training_set, member.case.source)
    return all(e.version <= card.round for e in _trusted(member.entries))


def home_sources(card: ModelCard, cohort: Iterable[Member]) -> set[str]:
    """Sources of the cases that a model was trained on, as far as it is known here.

    Parameters
    ----------
    cohort
        Cases that teach today.
    """
    if card.source is not None:
        called = {m.case.source for m in cohort if _called_alike(card.source.training_set, m.case.source)}
        return called or ({card.source.training_set} if card.source.training_set else set())
    return {m.case.source for m in cohort if any(e.version <= card.round for e in _trusted(m.entries))}


def _trusted(entries: Iterable[Entry]) -> list[Entry]:
    return [e for e in entries if e.origin.trusted]


def _called_alike(one: str, other: str) -> bool:
    return bool(one) and one.casefold() == other.casefold()
