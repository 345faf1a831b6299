"""The decision log `filter.csv`: one row for every component that a rule looked at or that went with one around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.filter.proposal import Outcome
from voxledger.textfile import read_text, restoring, table, write_table


@dataclass(frozen=True)
class Decision:
    """One row: what a rule measured on a component, its bound, and what followed."""

    case_id: str
    class_name: str
    rule: str
    component: int
    """Number in its class and case, from 1 in the order of the first voxel; holes are numbered apart."""
    voxels: int
    ml: float
    peak_p: float
    mean_hu: float
    measured: float
    bound: str
    outcome: Outcome


COLUMNS = [f.name for f in fields(Decision)]


def write_decisions(path: Path | str, decisions: Iterable[Decision]) -> None:
    """Write the log in the order given: by case, then as the rules ran."""
    write_table(path, COLUMNS, map(to_row, decisions))


def read_decisions(path: Path | str) -> list[Decision]:
    """Read the log."""
    with table(read_text(path), path) as rows:
        if rows.fieldnames != COLUMNS:
            raise VoxledgerError(f"{path} is not a decision log: its columns are {rows.fieldnames}", restoring(path))
        return [from_row(row) for row in rows]


def to_row(decision: Decision) -> dict[str, Any]:
    """A decision as text, numbers with a fixed number of digits."""
    return {
        **vars(decision),
        "ml": f"{decision.ml:.4f}",
        "peak_p": f"{decision.peak_p:.4f}",
        "mean_hu": f"{decision.mean_hu:.1f}",
        "measured": f"{decision.measured:.4f}",
        "outcome": decision.outcome.value,
    }


def from_row(row: dict[str, str]) -> Decision:
    """A decision from its text."""
    return Decision(
        row["case_id"],
        row["class_name"],
        row["rule"],
        int(row["component"]),
        int(row["voxels"]),
        float(row["ml"]),
        float(row["peak_p"]),
        float(row["mean_hu"]),
        float(row["measured"]),
        row["bound"],
        Outcome(row["outcome"]),
    )


@dataclass(frozen=True)
class Tally:
    """What one rule did to one class over all cases."""

    rule: str
    class_name: str
    cases: int
    components: int
    changed: int
    """Components that were not kept as they were."""
    changed_ml: float


def tally(decisions: Iterable[Decision]) -> list[Tally]:
    """Sums by rule and class, both in the order in which they first appear."""
    groups: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        groups.setdefault((decision.rule, decision.class_name), []).append(decision)
    rules, names = (list(dict.fromkeys(key[part] for key in groups)) for part in (0, 1))
    found = []
    for rule, name in sorted(groups, key=lambda key: (rules.index(key[0]), names.index(key[1]))):
        members = groups[rule, name]
        changed = [d for d in members if d.outcome is not Outcome.KEPT]
        cases = len({d.case_id for d in members})
        found.append(Tally(rule, name, cases, len(members), len(changed), sum(d.ml for d in changed)))
    return found
