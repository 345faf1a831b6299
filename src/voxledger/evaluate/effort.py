"""What the round cost: minutes of readers, against labelling the same cases from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.ledger import Ledger, Origin
from voxledger.records import read_text_if_there, restoring, table

COLUMNS = [
    "case_id",
    "class_name",
    "decision",
    "reviewer",
    "minutes",
    "error_type",
    "comment",
    "bundle",
    "changed_voxels",
]


@dataclass(frozen=True)
class Decision:
    """What a reviewer decided on one class of one case; minutes add up over the classes of a case."""

    case_id: str
    class_name: str
    decision: str
    reviewer: str
    minutes: float
    error_type: str


@dataclass(frozen=True)
class Effort:
    """Cost and state of the round's end."""

    cases_reviewed: int
    """Cases that reviewers decided on in this round."""
    minutes: float
    """Reader minutes of this round."""
    minutes_total: float
    """Reader minutes of this and all earlier rounds."""
    cases_trusted_by_review: int
    """Cases all of whose classes are trusted, at least one of them by review, in any round."""
    scratch_minutes_total: float
    """Minutes to label those cases from nothing."""
    share_labelled: float
    """Share of the pool's cases all of whose classes are trusted."""


def read_decisions(path: Path | str) -> list[Decision]:
    """Read `decisions.csv`; a file that is not there, or holds its header alone, is no decision."""
    text = read_text_if_there(path)
    if text is None:
        return []
    with table(text, path) as rows:
        if rows.fieldnames != COLUMNS:
            raise VoxledgerError(
                f"{path} is not a table of decisions: its columns are {rows.fieldnames}", restoring(path)
            )
        return [
            Decision(
                row["case_id"],
                row["class_name"],
                row["decision"],
                row["reviewer"],
                float(row["minutes"] or 0),
                row["error_type"],
            )
            for row in rows
        ]


def effort(
    decisions: Sequence[Decision],
    ledger: Ledger,
    pool: Sequence[str],
    minutes_before: float,
    scratch_minutes: float,
) -> Effort:
    """Add up what a round cost.

    Parameters
    ----------
    ledger
        The ledger after the round. A case is labelled when it has rows and a person stands behind each of them.
    pool
        Ids of the pool's cases.
    minutes_before
        Reader minutes of all earlier rounds.
    scratch_minutes
        Minutes to label one case from nothing.
    """
    origins: dict[str, list[Origin]] = {}
    for entry in ledger.values():
        origins.setdefault(entry.case_id, []).append(entry.origin)
    labelled = {case for case, found in origins.items() if all(o.trusted for o in found)}
    reviewed = sum(1 for case in labelled if {Origin.ACCEPTED, Origin.REVISED} & set(origins[case]))
    minutes = sum(d.minutes for d in decisions)
    return Effort(
        cases_reviewed=len({d.case_id for d in decisions}),
        minutes=minutes,
        minutes_total=minutes_before + minutes,
        cases_trusted_by_review=reviewed,
        scratch_minutes_total=scratch_minutes * reviewed,
        share_labelled=len(labelled & set(pool)) / len(pool) if pool else 0.0,
    )
