"""elongation: a lesion is roundish; a vessel or a duct is long and thin.

Measured: √(λ₁ / λ₂), the longest principal axis over the second longest, from the covariance of the voxel positions
in mm; each voxel counts as a block (spacing² / 12 on each axis), so that a single one has a shape too. 1 is round or
flat, a tube of length L and diameter D has about 1.15 · L / D. Bound: `maximum`; exactly that stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from pydantic import Field

from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Component, Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_least
from voxledger.imaging.tree import Spans

TOLERANCE = 1e-6
"""Forgives the rounding of sums and roots."""


class Elongation(RemovalRule):
    """Removes long and thin components.

    Parameters
    ----------
    maximum
        Largest ratio of the longest to the second longest axis, from 1.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pdac": [(slice(2, 6), slice(2, 6), slice(2, 6)), (9, 9, slice(2, 12))]})
    >>> rule = Elongation(rule="elongation", classes=("pdac",), maximum=3)
    >>> verdicts(rule, proposal, "pdac")
    [(1.0, 'kept'), (10.0, 'to_organ')]
    """

    maximum: float = Field(ge=1)

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"maximum: {at_least(needed, 1):g}"

    def kept(self, nodes: Nodes) -> Spans:
        voxels, spacing = np.maximum(nodes.voxels, 1), nodes.proposal.spacing
        centred = (nodes.places - np.array(nodes.probability.shape) // 2) * spacing
        mean = [nodes.total(centred[:, a]) / voxels for a in range(3)]
        covariance = np.empty((voxels.size, 3, 3))
        for a, b in product(range(3), repeat=2):
            spread = nodes.total(centred[:, a] * centred[:, b]) / voxels - mean[a] * mean[b]
            covariance[:, a, b] = spread + (a == b) * spacing[a] ** 2 / 12
        _, second, longest = np.linalg.eigvalsh(covariance).T
        return nodes.spans.where(np.sqrt(longest / second) <= self.maximum + TOLERANCE)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        verdicts = []
        for c in proposal.components(name):
            found = elongation(c, proposal)
            keep = found <= self.maximum + TOLERANCE
            verdicts.append(self.verdict(proposal, name, c, found, f"<={self.maximum:g}", keep))
        return verdicts


def elongation(component: Component, proposal: Proposal) -> float:
    """Longest over second longest principal axis of a component."""
    positions = np.argwhere(component.mask) * proposal.spacing
    centred = positions - positions.mean(axis=0)
    covariance = centred.T @ centred / len(positions) + np.diag(proposal.spacing**2 / 12)
    _, second, longest = np.linalg.eigvalsh(covariance)
    return float(np.sqrt(longest / second))
