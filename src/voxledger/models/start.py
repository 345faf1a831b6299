"""Where a training starts: what strategies get and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxledger.casemap.job import content, place
from voxledger.models.dataset import CLASS_MAP, UNTAUGHT, outputs, untaught
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
        """`dataset.json` of the parent with today's names of its classes; None where there is no parent."""
        if self.parent is None:
            return None
        dataset, schema = read_json(self.parent.folder / DATASET), self.parent.schema
        called = {name: dataset.get(CLASS_MAP, {}).get(name, name) for name in outputs(dataset)}
        return {
            **dataset,
            CLASS_MAP: {name: schema.renamed(ours) or ours for name, ours in called.items()},
            UNTAUGHT: sorted(schema.renamed(name) or name for name in untaught(dataset)),
        }
