"""inside_organ: a lesion lies in its organ; a component that does not is a false alarm.

Measured: share of the component's voxels that lie in the organ of the label schema (`inside`). Bound: the share
must be above `share`; the published rule is 0, any overlap. Rule 1 of Efficient Human-in-the-Loop Pancreatic Tumor
Annotation. Nothing is judged where no model of the case knows the organ.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import Destination, RemovalRule
from voxledger.schema import LabelSchema


class InsideOrgan(RemovalRule):
    """Removes components outside the organ that they should lie in.

    Parameters
    ----------
    share
        Share of the voxels, from 0 below 1, that must be exceeded.
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
    """

    to: Destination = "background"
    share: float = Field(default=0.0, ge=0, lt=1)

    def check(self, schema: LabelSchema) -> None:
        for name in self.classes:
            if schema[name].inside is None:
                raise Misuse(
                    f"inside_organ is asked of {name}, which lies in no organ",
                    f"give {name} an `inside:` in {layout.SCHEMA}, or take it out of the rule",
                )

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        organ = proposal.schema[name].inside
        assert organ is not None  # by check()
        if not proposal.knows(organ):
            return []
        verdicts = []
        for c in proposal.components(name):
            share = int(np.count_nonzero(c.mask & proposal.mask(organ, c.box))) / c.voxels
            verdicts.append(self.verdict(proposal, name, c, share, f">{self.share:.4f}", share > self.share))
        return verdicts
