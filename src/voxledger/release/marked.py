"""Models that learned from a patient who was withdrawn since: marked, until they are trained anew or kept on record."""

from __future__ import annotations

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.card import ModelCard, list_models, read_cards
from voxledger.records.withdrawn import Kept, Withdrawn, read_kept, read_withdrawn, write_kept
from voxledger.release.all_versions import with_descendants
from voxledger.release.times import now
from voxledger.repository import git, require_root
from voxledger.textfile import read_text_if_there


def marked() -> dict[str, list[Withdrawn]]:
    """By model id, the withdrawn patients that it, or a model that it goes on from, learned from."""
    rows = read_withdrawn()
    if not rows:
        return {}
    parents = {card.id: card.parent for card in _cards()}
    found: dict[str, list[Withdrawn]] = {}
    for row in rows:
        for model in with_descendants(set(row.models), parents):
            found.setdefault(model, []).append(row)
    return found


def _cards() -> list[ModelCard]:
    """Of every model that there is or was, as far as tables and folders here say."""
    found = [*list_models(layout.BASE_MODELS), *list_models(layout.NEXT_MODELS)]
    for path in (layout.BASE_CARDS, layout.NEXT_CARDS):
        if (text := read_text_if_there(path)) is not None:
            found += read_cards(text, str(path))
    return found


def note_of(model_id: str) -> str:
    """What a card says of withdrawn patients that its model learned from; empty where there is none."""
    rows = marked().get(model_id)
    if not rows:
        return ""
    kept = {one.model_id: one for one in read_kept()}.get(model_id)
    patients = "1 patient who was" if len(rows) == 1 else f"{len(rows)} patients who were"
    said = f"learned from {patients} withdrawn ({', '.join(row.date[:10] for row in rows)})"
    return f"{said}; kept by {kept.curator} on {kept.date[:10]}: {kept.reason}" if kept else f"{said}; not settled"


def require_settled() -> None:
    """Raise where a model that the round releases is marked, and nobody keeps it.

    Raises
    ------
    VoxledgerError
        Names the models, and both ways out.
    """
    found = _open_ones()
    if found:
        raise VoxledgerError(
            f"{', '.join(f'{c.name} ({c.id[:12]})' for c in found)}: learned from a patient who was withdrawn, or goes "
            "on from a model that did",
            f"train it anew from nothing (`retrain.strategy: full` in {layout.PARAMS}), which needs a round; or, where "
            f"it may stay, `voxledger withdraw keep {found[0].name} --reason …` says why on record",
        )


def keep(name: str, reason: str) -> Kept:
    """Say on record why a model that learned from a withdrawn patient goes on; commits that.

    Raises
    ------
    Misuse
        No reason is given, or no such model is marked, or it is kept already.
    """
    require_root()
    if not reason.strip():
        raise Misuse("it needs a reason", "say with --reason why the model may stay")
    allowed = {one.model_id for one in read_kept()}
    cards = [*list_models(layout.NEXT_MODELS), *list_models(layout.BASE_MODELS)]
    found = {c.id: c for c in cards if c.id in marked() and c.id not in allowed}
    card = next((c for c in found.values() if name in (c.name, c.id)), None)
    if card is None:
        listed = ", ".join(sorted({c.name for c in found.values()}))
        raise Misuse(
            f"no model {name} waits to be settled", f"name one of {listed}" if listed else "there is nothing to keep"
        )
    row = Kept(card.id, git("var", "GIT_AUTHOR_IDENT").partition(" <")[0], now(), reason.strip())
    write_kept([*read_kept(), row])
    git("add", "--", layout.KEPT_MODELS)
    message = f"Keep {card.name}, which learned from a withdrawn patient"
    git("commit", "--quiet", "--message", message, "--", layout.KEPT_MODELS)
    return row


def _open_ones() -> list[ModelCard]:
    if not (models := marked()):
        return []
    allowed = {one.model_id for one in read_kept()}
    return [c for c in list_models(layout.NEXT_MODELS) if c.id in models and c.id not in allowed]
