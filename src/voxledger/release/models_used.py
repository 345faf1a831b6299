"""The models that stand behind the masks of a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from voxledger import layout
from voxledger.licences import lost
from voxledger.params import UNSPECIFIED
from voxledger.records.card import ModelCard, read_cards
from voxledger.records.clicks import AnsweredBy, Clicks, read_clicks
from voxledger.records.ledger import Ledger
from voxledger.textfile import read_text_if_there

SERVED = "served"
"""What stands in the place of a strategy of training for a model that is known from a return alone."""
_UNKNOWN = AnsweredBy(name="unknown", backend="unknown", architecture="", licence=UNSPECIFIED)
"""What is known of a model where a return of before names its id alone."""


def cards_of_release() -> dict[str, ModelCard]:
    """Every model that the ledger may name, or that answered reviewers, by id."""
    found = cards_of_answers()
    for path in (layout.BASE_CARDS, layout.NEXT_CARDS):
        text = read_text_if_there(path)
        found |= {card.id: card for card in (read_cards(text, str(path)) if text else [])}
    return found


def cards_of_answers() -> dict[str, ModelCard]:
    """What returns that the release keeps say of the models whose answers to clicks were taken, by id.

    A reviewer may have run a model that no round had: its licence is known from the return alone. Where returns say
    different things of one model, that counts which asks for most; where one says nothing, what others say.
    """
    found: dict[str, AnsweredBy] = {}
    for one in _answers():
        said = one.answered_by or _UNKNOWN
        found[one.model] = max(found.get(one.model, _UNKNOWN), said, key=_asked_for)
    return {
        model_id: ModelCard(id=model_id, **said.model_dump(), strategy=SERVED, cohort="", parent="", params={}, round=0)
        for model_id, said in found.items()
    }


def _asked_for(said: AnsweredBy) -> tuple[bool, int, str, str]:
    """How much a licence asks for, of one that is known; then anything that sorts."""
    return said.licence != UNSPECIFIED, len(lost(said.licence, "")), said.licence, said.name


def models_that_answered() -> set[str]:
    """Ids of the models whose answers to clicks reviewers took, in any return that the release keeps."""
    return {one.model for one in _answers()}


def _answers() -> list[Clicks]:
    """Records of clicks of which an answer was taken."""
    records = (read_clicks(folder) for folder in sorted(layout.RELEASE_REVISIONS.glob("*")))
    return [one for one in records if one is not None and any(click.helped for click in one.clicks)]


def models_behind(ledger: Ledger, cards: Mapping[str, ModelCard], answered: Iterable[str]) -> list[ModelCard]:
    """Models that masks are from, those whose answers were taken, and those that they go on from, by name and id."""
    waiting = [*answered, *(model_id for entry in ledger.values() for model_id in entry.model_ids)]
    seen = set[str]()
    while waiting:
        model_id = waiting.pop()
        if model_id not in seen and model_id in cards:
            seen.add(model_id)
            waiting.append(cards[model_id].parent)
    return sorted((cards[model_id] for model_id in seen), key=lambda card: (card.name, card.id))
