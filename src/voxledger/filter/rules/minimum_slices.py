"""minimum_slices: what shows in a single slice is seldom a finding.

Measured: number of slices (z) that the component spans. Bound: `slices`; a component of exactly so many stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule
from voxledger.imaging.tree import Spans


class MinimumSlices(RemovalRule):
    """Removes components that span fewer slices.

    Parameters
    ----------
    slices
        Least number of slices (z).
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pdac": [(slice(2, 6), 4, 4), (9, 9, slice(9, 14))]})
    >>> rule = MinimumSlices(rule="minimum_slices", classes=("pdac",), slices=2)
    >>> verdicts(rule, proposal, "pdac")  # slices
    [(4.0, 'kept'), (1.0, 'to_organ')]
    """

    slices: int = Field(ge=1)

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"slices: {min(needed):g}"

    def kept(self, nodes: Nodes) -> Spans:
        z = nodes.places[:, 0]
        return nodes.spans.where(1 - nodes.least(-z) - nodes.least(z) >= self.slices)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        verdicts = []
        for c in proposal.components(name):
            spanned = c.box[0].stop - c.box[0].start
            verdicts.append(self.verdict(proposal, name, c, spanned, f">={self.slices}", spanned >= self.slices))
        return verdicts
