"""Where a model is at home: what it had learned from before another model started from it."""

from __future__ import annotations

from collections.abc import Iterable

from voxledger.models.cohort import Member
from voxledger.models.model import Model
from voxledger.records.card import ModelCard
from voxledger.records.ledger import Entry


def could_learn(card: ModelCard, member: Member, entry: Entry) -> bool:
    """Whether a mask that people stand behind was there, and taught, when a model was trained.

    A case teaches in no round in which a class of it is rejected. What a model had from its parent it still has: a mask
    that is older than the model taught if the case did in any round since; of a model trained from nothing, in its own.
    A model from elsewhere saw nothing of what is here.
    """
    if card.source is not None:
        return False
    first = entry.version if card.parent else max(entry.version, card.round)
    return any(number not in member.rejected for number in range(first, card.round + 1))


def learned_from(model: Model, member: Member) -> bool:
    """Whether a case that teaches today taught this model a class.

    One that was trained here learned from what people stood behind when it was trained; what they decided since is new.
    One from elsewhere learned from cases whose source is called like its training set. A case that shows none of the
    classes that it was taught did not teach it.
    """
    trusted = _trusted(member.entries)
    if not _shows(model, trusted):
        return False
    if model.card.source is not None:
        return _called_alike(model.card.source.training_set, member.case.source)
    return all(could_learn(model.card, member, e) for e in trusted)


def home_sources(model: Model, cohort: Iterable[Member]) -> set[str]:
    """Sources of the cases that a model was trained on, as far as it is known here.

    Parameters
    ----------
    cohort
        Cases that teach today.
    """
    source = model.card.source
    if source is not None:
        called = {m.case.source for m in cohort if _called_alike(source.training_set, m.case.source)}
        return called or ({source.training_set} if source.training_set else set())
    return {
        m.case.source
        for m in cohort
        if _shows(model, [e for e in _trusted(m.entries) if could_learn(model.card, m, e)])
    }


def _shows(model: Model, entries: Iterable[Entry]) -> bool:
    return not set(model.taught).isdisjoint(e.class_name for e in entries)


def _trusted(entries: Iterable[Entry]) -> list[Entry]:
    return [e for e in entries if e.origin.trusted]


def _called_alike(one: str, other: str) -> bool:
    return bool(one) and one.casefold() == other.casefold()
