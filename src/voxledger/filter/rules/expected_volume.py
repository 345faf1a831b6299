"""expected_volume: a component in which, as the models themselves say, hardly a voxel is of the class.

Measured: the sum of the probabilities of its voxels, times the volume of one: how many ml of the component the models
expect to be of the class. Large and faint counts as small and sure. Bound: `ml`; a component of exactly that stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Component, Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_most, digits_of
from voxledger.imaging.tree import Spans

PARTS = 1_000_000
"""Probabilities are summed as whole parts of this, so that every order gives the same sum."""
TOLERANCE = 1e-6
"""Voxels; forgives the rounding of ml divided by the volume of a voxel."""


class ExpectedVolume(RemovalRule):
    """Removes components that the models hardly expect.

    Parameters
    ----------
    ml
        Least expected volume in ml.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> proposal = proposal_of({"pdac": [(slice(2, 6), slice(2, 6), slice(2, 6)), (9, 9, 9)]})  # each voxel with 0.9
    >>> rule = ExpectedVolume(rule="expected_volume", classes=("pdac",), ml=0.01)
    >>> [(round(ml, 4), outcome) for ml, outcome in verdicts(rule, proposal, "pdac")]
    [(0.0576, 'kept'), (0.0009, 'to_organ')]
    """

    ml: float = Field(gt=0)

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"ml: {digits_of(at_most(needed, 4) or at_most(needed, 7))}"

    def kept(self, nodes: Nodes) -> Spans:
        expected = nodes.total(_parts(nodes.at(nodes.probability))) / PARTS
        return nodes.spans.where(expected >= self.ml / nodes.proposal.grid.voxel_ml - TOLERANCE)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        voxel, verdicts = proposal.grid.voxel_ml, []
        for c in proposal.components(name):
            expected = expected_voxels(c, proposal, name)
            keep = expected >= self.ml / voxel - TOLERANCE
            verdicts.append(self.verdict(proposal, name, c, expected * voxel, f">={self.ml:.4f}", keep))
        return verdicts


def expected_voxels(component: Component, proposal: Proposal, name: str) -> float:
    """Sum of the probabilities of a class over a component."""
    return int(_parts(proposal.probability(name, component.box)[component.mask]).sum()) / PARTS


def _parts(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return np.rint(probability.astype(np.float64) * PARTS).astype(np.int64)
