"""fill_holes: an organ has no holes; what a class encloses on all sides joins it.

Measured: volume of the hole in ml (6-connected). Bound: `maximum_ml`; a hole of exactly that volume is filled.
Where a hole belongs to a class inside, that class keeps it in the label map.
"""

from __future__ import annotations

from pydantic import Field

from voxledger.filter.proposal import Outcome, Proposal, Verdict
from voxledger.filter.rule import Rule

TOLERANCE_ML = 1e-9
"""Forgives the rounding of voxels times their volume."""


class FillHoles(Rule):
    """Fills holes of a class.

    Parameters
    ----------
    maximum_ml
        Largest hole in ml that is filled.
    classes
        Classes that it judges.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> shell = [(slice(2, 5), slice(2, 5), x) for x in (2, 4)] + [(slice(2, 5), y, 3) for y in (2, 4)]
    >>> proposal = proposal_of({"pancreas": [*shell, (2, 3, 3), (4, 3, 3)]})
    >>> rule = FillHoles(rule="fill_holes", classes=("pancreas",))
    >>> verdicts(rule, proposal, "pancreas")  # ml
    [(0.001, 'filled')]
    """

    maximum_ml: float = Field(default=1.0, gt=0)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        verdicts = []
        for hole in proposal.holes(name):
            ml = hole.voxels * proposal.grid.voxel_ml
            outcome = Outcome.FILLED if ml <= self.maximum_ml + TOLERANCE_ML else Outcome.KEPT
            verdicts.append(Verdict(hole, ml, f"<={self.maximum_ml:g}ml", outcome))
        return verdicts
