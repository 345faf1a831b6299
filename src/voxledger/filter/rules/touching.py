"""touching: a finding on the duct or a vessel is that structure, not a lesion.

Measured: shortest distance in mm from the component to any class in `structures`, 0 where they overlap. Bound: the
distance must be above `tolerance_mm`. Rule 3 of Efficient Human-in-the-Loop Pancreatic Tumor Annotation removes
cysts and PNETs that touch the pancreatic duct, the default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from voxledger.filter.distance import distances
from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule
from voxledger.imaging.tree import Spans
from voxledger.schema import LabelSchema


class Touching(RemovalRule):
    """Removes components that touch another structure.

    Parameters
    ----------
    structures
        Classes that must not be touched; the pancreatic duct by default.
    tolerance_mm
        Distance in mm that must be exceeded.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pancreatic_duct": [(3, 3, slice(2, 9))], "cyst": [(3, 4, 4), (3, 8, 4)]})
    >>> rule = Touching(rule="touching", classes=("cyst",), tolerance_mm=1)
    >>> verdicts(rule, proposal, "cyst")  # mm
    [(1.0, 'to_organ'), (5.0, 'kept')]
    """

    monotone: ClassVar[bool] = True

    structures: tuple[str, ...] = Field(default=("pancreatic_duct",), min_length=1)
    tolerance_mm: float = Field(default=0.0, ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.structures:
            schema[name]

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        below = math.ceil(round(min(needed) * 10, 6) - 1) / 10  # it has to be exceeded
        return f"tolerance_mm: {below:g}" if below >= 0 else ""

    def kept(self, nodes: Nodes) -> Spans:
        return nodes.spans.where(nodes.least(nodes.distance(self.structures, self.tolerance_mm)) > self.tolerance_mm)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        found = distances(proposal, components, self.structures)
        bound = f">{self.tolerance_mm:g}mm"
        return [
            self.verdict(proposal, name, c, mm, bound, mm > self.tolerance_mm)
            for c, mm in zip(components, found, strict=True)
        ]
