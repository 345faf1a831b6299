"""Reading the worklist: which classes of which cases go to whom."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from voxledger.errors import VoxledgerError


@dataclass(frozen=True)
class Item:
    """One class of one case, and who reviews it. Why it was chosen is not for the reviewer to know."""

    case_id: str
    class_name: str
    reviewer: str


def read_worklist(path: Path) -> list[Item]:
    """Read `data/round/worklist.csv`, in its order of priority."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return [Item(row["case_id"], row["class_name"], row["reviewer"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError) as error:
        raise VoxledgerError(f"{path} is not a worklist: {error}", "run `dvc repro score`") from None
