"""What a backend hands over: probabilities of its output channels, one at a time, on the grid of the image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError
from voxledger.schema import LabelSchema

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Channels:
    """Output channels of a network by class; `probability(channel)` computes one (z, y, x) when it is asked for."""

    of: dict[str, tuple[int, ...]]
    """Several where a network tells apart what is one class here: their sum is its probability."""
    probability: Callable[[int], Array]
    untaught: frozenset[str] = frozenset()
    """Classes with a channel that the network never saw a voxel of."""
    heads: Mapping[str, Callable[[], Array]] = field(default_factory=dict)
    """Classes with a head of their own, whose word on the class stands for that of the channels."""

    def classes(self, schema: LabelSchema) -> list[str]:
        """Classes of the schema that the network was taught, also under a former name, in the order of the schema.

        What lies in a class says where some of it is, not where all of it is: a network of lesions alone has no say
        in their organ.
        """
        return named_today((name for name in (*self.of, *self.heads) if self._knows(name)), schema)

    def by_class(self, schema: LabelSchema) -> Iterator[tuple[str, Array]]:
        """Probability of every class, the classes inside it included, one class in memory at a time.

        Raises
        ------
        VoxledgerError
            The network says what is no number: it would be taken for a class that is not there.
        """
        heads = {schema.renamed(name): head for name, head in self.heads.items()}
        for name in self.classes(schema):
            total = heads[name]() if name in heads else self._sum(inside(self.of, schema, name))
            if np.isnan(total.min()):
                raise VoxledgerError(
                    f"the network says of {name} what is no number (NaN)",
                    "its weights or its preparation of images are damaged: take the model out with `voxledger models "
                    "remove`, and train or adopt it again",
                )
            yield name, np.clip(total, 0, 1)

    def _knows(self, name: str) -> bool:
        return name in self.heads or name not in self.untaught

    def _sum(self, channels: Iterable[int]) -> Array:
        first, *others = channels
        total = self.probability(first)
        for channel in others:
            total = total + self.probability(channel)
        return total


def inside(of: Mapping[str, tuple[int, ...]], schema: LabelSchema, name: str) -> list[int]:
    """Channels that count as a class, by the names of today: a retired class counts as what it lay in."""
    holders = {n: holder for n in of if (holder := schema.holder(n)) is not None}
    order = sorted(holders, key=lambda n: (schema[holders[n]].id, of[n]))
    return [channel for n in order if name in schema.chain(holders[n]) for channel in of[n]]


def named_today(names: Iterable[str], schema: LabelSchema) -> list[str]:
    """Classes that are or were called so, by their names of today, in the order of the schema."""
    known = {schema.renamed(name) for name in names}
    return [name for name in schema.names if name in known]


def sigmoid(logits: npt.NDArray[Any]) -> Array:
    """Probabilities of logits of any shape.

    Examples
    --------
    >>> sigmoid(np.array([-200.0, 0.0, 200.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(np.asarray(logits, np.float32)))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float32)


def softmax(channels: int, logits: Callable[[int], npt.NDArray[Any]]) -> Callable[[int], Array]:
    """Softmax over channels of which only one is in memory at a time.

    The largest logit and the sum of exponentials are gathered in one pass; after that each channel's probability
    is computed from its own logits alone. So `logits(channel)` is called twice for every channel.
    """
    largest = np.asarray(logits(0), np.float32).copy()
    total = np.ones_like(largest)
    for channel in range(1, channels):
        values = np.asarray(logits(channel), np.float32)
        higher = np.maximum(largest, values)
        total = total * np.exp(largest - higher) + np.exp(values - higher)
        largest = higher

    def probability(channel: int) -> Array:
        return np.asarray(np.exp(np.asarray(logits(channel), np.float32) - largest) / total, np.float32)

    return probability
