"""minimum_volume: a component smaller than anything that could be annotated is noise.

Measured: volume of the component in ml. Bound: `ml`; a component of exactly that volume stays.
"""

from __future__ import annotations

from pydantic import Field

from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule

TOLERANCE = 1e-6
"""Voxels; forgives the rounding of ml divided by the volume of a voxel."""


class MinimumVolume(RemovalRule):
    """Removes components below a volume."""

    ml: float = Field(gt=0)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        least = self.ml / proposal.grid.voxel_ml
        return [
            self.verdict(
                proposal, name, c, c.voxels * proposal.grid.voxel_ml, f">={self.ml:.4f}", c.voxels >= least - TOLERANCE
            )
            for c in proposal.components(name)
        ]
