"""The cases that reviewers decided on in this round: what they were shown, and what it became."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger.records.cases import Case, Split, in_split
from voxledger.textfile import read_text, table


@dataclass(frozen=True)
class Reviewed:
    """One case of the pool with its decisions by class, `accept` or `revise`."""

    case_id: str
    source: str
    decisions: dict[str, str]
    before: Path
    """The label in the bundle."""
    after: Path
    """The label in the release."""
    predictions: dict[str, Path]
    """Soft predictions by model name."""


def read_decided(path: Path) -> dict[str, dict[str, str]]:
    """Decisions of the round by case and class."""
    decided: dict[str, dict[str, str]] = {}
    with table(read_text(path), path, ("case_id", "class_name", "decision")) as rows:
        for row in rows:
            decided.setdefault(row["case_id"], {})[row["class_name"]] = row["decision"]
    return decided


def reviewed(cases: Sequence[Case], round_folder: Path, release: Path) -> list[Reviewed]:
    """Cases of the pool with an accepted or revised class. Other splits are never looked at."""
    decided = read_decided(round_folder / "decisions.csv")
    found = []
    for case in in_split(cases, Split.POOL):
        judged = {n: d for n, d in decided.get(case.case_id, {}).items() if d in ("accept", "revise")}
        shown = next(iter(sorted(round_folder.glob(f"bundles/bundle-*/labels/{case.case_id}.nii.gz"))), None)
        after = release / f"labels/{case.case_id}.nii.gz"
        if judged and shown is not None and after.is_file():
            models = {p.parent.name: p for p in sorted(round_folder.glob(f"predictions/*/{case.case_id}.b2nd"))}
            found.append(Reviewed(case.case_id, case.source, judged, shown, after, models))
    return found
