"""Where a training starts: what strategies get and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxledger.casemap.job import content, place
from voxledger.models.dataset import UNTAUGHT, untaught
from voxledger.models.model import Model
from voxledger.records.card import DATASET
from voxledger.textfile import read_json


@dataclass(frozen=True)
class Start:
    """Where training starts, and how many iterations it takes."""

    strategy: str
    """The strategy that is really followed; it goes into the model's card."""
    iterations: int
    parent: Model | None = content(by=lambda parent: parent and parent.card.id, default=None)
    """Model whose plans and weights are taken over; None starts from nothing."""
    note: str = place(default="")
    """Why another strategy is followed than was asked for."""

    @property
    def dataset(self) -> dict[str, Any] | None:
        """`dataset.json` of the parent with today's names of what it was not taught; None where there is no parent."""
        if self.parent is None:
            return None
        dataset = read_json(self.parent.folder / DATASET)
        return {**dataset, UNTAUGHT: sorted(self.parent.schema.renamed(name) or name for name in untaught(dataset))}
