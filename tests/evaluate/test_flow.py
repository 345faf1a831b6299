"""What became of rejected masks over the rounds."""

from __future__ import annotations

from typing import Any

import pytest

from voxledger.evaluate.flow import flow, flow_section
from voxledger.records.decisions import Decision
from voxledger.records.readings import Outcome, Reading
from voxledger.schema import parse_schema

SCHEMA = parse_schema(
    """\
name: two
classes:
  - {id: 1, name: liver, formerly: [{name: hepar, round: 2, date: 2026-01-31}]}
  - {id: 2, name: tumour, inside: liver, lesion: true}
retired:
  - {id: 3, name: gone, round: 3, date: 2026-02-28, reason: not needed}
""",
    "labels.yaml",
)


def said(version: int, case: str, decision: str, name: str = "liver", outcome: str = "counted") -> Reading:
    return Reading(version, case, name, "ann", Decision(decision), None, "", "", "", "b" * 64, "", Outcome(outcome))


def counted(**numbers: int) -> dict[str, int]:
    return {"accepted": 0, "revised": 0, "rejected": 0, **numbers}


CASES: list[tuple[str, list[Reading], dict[int, Any]]] = [
    ("nothing", [], {}),
    ("open", [said(1, "a", "reject")], {1: (counted(rejected=1), counted(open=1))}),
    (
        "two rounds later, and under another name",
        [said(1, "a", "reject", "hepar"), said(2, "b", "accept"), said(3, "a", "revise")],
        {
            1: (counted(rejected=1), counted(revised=1, open=0)),
            2: (counted(accepted=1), counted(open=0)),
            3: (counted(revised=1), counted(open=0)),
        },
    ),
    (
        "rejected twice, then accepted",
        [said(3, "a", "accept"), said(1, "a", "reject"), said(2, "a", "reject")],
        {
            1: (counted(rejected=1), counted(rejected=1, open=0)),
            2: (counted(rejected=1), counted(accepted=1, open=0)),
            3: (counted(accepted=1), counted(open=0)),
        },
    ),
    (
        "another class, pending, retired",
        [
            said(1, "a", "reject"),
            said(2, "a", "accept", "tumour"),
            said(2, "a", "accept", outcome="pending"),
            said(2, "a", "accept", "gone"),
        ],
        {1: (counted(rejected=1), counted(open=1)), 2: (counted(accepted=1), counted(open=0))},
    ),
]


@pytest.mark.parametrize(("readings", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_flow(readings: list[Reading], expected: dict[int, Any]) -> None:
    assert flow(readings, SCHEMA) == {number: {"said": s, "again": a} for number, (s, a) in expected.items()}


def test_the_section_shows_every_round_and_is_silent_where_nothing_was_rejected() -> None:
    assert flow_section(flow([said(1, "a", "accept")], SCHEMA)) == ""
    text = flow_section(flow([said(1, "a", "reject"), said(1, "b", "accept"), said(2, "a", "accept")], SCHEMA))
    cells = [cell for cell in text.replace("</td>", "<td>").split("<td>") if cell.strip().isdigit()]
    assert cells == ["1", "1", "0", "1", "1", "0", "0", "0", "2", "1", "0", "0"]
    assert "image/svg+xml" in text
