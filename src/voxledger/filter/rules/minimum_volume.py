"""minimum_volume: a component smaller than anything that could be annotated is noise.

Measured: volume of the component in ml. Bound: `ml`; a component of exactly that volume stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_most, digits_of
from voxledger.imaging.tree import Spans

TOLERANCE = 1e-6
"""Voxels; forgives the rounding of ml divided by the volume of a voxel."""


class MinimumVolume(RemovalRule):
    """Removes components below a volume.

    Parameters
    ----------
    ml
        Least volume in ml.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pdac": [(slice(2, 6), slice(2, 6), slice(2, 6)), (9, 9, 9)]})
    >>> rule = MinimumVolume(rule="minimum_volume", classes=("pdac",), ml=0.01)
    >>> verdicts(rule, proposal, "pdac")  # ml
    [(0.064, 'kept'), (0.001, 'to_organ')]
    """

    ml: float = Field(gt=0)

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"ml: {digits_of(at_most(needed, 4) or at_most(needed, 7))}"

    def kept(self, nodes: Nodes) -> Spans:
        return nodes.spans.where(nodes.voxels >= self.ml / nodes.proposal.grid.voxel_ml - TOLERANCE)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        least = self.ml / proposal.grid.voxel_ml
        return [
            self.verdict(
                proposal, name, c, c.voxels * proposal.grid.voxel_ml, f">={self.ml:.4f}", c.voxels >= least - TOLERANCE
            )
            for c in proposal.components(name)
        ]
