"""inside_organ: a lesion lies in its organ; a component that does not is a false alarm.

Measured: share of the component's voxels that lie in the organ of the label schema (`inside`), or not farther than
`grown_mm` from it. Bound: the share must be above `share`. The published rule, and the default, is any overlap: Rule 1
of Efficient Human-in-the-Loop Pancreatic Tumor Annotation. Nothing is judged where no model of the case knows the
organ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.distance import distances
from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Component, Mask, Proposal, Verdict
from voxledger.filter.rule import Destination, RemovalRule, at_least
from voxledger.imaging.boxes import grown, view
from voxledger.imaging.tree import Spans
from voxledger.schema import LabelSchema

TOLERANCE_MM = 1e-6
"""Forgives the rounding of spacings that are no binary fractions."""


class InsideOrgan(RemovalRule):
    """Removes components outside the organ that they should lie in.

    Parameters
    ----------
    share
        Share of the voxels, from 0 below 1, that must be exceeded.
    grown_mm
        How far in mm from the organ a voxel still counts as inside, centre to centre. A cyst bulges out of its organ,
        which models then do not draw around it.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`, the default.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> organ = (slice(2, 6), slice(2, 6), slice(2, 6))
    >>> proposal = proposal_of({"pancreas": [organ], "pdac": [(3, 3, slice(4, 8)), (9, 9, 9)]})
    >>> rule = InsideOrgan(rule="inside_organ", classes=("pdac",))
    >>> verdicts(rule, proposal, "pdac")  # share
    [(0.5, 'kept'), (0.0, 'removed')]
    >>> grown = InsideOrgan(rule="inside_organ", classes=("pdac",), grown_mm=1)
    >>> verdicts(grown, proposal, "pdac")
    [(0.75, 'kept'), (0.0, 'removed')]
    """

    to: Destination = "background"
    share: float = Field(default=0.0, ge=0, lt=1)
    grown_mm: float = Field(default=0.0, ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.classes:
            if schema[name].inside is None:
                raise Misuse(
                    f"inside_organ is asked of {name}, which lies in no organ",
                    f"give {name} an `inside:` in {layout.SCHEMA}, or take it out of the rule",
                )

    def needed(self, proposal: Proposal, name: str, component: Component, measured: float) -> float:
        organ = proposal.schema[name].inside
        assert organ is not None  # by check()
        return distances(proposal, [component], [organ])[0]

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        reach = at_least(needed, 1) if max(needed) < math.inf else None
        if reach is None:
            return ""
        share = ["share: 0"] if self.share else []
        return ", ".join([*share, *([f"grown_mm: {reach:g}"] if reach > self.grown_mm else [])])

    def kept(self, nodes: Nodes) -> Spans:
        organ = nodes.proposal.schema[nodes.name].inside
        assert organ is not None  # by check()
        if not nodes.proposal.knows(organ):
            return nodes.spans
        inside = nodes.distance([organ], self.grown_mm) <= self.grown_mm + TOLERANCE_MM
        return nodes.spans.where(nodes.total(inside) / np.maximum(nodes.voxels, 1) > self.share)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        organ = proposal.schema[name].inside
        assert organ is not None  # by check()
        if not proposal.knows(organ):
            return []
        verdicts = []
        for c in proposal.components(name):
            share = int(np.count_nonzero(c.mask & self._inside(proposal, organ, c))) / c.voxels
            verdicts.append(self.verdict(proposal, name, c, share, f">{self.share:.4f}", share > self.share))
        return verdicts

    def _inside(self, proposal: Proposal, organ: str, component: Component) -> Mask:
        """Where in the box of a component its voxels count as inside."""
        if not self.grown_mm:
            return proposal.mask(organ, component.box)
        from scipy.ndimage import distance_transform_edt

        margin = int(np.ceil(self.grown_mm / proposal.spacing.min()))
        around = grown(component.box, margin, proposal.grid.shape)
        mask = proposal.mask(organ, around)
        if not mask.any():
            return np.zeros(component.mask.shape, np.bool_)
        near = distance_transform_edt(~mask, sampling=proposal.spacing) <= self.grown_mm + TOLERANCE_MM
        return view(near, around, component.box)
