"""A card in Hugging Face's form for every model that the release brings: `model_cards/<name>.md`."""

from __future__ import annotations

from voxledger.licences import hub_licence
from voxledger.models.card_page import card_page
from voxledger.records.card import ModelCard
from voxledger.release.facts import Facts
from voxledger.textfile import to_yaml


def describe(facts: Facts) -> dict[str, str]:
    """One page a model.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> list(describe(example_facts()))
    ['model_cards/unet.md']
    """
    return {f"model_cards/{card.name}.md": _page(card, facts) for card in facts.released}


def _page(card: ModelCard, facts: Facts) -> str:
    header = {
        **hub_licence(card.licence),
        "pipeline_tag": "image-segmentation",
        "tags": ["medical", "segmentation", card.backend],
        # What it learned from, which of a model from elsewhere nobody knows by the name that the hub has for it.
        **({"datasets": [facts.params.dataset]} if card.cohort else {}),
    }
    rows = [row for row in facts.history if row.model == card.name and row.stage == "next" and row.dice is not None]
    measured = [
        "",
        f"## Measured in round {facts.params.round}",
        "",
        "| set | mean Dice (interval) | cases | classes |",
    ]
    measured += ["| --- | --- | --- | --- |"]
    measured += [
        f"| {row.set} | {row.dice:.3f} ({row.low:.3f} to {row.high:.3f}) | {row.n} | {', '.join(row.classes)} |"
        for row in rows
    ]
    page = card_page(card, facts.withdrawn.get(card.id, ""))
    text = page + ("\n".join([*measured, ""]) if rows else "\nIt was not measured on test cases.\n")
    return f"---\n{to_yaml(header)}---\n\n{text}"
