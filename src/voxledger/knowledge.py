"""What is known of a class in a case, and what follows for its voxels.

The ledger says where a mask came from; this says what may be concluded from that. A class of a case is *trusted* (a
person decided, or the source covered it), *predicted*, *rejected*, or *unknown*: nobody ever looked for it, which is
not the same as absent. Whoever trains, evaluates, counts or merges asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.schema import LabelSchema


class Knowledge(StrEnum):
    """What is known of one class in one case."""

    TRUSTED = "trusted"
    """People stand behind the mask: where it is empty, the class is absent."""
    PREDICTED = "predicted"
    """Only models have drawn it, or predicted it empty."""
    REJECTED = "rejected"
    """A person said that the mask is wrong, and nobody has drawn a better one."""
    UNKNOWN = "unknown"
    """Nobody ever looked for it."""


def knowledge_of(entry: Entry | None) -> Knowledge:
    """What a row of the ledger, or that there is none, says of its class.

    >>> knowledge_of(None)
    <Knowledge.UNKNOWN: 'unknown'>
    """
    if entry is None:
        return Knowledge.UNKNOWN
    if entry.origin.trusted:
        return Knowledge.TRUSTED
    return Knowledge.REJECTED if entry.origin is Origin.REJECTED else Knowledge.PREDICTED


def trusted(ledger: Ledger, case_id: str, class_name: str) -> bool:
    """Whether people stand behind this class of this case."""
    return knowledge_of(ledger.get((case_id, class_name))) is Knowledge.TRUSTED


@dataclass(frozen=True)
class CaseKnowledge:
    """What is known of every class of the schema in one case."""

    schema: LabelSchema
    by_class: Mapping[str, Knowledge]

    @classmethod
    def of(cls, entries: Iterable[Entry], schema: LabelSchema) -> CaseKnowledge:
        """From the rows of one case; those of classes that the schema lacks are passed over."""
        rows = {entry.class_name: entry for entry in entries}
        return cls(schema, {name: knowledge_of(rows.get(name)) for name in schema.names})

    def classes(self, *which: Knowledge) -> tuple[str, ...]:
        """Classes of which this is known, in the order of the schema."""
        return tuple(name for name, known in self.by_class.items() if known in which)

    @property
    def teaches(self) -> bool:
        """Whether models may learn from the case: people stand behind some of it, and rejected nothing in it."""
        return Knowledge.TRUSTED in self.by_class.values() and Knowledge.REJECTED not in self.by_class.values()

    def voxels(self, labels: npt.NDArray[Any]) -> KnownVoxels:
        """What is known voxel by voxel.

        Not known are voxels of a class that is not trusted; and, where a class may lie that nobody has looked for,
        the voxels of what surrounds it: of the outer class, or of the background if it lies in none. That is a class
        that is unknown or rejected; one that models predicted empty; and a lesion class that was only predicted,
        since where models drew one there may be another. A structure that is no lesion is taken to be where models
        drew it: what surrounds it stays known.

        Parameters
        ----------
        labels
            Label map (z, y, x) of ids of the schema, 0 for background; the innermost class of each voxel.
        """
        known = np.zeros(max(c.id for c in self.schema.classes) + 1, bool)
        known[0] = True
        for name in self.classes(Knowledge.TRUSTED):
            known[self.schema[name].id] = True
        present = set(np.unique(labels).tolist())
        predicted = set(self.classes(Knowledge.PREDICTED))
        drawn = {name for name in predicted if self.schema[name].id in present}
        located = {outer for name in drawn for outer in self.schema.chain(name)} & predicted
        for c in self.schema.classes:
            if self.by_class[c.name] is not Knowledge.TRUSTED and (c.lesion or c.name not in located):
                known[self.schema[c.inside].id if c.inside else 0] = False
        return KnownVoxels(self.schema, labels, known)


@dataclass(frozen=True)
class KnownVoxels:
    """A label map with what is known of it; see `CaseKnowledge.voxels`."""

    schema: LabelSchema
    labels: npt.NDArray[Any]
    """Ids of the schema, (z, y, x)."""
    known_ids: npt.NDArray[np.bool_]
    """By id: whether its voxels are known to be what the label map says."""

    @cached_property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Voxels (z, y, x) of which nothing is known."""
        return np.asarray(~self.known_ids[self.labels])

    def are(self, class_name: str) -> npt.NDArray[np.bool_]:
        """Voxels (z, y, x) that are known to be of a class, or of one that lies in it."""
        return np.asarray(self._within(class_name)[self.labels] & ~self.unknown)

    def are_not(self, class_name: str) -> npt.NDArray[np.bool_]:
        """Voxels (z, y, x) that are known not to be of a class."""
        return np.asarray(~self._within(class_name)[self.labels] & ~self.unknown)

    @property
    def learned(self) -> npt.NDArray[np.int16]:
        """What a network learns, (z, y, x): classes are numbered from 1 in the order of the schema, background is 0,
        and what is not known is `len(schema.classes) + 1`."""
        numbers = np.zeros(len(self.known_ids), np.int16)
        for number, c in enumerate(self.schema.classes, start=1):
            numbers[c.id] = number
        numbers[~self.known_ids] = len(self.schema.classes) + 1
        return np.asarray(numbers[self.labels])

    def _within(self, class_name: str) -> npt.NDArray[np.bool_]:
        ids = np.zeros(len(self.known_ids), bool)
        ids[[c.id for c in self.schema.classes if class_name in self.schema.chain(c.name)]] = True
        return ids


@dataclass(frozen=True)
class Labelled:
    """What people stand behind in some cases. A case in which one class is decided is not a labelled case."""

    complete: int
    """Cases of which people stand behind every class of the schema."""
    partly: int
    """Cases of which they stand behind some, but not all."""
    trusted: int
    """Masks, one a case and class, that they stand behind."""
    masks: int
    """All masks that the cases would have."""

    @property
    def share(self) -> float:
        """Share of the masks that people stand behind; 0 where there is none."""
        return self.trusted / self.masks if self.masks else 0.0


def labelled(ledger: Ledger, case_ids: Iterable[str], classes: Sequence[str]) -> Labelled:
    """Count what people stand behind, by case and class."""
    found = [sum(trusted(ledger, case_id, name) for name in classes) for case_id in case_ids]
    complete = sum(n == len(classes) for n in found)
    return Labelled(complete, sum(n > 0 for n in found) - complete, sum(found), len(found) * len(classes))
