"""largest_component: an organ is one piece; what hangs apart from it is removed.

Measured: volume of the component in ml. Bound: volume of the largest component of the class. Of two equal ones the
first (z, y, x) stays.
"""

from __future__ import annotations

import numpy as np

from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import Destination, RemovalRule
from voxledger.imaging.tree import Spans


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

    def kept(self, nodes: Nodes) -> Spans:
        first = nodes.least(nodes.tree.voxel).astype(np.int64)
        rank = (nodes.voxels + 1) * nodes.probability.size - first
        highest = nodes.spans.greatest(rank, nodes.levels)
        return nodes.spans.between(rank, highest, highest)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        largest = max(components, key=lambda c: (c.voxels, -c.number), default=None)
        ml = proposal.grid.voxel_ml
        return [
            self.verdict(proposal, name, c, c.voxels * ml, f">={largest.voxels * ml:.4f}", c is largest)
            for c in components
            if largest is not None
        ]
