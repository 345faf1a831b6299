"""The cases that reviewers decided on in this round: what they were shown, and what it became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.layout import label_map
from voxledger.records.bundle import LABELS
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.decisions import Decision, parse_decided
from voxledger.textfile import read_text


@dataclass(frozen=True)
class Reviewed:
    """One case of the pool with its decisions by class, all but those that reject."""

    case_id: str
    source: str
    decisions: Mapping[str, Decision]
    before: Path
    """The label in the bundle."""
    after: Path
    """The label in the release."""
    predictions: dict[str, Path]
    """Soft predictions by model name."""


def decided_by_case(path: Path) -> dict[str, dict[str, Decision]]:
    """Decisions of the round by case and class."""
    decided: dict[str, dict[str, Decision]] = {}
    for row in parse_decided(read_text(path), path):
        decided.setdefault(row.case_id, {})[row.class_name] = row.decision
    return decided


def reviewed(cases: Sequence[Case]) -> list[Reviewed]:
    """Cases of the pool with an accepted or revised class. Other splits are never looked at."""
    decided = decided_by_case(layout.DECISIONS)
    found = []
    for case in in_split(cases, Split.POOL):
        judged = {n: d for n, d in decided.get(case.case_id, {}).items() if d is not Decision.REJECT}
        shown = next(iter(sorted(layout.BUNDLES.glob(f"bundle-*/{label_map(Path(LABELS), case.case_id)}"))), None)
        after = label_map(layout.RELEASE_LABELS, case.case_id)
        if judged and shown is not None and after.is_file():
            models = {p.parent.name: p for p in sorted(layout.PREDICTIONS.glob(f"*/{case.case_id}.b2nd"))}
            found.append(Reviewed(case.case_id, case.source, judged, shown, after, models))
    return found
