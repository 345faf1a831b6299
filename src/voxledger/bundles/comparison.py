"""A returned label map beside its proposal: voxels counted once, by what they were and what they became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.merge import LabelMap, Mask
from voxledger.imaging.boxes import Box
from voxledger.imaging.components import connected_components
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import MIXED_UP
from voxledger.schema import LabelSchema

_FEW_IDS = 256
"""Up to this id, all pairs of ids are counted without looking first which ones there are."""


@dataclass(frozen=True)
class Pairs:
    """How many voxels went from id `before` to id `after`, a row a pair."""

    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]

    @classmethod
    def of(cls, proposal: LabelMap, returned: LabelMap) -> Pairs:
        """Count two label maps (z, y, x) slice by slice."""
        n = max(int(proposal.max(initial=0)), int(returned.max(initial=0))) + 1
        ids = np.arange(n) if n <= _FEW_IDS else np.union1d(np.unique(proposal), np.unique(returned)).astype(np.int64)
        table = np.zeros(n, np.min_scalar_type(len(ids) ** 2))
        table[ids] = np.arange(n := len(ids))
        counts = np.zeros(n * n, np.int64)
        for one, other in zip(proposal, returned, strict=True):
            labelled = (one != 0) | (other != 0)
            found = table[one[labelled]] * table.dtype.type(n) + table[other[labelled]]
            counts += np.bincount(found, minlength=n * n)
            counts[0] += labelled.size - len(found)
        seen = np.flatnonzero(counts)
        return cls(ids[seen // n], ids[seen % n], counts[seen])

    def dice(self, before: int, after: int) -> float:
        """Dice of the voxels that had an id before and those that have an id after; 0 where there are none."""
        old, new = self.before == before, self.after == after
        total = int(self.count[old].sum() + self.count[new].sum())
        return 2 * int(self.count[old & new].sum()) / total if total else 0.0


@dataclass(frozen=True)
class Pieces:
    """Components (26 neighbours) of a class."""

    before: int
    """In the proposal."""
    after: int
    """In what came back."""
    lost: int
    """Voxels of the largest component of the proposal of which nothing is left."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One returned label map of one case, and what was sent and decided."""

    schema: LabelSchema
    proposal: LabelMap
    """That the reviewer was sent (z, y, x)."""
    returned: LabelMap
    """That came back, on the same grid."""
    rows: Mapping[str, Row]
    """Lines of `decisions.csv` about the case, by class; a reviewer may add classes that were not asked."""
    trusted: frozenset[str] = frozenset()
    """Classes that people stand behind: in the base version, or as readers of this round, before an adjudicator."""
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """In mm (z, y, x)."""

    @cached_property
    def pairs(self) -> Pairs:
        return Pairs.of(self.proposal, self.returned)

    @cached_property
    def same(self) -> bool:
        """Whether no voxel changed."""
        return np.array_equal(self.pairs.before, self.pairs.after)

    def decision(self, name: str) -> Decision | None:
        return self.rows[name].decision if name in self.rows else None

    @cached_property
    def revised(self) -> tuple[str, ...]:
        """Classes that were revised and have changed, in the order of the schema."""
        chosen = [n for n in self.schema.names if self.decision(n) is Decision.REVISE]
        return tuple(n for n in chosen if self.before(n) != self.shared(n) or self.after(n) != self.shared(n))

    def was(self, name: str) -> npt.NDArray[np.bool_]:
        """Pairs that were of a class, those inside it included."""
        return self.schema.mask(self.pairs.before, name)

    def became(self, name: str) -> npt.NDArray[np.bool_]:
        """Pairs that are of a class now."""
        return self.schema.mask(self.pairs.after, name)

    def before(self, name: str) -> int:
        """Voxels of a class in the proposal."""
        return int(self.pairs.count[self.was(name)].sum())

    def after(self, name: str) -> int:
        """Voxels of a class in what came back."""
        return int(self.pairs.count[self.became(name)].sum())

    def shared(self, name: str) -> int:
        """Voxels of a class in both."""
        return int(self.pairs.count[self.was(name) & self.became(name)].sum())

    def dice(self, name: str) -> float:
        """Dice of a class with the proposal; 1 where both are empty."""
        total = self.before(name) + self.after(name)
        return 2 * self.shared(name) / total if total else 1.0

    def renamed(self, name: str) -> bool:
        """Whether the reviewer says that a class had the name of another, and most of it did come from others."""
        if name not in self.rows or self.rows[name].error_type not in MIXED_UP:
            return False
        came = self.became(name) & ~self.was(name) & (self.pairs.before != 0)
        return 2 * int(self.pairs.count[came].sum()) >= self.after(name)

    @cached_property
    def agreement(self) -> float:
        """Dice of all classes together, each voxel with the same id; 1 where both are empty."""
        total = int(self.pairs.count[self.pairs.before != 0].sum() + self.pairs.count[self.pairs.after != 0].sum())
        kept = (self.pairs.before == self.pairs.after) & (self.pairs.before != 0)
        return 2 * int(self.pairs.count[kept].sum()) / total if total else 1.0

    def ml(self, voxels: int) -> float:
        """Volume of some voxels in millilitres."""
        return voxels * float(np.prod(self.spacing)) / 1000

    def box(self, name: str) -> Box | None:
        """The smallest box around a class in both label maps."""
        return self._boxes.box(name, self.proposal, self.returned)

    def masks(self, name: str, box: Box) -> tuple[Mask, Mask]:
        """A class in the proposal and in what came back, inside a box."""
        return self.schema.mask(self.proposal[box], name), self.schema.mask(self.returned[box], name)

    def pieces(self, name: str) -> Pieces:
        """Components of a class."""
        if name not in self._pieces:
            self._pieces[name] = self._count_pieces(name)
        return self._pieces[name]

    @cached_property
    def _pieces(self) -> dict[str, Pieces]:
        return {}

    def _count_pieces(self, name: str) -> Pieces:
        box = self.box(name)
        if box is None:
            return Pieces(0, 0, 0)
        was, became = self.masks(name, box)
        old, before = connected_components(was)
        kept = np.unique(old[became])
        sizes = np.bincount(old[was], minlength=before + 1)
        sizes[kept] = 0
        return Pieces(before, connected_components(became)[1], int(sizes[1:].max(initial=0)))

    @cached_property
    def _boxes(self) -> ClassBoxes:
        return ClassBoxes(self.schema)
