"""mean_hu: a lesion is neither fat nor bone nor bright contrast.

Measured: mean HU of the component's core after clipping to [-1000, 1000]. The core is what no face of a voxel leads
out of, since voxels of the border are in part what lies beside the lesion, such as fat; a component without a core is
measured whole. Bound: the `ranges` entry of the class, ends included. Rule 4 of Efficient Human-in-the-Loop Pancreatic
Tumor Annotation, which speaks of the whole component and of finer scans, and whose ranges are the defaults: PDAC
−206…185, cyst −33…222, PNET −16…270 HU. Images that are not CT have no HU: their components stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from pydantic import Field, field_validator

from voxledger.errors import Misuse
from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import HU_LIMITS, Component, Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_least, at_most
from voxledger.imaging.tree import Spans
from voxledger.schema import LabelSchema

PUBLISHED = MappingProxyType({"pdac": (-206.0, 185.0), "cyst": (-33.0, 222.0), "pnet": (-16.0, 270.0)})


class MeanHu(RemovalRule):
    """Removes components whose mean HU lies outside a range.

    Parameters
    ----------
    ranges
        Lowest and highest mean in HU by class; the published ones by default.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> import numpy as np
    >>> image = np.full((12, 24, 24), 40)
    >>> image[9] = 400
    >>> proposal = proposal_of({"cyst": [(3, 3, 3), (9, 9, 9)]}, image)
    >>> rule = MeanHu(rule="mean_hu", classes=("cyst",))
    >>> verdicts(rule, proposal, "cyst")  # HU; -33 to 222
    [(40.0, 'kept'), (400.0, 'to_organ')]
    """

    ranges: dict[str, tuple[float, float]] = Field(default={})
    """Lowest and highest mean by class; classes that are not named have the published range."""

    @field_validator("ranges")
    @classmethod
    def _ascending(cls, ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in ranges.items():
            if low > high:
                raise ValueError(f"the range of {name} ends below its start")
        return ranges

    def bound(self, name: str) -> tuple[float, float] | None:
        """Lowest and highest mean HU of a class."""
        return self.ranges.get(name, PUBLISHED.get(name))

    def check(self, schema: LabelSchema) -> None:
        for name in self.classes:
            if self.bound(name) is None:
                raise Misuse(f"mean_hu has no range for {name}", f"add `ranges: {{{name}: [low, high]}}`")

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        low, high = self.bound(name) or (math.inf, -math.inf)
        return f"ranges: {{{name}: [{min(low, at_most(needed, 0)):g}, {max(high, at_least(needed, 0)):g}]}}"

    def kept(self, nodes: Nodes) -> Spans:
        bound = self.bound(nodes.name)
        if bound is None or not nodes.proposal.is_ct:
            return nodes.spans
        hu = np.clip(nodes.intensity, *HU_LIMITS)
        inner, entering = nodes.core
        voxels = nodes.tree.total(np.ones(entering.size), entering)
        core = nodes.tree.total(hu[inner], entering) / np.maximum(voxels, 1)
        mean = np.where(voxels > 0, core, nodes.total(hu) / np.maximum(nodes.voxels, 1))
        return nodes.spans.where((mean >= bound[0]) & (mean <= bound[1]))

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        bound = self.bound(name)
        if bound is None:
            return []
        low, high = bound
        if not proposal.is_ct:
            return [self.verdict(proposal, name, c, c.mean_hu, "not CT", True) for c in proposal.components(name)]
        measured = [(c, core_hu(proposal, c)) for c in proposal.components(name)]
        return [self.verdict(proposal, name, c, hu, f"{low:g}..{high:g}HU", low <= hu <= high) for c, hu in measured]


def core_hu(proposal: Proposal, component: Component) -> float:
    """Mean HU of what no face of a voxel leads out of, after clipping; of the whole component if there is no such."""
    from scipy.ndimage import binary_erosion

    core = binary_erosion(component.mask)
    if not core.any():
        return component.mean_hu
    return float(np.clip(proposal.image[component.box][core], *HU_LIMITS).astype(np.float64).mean())
