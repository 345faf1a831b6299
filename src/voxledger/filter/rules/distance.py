"""distance: a structure lies near its neighbours; what is far from all of them is something else.

Measured: shortest distance in mm from the component to any class in `structures`, infinite where the case has none
of them. Bound: `maximum_mm`; a component at exactly that distance stays. Nothing is judged where no model of the case
knows any of them.
"""

from __future__ import annotations

from pydantic import Field

from voxledger.filter.distance import distances
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule
from voxledger.schema import LabelSchema


class Distance(RemovalRule):
    """Removes components far from other organs."""

    structures: tuple[str, ...] = Field(min_length=1)
    maximum_mm: float = Field(ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.structures:
            schema[name]

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
