"""The worklist: which cases and classes people decide on in this round, in which order, and who does what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.params import ScoreParams
from voxledger.records.cases import Case
from voxledger.registry import ACQUISITION
from voxledger.score.acquire import Acquisition
from voxledger.score.chance import draw, shuffled
from voxledger.score.likely_error import Experience, likely_error
from voxledger.score.table import CaseScore, ClassScore
from voxledger.textfile import read_text, table, write_table

AUDIT = "audit"
"""Reason of cases that were drawn blindly from those that were not chosen. Reviewers must not be able to tell."""


@dataclass(frozen=True)
class Row:
    """One class of one case that a reviewer decides on."""

    rank: int
    """Position of the case, from 1."""
    case_id: str
    class_name: str
    attention_ml: float
    priority: float
    """Attention of all untrusted classes of the case, in ml."""
    reason: str
    """Why the case is on the worklist: the acquisition function that chose it, or `AUDIT`."""
    reviewer: str
    expected_minutes: float


COLUMNS = [f.name for f in fields(Row)]


def expected_minutes(score: ClassScore, classes: int, params: ScoreParams) -> float:
    """Minutes for one class: its share of a case, to correct it if a model predicted it, else to draw it."""
    return (params.revise_minutes if score.models else params.scratch_minutes) / classes


def choose(
    cases: Sequence[CaseScore],
    classes: int,
    params: ScoreParams,
    seed: str,
    known: Experience,
    reason: str | None = None,
) -> dict[str, str]:
    """Choose the cases of a round by the acquisition function, and the audit sample; case ids in working order.

    Parameters
    ----------
    cases
        All cases of the pool that have a class nobody stands behind.
    classes
        Number of classes of the schema.
    seed
        Seed of chance; includes the round, so that rounds differ.
    known
        What kinds of errors earlier rounds had, for `most_alike`.
    reason
        Acquisition function to use instead of the one in `params`.

    Notes
    -----
    Audit cases go to places drawn by chance, so that their position does not give them away.
    """
    reason = reason or params.acquisition
    if reason == AUDIT:
        raise Misuse(f"score.acquisition is {AUDIT}, the name of the blind draw", "choose another")
    function: Acquisition = ACQUISITION.get(reason)
    by_id = {c.case_id: c for c in cases}
    allowed = params.budget
    if params.budget_share is not None:
        allowed = min(allowed, round(params.budget_share * len(cases)))
    minutes = params.budget_minutes if params.budget_minutes is not None else float("inf")
    chosen: list[str] = []
    ordered = function.order(cases, f"{seed}/acquisition")
    if params.most_alike is not None:
        ordered = spread(ordered, lambda case_id: likely_error(by_id[case_id], known), params.most_alike)
    for case_id in ordered:
        cost = sum(expected_minutes(s, classes, params) for s in by_id[case_id].classes)
        if len(chosen) == allowed or cost > minutes + 1e-9:
            break
        minutes -= cost
        chosen.append(case_id)
    reasons = dict.fromkeys(chosen, reason)
    audit = shuffled(by_id.keys() - reasons.keys(), f"{seed}/audit")[: params.audit]
    working = list(chosen)
    for case_id in audit:
        working.insert(int(draw(case_id, f"{seed}/place") * (len(working) + 1)), case_id)
    return {case_id: reasons.get(case_id, AUDIT) for case_id in working}


def spread(ordered: Sequence[str], error: Callable[[str], tuple[str, str]], most_alike: int) -> list[str]:
    """The same cases, those beyond `most_alike` of one likely error moved behind all others."""
    seen: Counter[tuple[str, str]] = Counter()
    first: list[str] = []
    later: list[str] = []
    for case_id in ordered:
        likely = error(case_id)
        seen[likely] += 1
        (first if seen[likely] <= most_alike else later).append(case_id)
    return first + later


def worklist(
    cases: Sequence[CaseScore],
    chosen: dict[str, str],
    reviewers: Sequence[str],
    classes: int,
    params: ScoreParams,
) -> list[Row]:
    """Rows for all untrusted classes of the chosen cases, dealt out to reviewers.

    A case goes whole to the reviewer with the fewest expected minutes so far, so that shares differ by at most
    one case. Within a case, classes come by falling attention, then in the order of the schema.
    """
    by_id = {c.case_id: c for c in cases}
    load = dict.fromkeys(reviewers, 0.0)
    rows = []
    for rank, (case_id, reason) in enumerate(chosen.items(), start=1):
        case = by_id[case_id]
        reviewer = min(load, key=lambda name: round(load[name], 6))
        for score in sorted(case.classes, key=lambda s: -s.attention_ml):
            minutes = expected_minutes(score, classes, params)
            load[reviewer] += minutes
            rows.append(
                Row(rank, case_id, score.class_name, score.attention_ml, case.attention_ml, reason, reviewer, minutes)
            )
    return rows


def write_worklist(path: Path | str, rows: Iterable[Row]) -> None:
    """Write the worklist in the order given."""
    write_table(path, COLUMNS, map(_to_row, rows))


def _to_row(row: Row) -> dict[str, Any]:
    values = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()}
    return {**values, "expected_minutes": f"{row.expected_minutes:.2f}"}


def read_worklist(path: Path | str) -> list[Row]:
    """Read a worklist."""
    with table(read_text(path), path, COLUMNS) as rows:
        return [
            Row(
                int(row["rank"]),
                row["case_id"],
                row["class_name"],
                float(row["attention_ml"]),
                float(row["priority"]),
                row["reason"],
                row["reviewer"],
                float(row["expected_minutes"]),
            )
            for row in rows
        ]


def on_worklist(cases: Sequence[Case], path: Path | str = layout.WORKLIST) -> list[Case]:
    """The cases that the worklist names."""
    named = {row.case_id for row in read_worklist(path)}
    return [case for case in cases if case.case_id in named]
