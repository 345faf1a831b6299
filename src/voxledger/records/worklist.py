"""Reading the worklist: which classes of which cases go to whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxledger.textfile import read_text, table


@dataclass(frozen=True)
class Item:
    """One class of one case, and who reviews it. Why it was chosen is not for the reviewer to know."""

    case_id: str
    class_name: str
    reviewer: str


def read_worklist(path: Path) -> list[Item]:
    """Read `data/round/worklist.csv`, in its order of priority."""
    with table(read_text(path), path, ("case_id", "class_name", "reviewer")) as rows:
        return [Item(row["case_id"], row["class_name"], row["reviewer"]) for row in rows]
