"""What the masks of a round were predicted from, weak labels, organ models or whole images, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from voxledger import layout
from voxledger.evaluate.charts import svg
from voxledger.evaluate.flow import COLORS, OPEN, SAID
from voxledger.html import image, table
from voxledger.knowledge import trusted
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.ledger import Ledger, WeakMark
from voxledger.records.predicted import Predicted, ensembles
from voxledger.records.readings import Reading, settled
from voxledger.weak.decisions import WeakDecision

Key = tuple[str, str]
"""Case and class."""
ORGAN, NEITHER = "organ model", "whole image"
SEVERAL = "weak labels of several kinds"

Counts = dict[str, dict[str, int]]
"""By what masks came from: how many there are (`masks`), how many do not fit their weak label (`disagree`), and what
was said of them: `accepted`, `revised`, `rejected`, or nothing yet (`open`)."""


def origins(
    cases: Sequence[Case], rows: Sequence[Predicted], regional: Collection[str], ledger: Ledger
) -> dict[Key, str]:
    """What every mask of the pool was predicted from, of classes that nobody stood behind before the round.

    Parameters
    ----------
    rows
        Who predicted what.
    regional
        Ids of the models that look at one organ.
    ledger
        That of the base labels.
    """
    pool = {case.case_id for case in in_split(cases, Split.POOL)}
    found = {}
    for case_id, ensemble in ensembles(rows).items():
        for name, ids in ensemble.by_class.items():
            if case_id not in pool or trusted(ledger, case_id, name):
                continue
            kinds = {f"{m.kind} ({m.source})" for m in map(WeakMark.parse, ensemble.weak.get(name, ()))}
            if kinds:
                found[case_id, name] = kinds.pop() if len(kinds) == 1 else SEVERAL
            else:
                found[case_id, name] = ORGAN if set(ids) <= set(regional) else NEITHER
    return found


def fates(of: Mapping[Key, str], weak: Sequence[WeakDecision], readings: Sequence[Reading]) -> Counts:
    """Masks by what they were predicted from, and what was said of them.

    Parameters
    ----------
    readings
        Those of the round.
    """
    unfit = {(one.case_id, one.class_name) for one in weak if not one.agrees}
    said = {(one.case_id, one.class_name): SAID[one.decision] for one in settled(readings)}
    found: Counts = {}
    last = [SEVERAL, ORGAN, NEITHER]
    for name in [*sorted(set(of.values()) - set(last)), *(name for name in last if name in of.values())]:
        keys = [key for key, origin in of.items() if origin == name]
        words = [said.get(key, OPEN) for key in keys]
        counted = {word: words.count(word) for word in [*SAID.values(), OPEN]}
        found[name] = {"masks": len(keys), "disagree": sum(key in unfit for key in keys), **counted}
    return found


def by_fit(of: Mapping[Key, str], weak: Sequence[WeakDecision], readings: Sequence[Reading]) -> Counts:
    """The same of masks from weak labels, by whether they fit those."""
    unfit = {(one.case_id, one.class_name) for one in weak if not one.agrees}
    marked = {(one.case_id, one.class_name) for one in weak}
    told = {key: "weak label disagrees" if key in unfit else "weak label agrees" for key in of if key in marked}
    return fates(told, weak, readings)


def weak_section(found: Counts, fit: Counts) -> str:
    """HTML of both; empty where no mask came from a weak label."""
    if not fit:
        return ""
    words = [*SAID.values(), OPEN]

    def rows(counts: Counts) -> list[list[str]]:
        return [[name, *(str(of[word]) for word in ("masks", "disagree", *words))] for name, of in counts.items()]

    head = ["masks", "weak label disagrees", *words]
    return "\n".join(
        [
            "<h2>Masks from weak labels</h2>",
            f"<p>Of {_masks(found)} masks of the pool that were predicted in this round and that nobody stood behind "
            f"before, {_masks(fit)} were predicted from a weak label, {_masks(found, ORGAN)} by models of their organ "
            f"alone, and {_masks(found, NEITHER)} from the whole image. Open: nobody "
            "decided on them in this round.</p>",
            f"<figure>{image(fates_chart(found), 'decisions by what masks were predicted from', 'svg+xml')}",
            "<figcaption>What was decided, by what masks were predicted from.</figcaption></figure>",
            table(["Predicted from", *head], rows(found)),
            f"<p>The same masks by whether the checks of <code>{layout.WEAK_LOG}</code> found them to fit what was "
            "given.</p>",
            table(["Checks", *head], rows(fit)),
            "",
        ]
    )


def _masks(counts: Counts, *names: str) -> int:
    return sum(of["masks"] for name, of in counts.items() if not names or name in names)


def fates_chart(found: Counts) -> bytes:
    """Bars of masks by decision, one for each that they were predicted from, as SVG."""
    names = list(found)

    def draw(axes: Any) -> None:
        for place, name in enumerate(names):
            left = 0
            for word, color in COLORS.items():
                axes.barh(place, found[name][word], 0.6, left=left, color=color, label=word if place == 0 else None)
                left += found[name][word]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("masks")
        axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)

    return svg(draw, (5.6, 1.1 + 0.4 * len(names)))
