"""The card of a model as a page for people."""

from __future__ import annotations

from voxledger.records.card import PREDICTIONS, ModelCard
from voxledger.records.ladder import Ladder

_NO_WEIGHTS = "Of this model there are predictions alone, no weights: the id is what its owner calls it."


def card_page(card: ModelCard, withdrawn: str = "") -> str:
    """The page, in Markdown: what the model is, what it learned from, its licence, and where it came from.

    Parameters
    ----------
    card
        Of any model; what it does not say is left out.
    withdrawn
        What there is to say of patients whom the model learned from, and who were withdrawn since.
    """
    rows = {
        "id": card.id,
        "backend": card.backend,
        "architecture": card.architecture,
        "licence": card.licence,
        "strategy": card.strategy,
        "round": str(card.round),
        "cohort": card.cohort,
        "parent": card.parent,
    }
    if region := card.params.get("region"):
        around = f"the {region['inside']} and {region['margin_mm']:g} mm around it on every side"
        rows["looks at"] = f"the box around {around}: it predicts images that are cropped to that"
    if PREDICTIONS in card.params:
        rows |= {"cases predicted": str(card.params["cases"]), "classes": ", ".join(card.params.get("classes", ()))}
    if card.source is not None:
        rows |= {
            "source": f"{card.source.name} {card.source.version}".strip(),
            "trained elsewhere on": card.source.training_set or "not said",
        }
    learned = ((name, [f"{n} by {who}" for who, n in by.items() if n]) for name, by in card.taught_by.items())
    if taught := "; ".join(f"{name}: {', '.join(cases)}" for name, cases in learned if cases):
        rows["cases that taught"] = taught
    if withdrawn:
        rows["withdrawn since"] = withdrawn
    if card.ladder is not None:
        rows["steps for revised classes"] = _climbed(card.ladder)
    lines = [f"# {card.name}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows.items() if value]
    lines += ["", _NO_WEIGHTS if PREDICTIONS in card.params else "Weights are checked by the id, their SHA-256.", ""]
    if card.source is not None:
        lines += ["| its class | class here |", "| --- | --- |"]
        lines += [f"| {theirs} | {ours} |" for theirs, ours in card.source.classes.items()]
        lines.append("")
    return "\n".join(lines)


def _climbed(ladder: Ladder) -> str:
    """What was tried for revised classes, what it took, and what is kept.

    Examples
    --------
    >>> from voxledger.records.ladder import Rung
    >>> rungs = Rung(name="heads", voxels=8_000_000, classes=("aorta",), dice={"aorta": 0.9}),
    >>> _climbed(Ladder(rungs=rungs, kept={"aorta": "heads"}, wanted={"aorta": 0.91}, margin=0.02))
    'heads (8.0 million voxels): aorta 0.900; kept: aorta heads; full training reached last: aorta 0.910'
    """

    def listed(dice: dict[str, float]) -> str:
        return ", ".join(f"{name} {value:.3f}" for name, value in dice.items())

    steps = [
        f"{rung.name} ({rung.voxels / 1e6:.1f} million voxels): {listed(rung.dice) or ', '.join(rung.classes)}"
        for rung in ladder.rungs
    ]
    kept = "kept: " + ", ".join(f"{name} {rung}" for name, rung in ladder.kept.items())
    return "; ".join(
        [*steps, kept, *([f"full training reached last: {listed(ladder.wanted)}"] if ladder.wanted else [])]
    )
