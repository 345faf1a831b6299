"""Where a training starts: what strategies get and give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger.engine.card import DATASET, ModelCard
from voxledger.engine.dataset import channels
from voxledger.records import read_json


@dataclass(frozen=True)
class Base:
    """The base model of the name that is to be trained, its files checked."""

    folder: Path
    card: ModelCard

    @property
    def classes(self) -> list[str]:
        """Classes it knows, in the order of its output channels."""
        return list(channels(read_json(self.folder / DATASET)))


@dataclass(frozen=True)
class Start:
    """Where training starts, and how many iterations it takes."""

    strategy: str
    """The strategy that is really followed; it goes into the model's card."""
    iterations: int
    parent: Base | None = None
    """Model whose plans and weights are taken over; None starts from nothing."""
    note: str = ""
    """Why another strategy is followed than was asked for."""

    @property
    def dataset(self) -> dict[str, Any] | None:
        """`dataset.json` of the parent; None where training starts from nothing."""
        return read_json(self.parent.folder / DATASET) if self.parent else None
