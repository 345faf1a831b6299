"""Whether a release may have the licence that it declares, by the models that its labels are from."""

from __future__ import annotations

from collections.abc import Mapping

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.licences import KEPT, lost, spdx
from voxledger.params import UNSPECIFIED, read_params
from voxledger.records.card import ModelCard, list_models, parse_card, parse_cards
from voxledger.records.clicks import read_clicks
from voxledger.records.ledger import read_ledger
from voxledger.records.overrides import Override, read_overrides, write_overrides
from voxledger.release.times import now
from voxledger.repository import git
from voxledger.textfile import read_text_if_there


def require_licence(declared: str) -> None:
    """Raise where the declared licence does not keep what the licence of a model asks for, and nobody allowed that.

    Looked at are all models that the ledger of the release names, those whose answers to clicks were taken, and those
    that they go on from. A release that declares no licence contradicts none.

    Raises
    ------
    VoxledgerError
        Names the models, what is not kept, and both ways out.
    """
    allowed = {one.key for one in read_overrides(layout.LICENCES)}
    found = [card for card in _contradicted(declared) if (card.id, card.licence, declared) not in allowed]
    if found:
        listed = "; ".join(f"{c.name} ({c.id[:12]}) is under {c.licence}: {_words(c.licence, declared)}" for c in found)
        raise VoxledgerError(
            f"the release declares {declared}, which its models do not allow: {listed}",
            f"declare one that keeps this, such as {spdx(found[0].licence)}, as `licence` in {layout.PARAMS}; or, "
            f"where it does not hold, `voxledger round licence {found[0].name} --reason …` says why on record",
        )


def allow(name: str, reason: str) -> Override:
    """Say on record why a release may declare its licence although it does not keep that of a model; commits that.

    Raises
    ------
    Misuse
        No reason is given, or the model, by its name or id, does not stand in the way.
    """
    if not reason.strip():
        raise Misuse("it needs a reason", "say with --reason why the release may have its licence all the same")
    declared = read_params().licence
    found = _contradicted(declared)
    card = next((c for c in found if name in (c.name, c.id)), None)
    if card is None:
        listed = ", ".join(sorted({c.name for c in found}))
        raise Misuse(
            f"no model {name} stands in the way of a release under {declared}",
            f"name one of {listed}" if listed else "there is nothing to allow",
        )
    curator = git("var", "GIT_AUTHOR_IDENT").partition(" <")[0]
    row = Override(card.id, card.licence, declared, curator, now(), reason.strip())
    write_overrides(layout.LICENCES, [*read_overrides(layout.LICENCES), row])
    git("add", "--", str(layout.LICENCES))
    message = f"Licence {declared} allowed beside {card.licence} of {card.name}"
    git("commit", "--quiet", "--message", message, "--", str(layout.LICENCES))
    return row


def _contradicted(declared: str) -> list[ModelCard]:
    """Models that masks of the release are from, whose conditions the licence does not keep, by name and id."""
    if declared == UNSPECIFIED:
        return []
    cards = _cards()
    waiting = [m for entry in read_ledger(layout.RELEASE_LEDGER).values() for m in entry.model_ids]
    records = [read_clicks(folder) for folder in sorted(layout.RELEASE_REVISIONS.glob("*"))]
    waiting += [one.model for one in records if one is not None and any(click.helped for click in one.clicks)]
    seen = set[str]()
    while waiting:
        model_id = waiting.pop()
        if model_id not in seen and model_id in cards:
            seen.add(model_id)
            waiting.append(cards[model_id].parent)
    found = [cards[m] for m in seen if lost(cards[m].licence, declared)]
    return sorted(found, key=lambda card: (card.name, card.id))


def _cards() -> Mapping[str, ModelCard]:
    """Of every model that the ledger may name, by id."""
    history = str(layout.NEXT_CARDS)
    text = read_text_if_there(history)
    earlier = [parse_card(card, history) for card in ([] if text is None else parse_cards(text, history))]
    return {card.id: card for card in (*earlier, *list_models(layout.BASE_MODELS))}


def _words(licence: str, declared: str) -> str:
    return "not kept: " + ", ".join(KEPT[letters] for letters in lost(licence, declared))
