"""distance: a structure lies near its neighbours; what is far from all of them is something else.

Measured: shortest distance in mm from the component to any class in `structures`, infinite where the case has none
of them. Bound: `maximum_mm`; a component at exactly that distance stays. Nothing is judged where no model of the case
knows any of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from voxledger.filter.distance import distances
from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_least
from voxledger.imaging.tree import Spans
from voxledger.schema import LabelSchema


class Distance(RemovalRule):
    """Removes components far from other organs.

    Parameters
    ----------
    structures
        Classes of which one has to be near.
    maximum_mm
        Largest distance in mm.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> organ = (slice(2, 6), slice(2, 6), slice(2, 6))
    >>> proposal = proposal_of({"pancreas": [organ], "kidney_left": [(3, 3, 9), (3, 3, 20)]})
    >>> rule = Distance(rule="distance", classes=("kidney_left",), structures=("pancreas",), maximum_mm=10)
    >>> verdicts(rule, proposal, "kidney_left")  # mm
    [(4.0, 'kept'), (15.0, 'removed')]
    """

    monotone: ClassVar[bool] = True

    structures: tuple[str, ...] = Field(min_length=1)
    maximum_mm: float = Field(ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.structures:
            schema[name]

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"maximum_mm: {at_least(needed, 1):g}" if max(needed) < math.inf else ""

    def kept(self, nodes: Nodes) -> Spans:
        if not any(nodes.proposal.knows(s) for s in self.structures):
            return nodes.spans
        return nodes.spans.where(nodes.least(nodes.distance(self.structures, self.maximum_mm)) <= self.maximum_mm)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        if not any(proposal.knows(s) for s in self.structures):
            return []
        components = proposal.components(name)
        found = distances(proposal, components, self.structures)
        bound = f"<={self.maximum_mm:g}mm"
        return [
            self.verdict(proposal, name, c, mm, bound, mm <= self.maximum_mm)
            for c, mm in zip(components, found, strict=True)
        ]
