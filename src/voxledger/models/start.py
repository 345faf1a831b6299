"""Where a training starts: what strategies get and give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from voxledger.casemap.job import content, place
from voxledger.models.dataset import (
    BRANCHES,
    CLASS_MAP,
    HEADS,
    UNTAUGHT,
    Branch,
    branches,
    describe_branch,
    heads,
    outputs,
    untaught,
)
from voxledger.models.model import Model
from voxledger.records.card import DATASET
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json

LATER_RATE = 0.3
"""Of the learning rate: with which a network that knows something already goes on."""


@dataclass(frozen=True)
class Phase:
    """Iterations in a row over which the learning rate rises and falls once."""

    iterations: int
    rate: float = 1.0
    """Share of the learning rate of the model."""
    outputs_only: bool = False
    """Whether only the layers learn whose size depends on the classes; the others stay, statistics included."""


@dataclass(frozen=True)
class Start:
    """Where training starts, and how many iterations it takes."""

    strategy: str
    """The strategy that is really followed; it goes into the model's card."""
    iterations: int
    """0 where nothing is trained: the parent goes on as it is."""
    parent: Model | None = content(by=lambda parent: parent and parent.card.id, default=None)
    """Model whose plans and weights are taken over; None starts from nothing."""
    note: str = place(default="")
    """Why another strategy is followed than was asked for."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The iterations in parts, in their order."""
        return (Phase(self.iterations),)

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
            HEADS: {schema.renamed(name) or name: list(found) for name, found in heads(dataset).items()},
            BRANCHES: [describe_branch(_renamed(one, schema)) for one in branches(dataset)],
        }


def _renamed(branch: Branch, schema: LabelSchema) -> Branch:
    """A branch with today's names of its classes."""
    channels = {schema.renamed(name) or name: found for name, found in branch.channels.items()}
    return replace(branch, classes=tuple(schema.renamed(n) or n for n in branch.classes), channels=channels)


@dataclass(frozen=True)
class PretrainedStart(Start):
    """Training begins with the weights of a model of another name, that of `retrain.models.N.start`."""

    outputs_first: int = 0
    """Iterations in which the outputs of new classes learn before the rest."""
    cases: tuple[str, ...] = place(default=())
    """Ids of the cases to learn from; they are the cases of the training."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """New outputs on the network as it is, then all at a lower rate."""
        first, rest = self.outputs_first, Phase(self.iterations - self.outputs_first, LATER_RATE)
        return (Phase(first, outputs_only=True), rest) if first else (rest,)


@dataclass(frozen=True)
class Lesson:
    """What the head of one class learns from: ids of cases."""

    class_name: str
    people: tuple[str, ...]
    """Of which people stand behind its mask."""
    model: tuple[str, ...]
    """Of which the mask is that of the models."""
    embedding: tuple[float, ...] = ()
    """Vector of the class that a new head is conditioned on, if any."""
    held_out: tuple[str, ...] = ()
    """Of which people stand behind its mask, and by which the class is judged: no case of their patients is above."""


@dataclass(frozen=True)
class HeadStart(Start):
    """Only heads of some classes are trained, on the features of the parent, which stays as it is."""

    lessons: tuple[Lesson, ...] = ()
    room: int = 0
    """Bytes of disk for the features of all cases."""
    rungs: tuple[str, ...] = ("heads",)
    """What is tried, in this order: `heads`, `decoder`, `adapters`."""
    margin: float | None = None
    """How far below the Dice that full training reached last a class may stay without the next of these, by the cases
    that its lesson holds out; None tries all and keeps the last."""
    grown: int = 0
    """Iterations of a decoder, or of adapters."""
