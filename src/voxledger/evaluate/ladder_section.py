"""The section of the round's report on what heads, decoders and adapters of revised classes reached, and took."""

from __future__ import annotations

from collections.abc import Iterable

from voxledger.evaluate.report import number
from voxledger.html import table
from voxledger.records.card import ModelCard
from voxledger.records.ladder import Ladder


def ladder_section(cards: Iterable[ModelCard], round_number: int) -> str:
    """HTML of every model of a round that learned revised classes alone; empty where there is none.

    Parameters
    ----------
    cards
        Of the next models; one that goes on from an earlier round tells nothing new.
    """
    shown = [(card.name, card.ladder) for card in cards if card.ladder is not None and card.round == round_number]
    if not shown:
        return ""
    text = [
        "<h2>What was learned of revised classes</h2>",
        "<p>The network stays as it was, and all that it says of other classes. Voxels are those that weights were "
        "trained on, iteration by iteration, and those that the network ran over once.</p>",
    ]
    for name, ladder in shown:
        text += [f"<h3>{name}</h3>", _table(ladder), f"<p>{_choice(ladder)}</p>"]
    return "\n".join(text) + "\n"


def _table(ladder: Ladder) -> str:
    rows = [
        [
            rung.name,
            f"{rung.voxels / 1e6:.1f}",
            class_name,
            number(rung.dice[class_name]) if class_name in rung.dice else "–",
            number(ladder.wanted[class_name]) if class_name in ladder.wanted else "–",
            "yes" if ladder.kept[class_name] == rung.name else "",
        ]
        for rung in ladder.rungs
        for class_name in rung.classes
    ]
    return table(["step", "million voxels", "class", "Dice, held out", "full training reached last", "kept"], rows)


def _choice(ladder: Ladder) -> str:
    if ladder.margin is None:
        return "Steps were not chosen by what came of them (<code>retrain.continual</code>), and nothing was held out."
    return (
        f"A class takes the next step where it stays more than {ladder.margin:g} below what full training reached last "
        "on the same cases: in that class, or, if the network was never taught it, on average. The best step is kept."
    )
