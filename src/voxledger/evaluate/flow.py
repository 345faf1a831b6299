"""What became of labels that were rejected: predicted again by the next models, and decided on again.

The flow over rounds of the pipeline of Tartu (Interactive AI for Efficient Annotation): accepted, revised and rejected
a round, and where the rejected went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxledger.evaluate.charts import svg
from voxledger.html import image, table
from voxledger.records.decisions import Decision
from voxledger.records.readings import Reading, settled
from voxledger.schema import LabelSchema

SAID = {Decision.ACCEPT: "accepted", Decision.REVISE: "revised", Decision.REJECT: "rejected"}
OPEN = "open"
"""What nobody has decided on since."""
COLORS = {"accepted": "#2a9d8f", "revised": "#e9c46a", "rejected": "#d1495b", OPEN: "#c8c8c8"}

Flow = dict[int, dict[str, dict[str, int]]]
"""By round: `said` counts what was decided of masks, `again` what was decided next of those that were rejected."""


def flow(readings: Sequence[Reading], schema: LabelSchema) -> Flow:
    """Count what was decided in every round, and what became of the rejected afterwards.

    Parameters
    ----------
    readings
        Of all rounds so far. A class and case that was not settled in a round is none of that round.
    schema
        Knows what classes were called before; those that are retired are left out.
    """
    found: Flow = {}
    rejected_in: dict[tuple[str, str], int] = {}
    for one in settled(readings):
        name = schema.renamed(one.class_name)
        if name is None:
            continue
        of_round = found.setdefault(
            one.version, {"said": dict.fromkeys(SAID.values(), 0), "again": dict.fromkeys([*SAID.values(), OPEN], 0)}
        )
        word, earlier = SAID[one.decision], rejected_in.pop((one.case_id, name), None)
        of_round["said"][word] += 1
        if earlier is not None:
            found[earlier]["again"][word] += 1
        if one.decision is Decision.REJECT:
            rejected_in[one.case_id, name] = one.version
    for number in rejected_in.values():
        found[number]["again"][OPEN] += 1
    return found


def flow_section(found: Flow) -> str:
    """HTML of the flow; empty where nothing was ever rejected."""
    if not any(of_round["said"]["rejected"] for of_round in found.values()):
        return ""
    rows = [
        [str(number), *map(str, of_round["said"].values()), *_again(of_round)] for number, of_round in found.items()
    ]
    head = [
        "Round",
        *(word.capitalize() for word in SAID.values()),
        *(f"then {word}" for word in [*SAID.values(), OPEN]),
    ]
    return "\n".join(
        [
            "<h2>What became of the rejected</h2>",
            "<p>Masks by what was decided of them, and, of those that were rejected, what was decided when the next "
            "models had predicted them again. Open: nobody has decided on them since.</p>",
            f"<figure>{image(flow_chart(found), 'decisions by round, and what became of the rejected', 'svg+xml')}",
            "<figcaption>Of each round: what was decided; below it, narrower, the rejected by what came next."
            "</figcaption></figure>",
            table(head, rows),
            "",
        ]
    )


def _again(of_round: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [str(n) if of_round["said"]["rejected"] else "" for n in of_round["again"].values()]


def flow_chart(found: Flow) -> bytes:
    """Bars of masks by decision, a round below the other; under each the rejected by what came next, as SVG."""
    rounds = list(found)

    def draw(axes: Any) -> None:
        for place, number in enumerate(rounds):
            for kind, height, offset in (("said", 0.4, 0.0), ("again", 0.18, 0.34)):
                left = _before_rejected(found[number]["said"]) if kind == "again" else 0
                for word, count in found[number][kind].items():
                    axes.barh(place + offset, count, height, left=left, color=COLORS[word])
                    left += count
        for word, color in COLORS.items():
            axes.barh(0, 0, color=color, label=word)
        axes.set_yticks(range(len(rounds)), [f"round {number}" for number in rounds])
        axes.set_ylim(len(rounds) - 0.3, -0.5)
        axes.set_xlabel("masks")
        axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)

    return svg(draw, (5.6, 1.1 + 0.55 * len(rounds)))


def _before_rejected(said: Mapping[str, int]) -> int:
    """Where the bar of the rejected begins."""
    return sum(said.values()) - said[SAID[Decision.REJECT]]
