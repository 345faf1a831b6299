"""The score table: for every case and class, how much attention there is and why. One CSV row each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.records.mask_quality import Quality
from voxledger.textfile import read_text, restoring, table, write_table


@dataclass(frozen=True)
class ClassScore:
    """One class of one case. Volumes in ml, entropy in nats."""

    case_id: str
    class_name: str
    models: int
    """Models that know the class; 0 where nobody predicted it."""
    attention_ml: float
    inconsistent_ml: float
    uncertain_ml: float
    overlapping_ml: float
    predicted_ml: float
    """Volume that the mean of the models claims."""
    mean_entropy: float
    """Entropy of the class, mean over models and over all voxels of the case."""
    lowest_agreement: float
    """Smallest Dice between two models; 1 where there is one model, or none claims a voxel."""
    trusted: bool


@dataclass(frozen=True)
class CaseScore:
    """All classes of a case that nobody stands behind yet, in the order of the schema."""

    case_id: str
    classes: tuple[ClassScore, ...]
    features: tuple[float, ...] = ()
    """What the case looks like, for choosing a varied batch."""
    quality: Mapping[str, Quality] = field(default_factory=dict)
    """What is predicted of its masks, by class; without those of which nothing is."""
    minutes: Mapping[str, float] = field(default_factory=dict)
    """Minutes that these are expected to take."""

    @property
    def attention_ml(self) -> float:
        """Priority of the case: total attention of its untrusted classes."""
        return sum(c.attention_ml for c in self.classes)


COLUMNS = [f.name for f in fields(ClassScore)]
_DECIMALS = {"mean_entropy": 8}


def write_scores(path: Path | str, scores: Iterable[ClassScore]) -> None:
    """Write the score table in the order given."""
    write_table(path, COLUMNS, map(_to_row, scores))


def read_scores(path: Path | str) -> list[ClassScore]:
    """Read a score table."""
    with table(read_text(path), path) as rows:
        if rows.fieldnames != COLUMNS:
            raise VoxledgerError(f"{path} is not a score table: its columns are {rows.fieldnames}", restoring(path))
        return [
            ClassScore(
                row["case_id"],
                row["class_name"],
                int(row["models"]),
                float(row["attention_ml"]),
                float(row["inconsistent_ml"]),
                float(row["uncertain_ml"]),
                float(row["overlapping_ml"]),
                float(row["predicted_ml"]),
                float(row["mean_entropy"]),
                float(row["lowest_agreement"]),
                {"true": True, "false": False}[row["trusted"]],
            )
            for row in rows
        ]


def _to_row(score: ClassScore) -> dict[str, Any]:
    row = {k: f"{v:.{_DECIMALS.get(k, 4)}f}" if isinstance(v, float) else v for k, v in vars(score).items()}
    return {**row, "trusted": str(score.trusted).lower()}
