"""The decision log `data/round/weak.csv`: one row for every check of a predicted object against its weak label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.textfile import fixed, read_text, restoring, table, write_table


@dataclass(frozen=True)
class WeakDecision:
    """One row: what a check measured on an object, its bounds, and whether that agrees with the weak label."""

    case_id: str
    class_name: str
    number: int
    """Of the object in its class and case, from 1 in the order of the weak labels."""
    kind: str
    """Of the weak label, such as `recist`."""
    source: str
    """What it came as, such as `deeplesion`."""
    sha256: str
    """Hash of what it says on the grid of the image."""
    model: str
    """Name of the model that predicted the object."""
    check: str
    measured: float
    bound: str
    agrees: bool


COLUMNS = [f.name for f in fields(WeakDecision)]


def write_weak_decisions(path: Path | str, decisions: Iterable[WeakDecision]) -> None:
    """Write the log in the order given."""
    write_table(path, COLUMNS, map(_to_row, decisions))


def read_weak_decisions(path: Path | str) -> list[WeakDecision]:
    """Read the log."""
    with table(read_text(path), path) as rows:
        if rows.fieldnames != COLUMNS:
            raise VoxledgerError(f"{path} is no log of weak labels: its columns are {rows.fieldnames}", restoring(path))
        return [
            WeakDecision(
                row["case_id"],
                row["class_name"],
                int(row["number"]),
                row["kind"],
                row["source"],
                row["sha256"],
                row["model"],
                row["check"],
                float(row["measured"]),
                row["bound"],
                {"true": True, "false": False}[row["agrees"]],
            )
            for row in rows
        ]


def _to_row(decision: WeakDecision) -> dict[str, Any]:
    return {**vars(decision), "measured": fixed(decision.measured, 4), "agrees": str(decision.agrees).lower()}
