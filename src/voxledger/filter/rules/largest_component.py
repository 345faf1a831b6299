"""largest_component: an organ is one piece; what hangs apart from it is removed.

Measured: volume of the component in ml. Bound: volume of the largest component of the class. Of two equal ones the
first (z, y, x) stays.
"""

from __future__ import annotations

from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import Destination, RemovalRule


class LargestComponent(RemovalRule):
    """Keeps the largest component of a class in a case.

    Parameters
    ----------
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`, the default.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pancreas": [(slice(2, 6), slice(2, 6), slice(2, 6)), (9, 9, 9)]})
    >>> rule = LargestComponent(rule="largest_component", classes=("pancreas",))
    >>> verdicts(rule, proposal, "pancreas")  # ml
    [(0.064, 'kept'), (0.001, 'removed')]
    """

    to: Destination = "background"

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        largest = max(components, key=lambda c: (c.voxels, -c.number), default=None)
        ml = proposal.grid.voxel_ml
        return [
            self.verdict(proposal, name, c, c.voxels * ml, f">={largest.voxels * ml:.4f}", c is largest)
            for c in components
            if largest is not None
        ]
