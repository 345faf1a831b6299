"""paired_sides: the left organ of a pair lies on the left; what lies on the other side joins its partner.

Measured: distance in mm of the component's centre from the midline, positive towards the patient's left. Bound: 0 with
`margin_mm` to spare; exactly on the bound stays. The midline is the centre of the `midline` classes that the case has,
else the centre of the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from voxledger.filter.proposal import Mask, Outcome, Proposal, Verdict
from voxledger.filter.rule import Rule
from voxledger.imaging.boxes import Box
from voxledger.schema import LabelSchema


class PairedSides(Rule):
    """Moves components of paired organs to the organ of their side.

    Parameters
    ----------
    classes
        The left one and the right one.
    midline
        Classes on the midline, such as the spine; the centre of the image where there are none.
    margin_mm
        How far in mm a component may lie on the other side.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"kidney_left": [(3, 3, 20), (3, 3, 2)]})
    >>> rule = PairedSides(rule="paired_sides", classes=("kidney_left", "kidney_right"))
    >>> verdicts(rule, proposal, "kidney_left")  # mm towards the left
    [(-9.5, 'to_partner'), (8.5, 'kept')]
    """

    classes: tuple[str, str]
    """The left one and the right one."""
    midline: tuple[str, ...] = ()
    """Classes on the midline, such as the spine."""
    margin_mm: float = Field(default=0.0, ge=0)

    def check(self, schema: LabelSchema) -> None:
        for name in self.midline:
            schema[name]

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        left, right = self.classes
        regions = [region for m in self.midline if (region := proposal.region(m)) is not None]
        if regions:
            middle = float(np.mean([towards_left(proposal, r.mask, r.box) for r in regions]))
        else:
            middle = float(left_mm(proposal, (np.array(proposal.grid.shape) - 1) / 2))
        verdicts = []
        for c in proposal.components(name):
            mm = towards_left(proposal, c.mask, c.box) - middle
            own_side = mm >= -self.margin_mm if name == left else mm <= self.margin_mm
            bound = f">={-self.margin_mm:g}mm" if name == left else f"<={self.margin_mm:g}mm"
            if own_side:
                verdicts.append(Verdict(c, mm, bound, Outcome.KEPT))
            else:
                verdicts.append(Verdict(c, mm, bound, Outcome.TO_PARTNER, right if name == left else left))
        return verdicts


def towards_left(proposal: Proposal, mask: Mask, box: Box) -> float:
    """Position of the centre of a mask along the patient's right-left axis in mm, larger towards the left."""
    centre = [
        float(np.average(np.arange(n), weights=mask.sum(axis=tuple(a for a in range(3) if a != axis))))
        for axis, n in enumerate(mask.shape)
    ]
    return left_mm(proposal, np.array(centre) + [s.start for s in box])


def left_mm(proposal: Proposal, position: npt.NDArray[np.float64]) -> float:
    """First coordinate (LPS: towards the left) of a position in voxels (z, y, x)."""
    grid = proposal.grid
    along = (position * proposal.spacing)[::-1]
    return float(grid.origin[0] + np.dot(grid.direction[:3], along))
