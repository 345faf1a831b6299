"""touching: a finding on the duct or a vessel is that structure, not a lesion.

Measured: shortest distance in mm from the component to any class in `structures`, 0 where they overlap. Bound: the
distance must be above `tolerance_mm`. Rule 3 of Efficient Human-in-the-Loop Pancreatic Tumor Annotation removes
cysts and PNETs that touch the pancreatic duct, the default.
"""

from __future__ import annotations

from pydantic import Field

from voxledger.filter.distance import distances
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule
from voxledger.schema import LabelSchema


class Touching(RemovalRule):
    """Removes components that touch another structure."""

    structures: tuple[str, ...] = Field(default=("pancreatic_duct",), min_length=1)
    tolerance_mm: float = Field(default=0.0, ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.structures:
            schema[name]

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        found = distances(proposal, components, self.structures)
        bound = f">{self.tolerance_mm:g}mm"
        return [
            self.verdict(proposal, name, c, mm, bound, mm > self.tolerance_mm)
            for c, mm in zip(components, found, strict=True)
        ]
