"""What fine-tuning from another model gained on the new cases, and lost where that model was at home."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.report import interval, number, signed
from voxledger.evaluate.summary import Gain, Row, gains
from voxledger.html import table
from voxledger.models.cohort import Member
from voxledger.models.home import home_sources, learned_from
from voxledger.models.model import Model
from voxledger.records.card import ModelCard
from voxledger.records.cases import Case

HOME, TARGET, BOTH, OTHER = "home", "target", "home and target", "neither"


@dataclass(frozen=True)
class Transfer:
    """One model that started from another."""

    model: str
    start: str
    home: tuple[str, ...]
    """Sources that the other had learned from, as far as it is known."""
    target: tuple[str, ...]
    """Sources of the other cases that it was fine-tuned on."""
    gains: dict[str, Gain]
    """Of test and external cases, by their source; from the model that it started from."""

    def kind(self, source: str) -> str:
        """What cases of a source are to it."""
        if source in self.target:
            return BOTH if source in self.home else TARGET
        return HOME if source in self.home else OTHER


def transfers(
    rows: Sequence[Row],
    base: Sequence[Model],
    after: Sequence[ModelCard],
    cases: Mapping[str, Case],
    cohort: Sequence[Member],
    class_order: Sequence[str],
    samples: int,
    seed: int,
) -> list[Transfer]:
    """Compare every model of the round that started from a base model of another name with that.

    One that started there earlier, and goes on unchanged, tells nothing new.

    Parameters
    ----------
    rows
        Of all models, before and after the round.
    base, after
        The base models, and the cards of the next ones.
    cases
        Those that were judged, by id.
    cohort
        Cases that the next models could learn from.
    class_order, samples, seed
        As for `gains`.
    """
    patients = {case_id: case.patient for case_id, case in cases.items()}
    by_id, found = {model.card.id: model for model in base}, []
    for card in after:
        parent = by_id.get(card.parent)
        if parent is None or parent.card.name == card.name or card.id in by_id:
            continue
        wanted = {(Generation.BASE, parent.card.name), (Generation.NEXT, card.name)}
        mine = [
            replace(r, set_name=cases[r.case_id].source, model=card.name)
            for r in rows
            if (r.generation, r.model) in wanted
        ]
        gained = gains(mine, class_order, samples, seed, patients)
        target = tuple(sorted({member.case.source for member in cohort if not learned_from(parent, member)}))
        home = tuple(sorted(home_sources(parent, cohort)))
        by_source = {g.set_name: g for g in gained if g.pairs}
        found.append(Transfer(card.name, parent.card.name, home, target, by_source))
    return found


def transfer_section(found: Sequence[Transfer]) -> str:
    """HTML of what fine-tuning from other models brought; empty where there was none."""
    if not found:
        return ""
    text = [
        "<h2>Fine-tuned from another model</h2>",
        "<p>Dice on test and external cases by their source, of the model that training started from and of the one "
        "that came of it, over pairs of class and case in which both have a value. Intervals: bootstrap over patients, "
        "paired.</p>",
    ]
    head = ["Source", "is", "Pairs", "Cases", "Start", "Fine-tuned", "Difference", "95 % interval"]
    for one in found:
        text.append(f"<h3>{escape(one.model)} from {escape(one.start)}</h3>")
        if one.gains:
            order = sorted(one.gains, key=lambda source: (-[OTHER, HOME, BOTH, TARGET].index(one.kind(source)), source))
            text.append(table(head, [_row(one.kind(source), one.gains[source]) for source in order]))
        text += [f'<p class="note">{escape(said)}</p>' for said in not_known(one)]
    return "\n".join(text) + "\n"


def not_known(one: Transfer) -> list[str]:
    """What the comparison cannot say, for want of cases, and what helps."""
    said = []
    add = "`voxledger cases add FOLDER --labels FOLDER --split external --source"
    if not any(one.kind(source) in (TARGET, BOTH) for source in one.gains):
        where = ", ".join(one.target) or "the target"
        said.append(
            f"What was gained is not known: no test or external case with a label is of {where}. "
            f"{add} {one.target[0] if one.target else 'NAME'}` adds some."
        )
    if any(one.kind(source) in (HOME, BOTH) for source in one.gains):
        return said
    if not one.home:
        said.append(
            f"What was lost at home is not known: nothing here says what {one.start} was trained on. Of a model from "
            "elsewhere `voxledger models adopt --training-set NAME` does, by the source of such cases here."
        )
    else:
        said.append(
            f"What was lost at home is not known: no test or external case with a label is of {', '.join(one.home)}, "
            f"which {one.start} was trained on. {add} {one.home[0]}` adds some."
        )
    return said


def _row(kind: str, g: Gain) -> list[str]:
    bounds = interval(g.gain) if math.isfinite(g.gain.low) else "too few patients"
    values = number(g.base.mean), number(g.next.mean), signed(g.gain.mean), bounds
    return [g.set_name, kind, str(g.pairs), str(g.gain.n), *values]
