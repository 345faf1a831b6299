"""volume_ratio: no lesion is that much larger than the organ it lies in.

Measured: volume in percent of the organ of the label schema (`inside`). Bound: `percent` of the class; a lesion of
exactly that share stays. Rule 2 of Efficient Human-in-the-Loop Pancreatic Tumor Annotation, whose bounds are the
defaults: PDAC 133, cyst 83, PNET 46 percent of the organ without lesion. Nothing is judged where no model of the case
knows the organ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.nodes import Nodes
from voxledger.filter.proposal import Proposal, Region, Verdict
from voxledger.filter.rule import RemovalRule, at_least, digits_of
from voxledger.imaging.tree import Spans
from voxledger.schema import LabelSchema

PUBLISHED = MappingProxyType({"pdac": 133.0, "cyst": 83.0, "pnet": 46.0})


class VolumeRatio(RemovalRule):
    """Removes lesions that are too large for their organ.

    Parameters
    ----------
    percent
        Bound in percent of the organ by class; the published ones by default.
    scope
        What is compared: each `component`, or all of the class in the `patient`.
    denominator
        `organ_without_lesion`, or `organ` with the lesions in it.
    classes
        Classes that it judges.
    to
        Where voxels of a rejected component go: `organ` or `background`.

    Examples
    --------
    >>> from voxledger.filter.example import proposal_of, verdicts
    >>> organ = (slice(2, 6), slice(2, 6), slice(2, 6))
    >>> proposal = proposal_of({"pancreas": [organ], "cyst": [(slice(2, 6), slice(2, 6), slice(2, 5))]})
    >>> rule = VolumeRatio(rule="volume_ratio", classes=("cyst",))
    >>> verdicts(rule, proposal, "cyst")  # percent; 83 at most
    [(300.0, 'to_organ')]
    """

    monotone: ClassVar[bool] = True

    percent: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})
    """Bound by class; classes that are not named have the published one."""
    scope: Literal["component", "patient"] = "component"
    """What is compared: every component by itself, or all of the class in the case together."""
    denominator: Literal["organ_without_lesion", "organ"] = "organ_without_lesion"
    """Of the organ: the part that is no lesion of any class, or all of it with the lesions in it."""

    def bound(self, name: str) -> float | None:
        """Bound of a class in percent."""
        return self.percent.get(name, PUBLISHED.get(name))

    def check(self, schema: LabelSchema) -> None:
        for name in self.classes:
            if schema[name].inside is None:
                raise Misuse(
                    f"volume_ratio is asked of {name}, which lies in no organ",
                    f"give {name} an `inside:` in {layout.SCHEMA}, or take it out of the rule",
                )
            if self.bound(name) is None:
                raise Misuse(f"volume_ratio has no bound for {name}", f"add `percent: {{{name}: …}}`")

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        return f"percent: {{{name}: {digits_of(at_least(needed, 1))}}}" if max(needed) < math.inf else ""

    def kept(self, nodes: Nodes) -> Spans:
        bound, organ_class = self.bound(nodes.name), nodes.proposal.schema[nodes.name].inside
        if bound is None or organ_class is None or not nodes.proposal.knows(organ_class):
            return nodes.spans
        organ = organ_at_each_level(nodes, organ_class, self.denominator == "organ_without_lesion")
        none = np.zeros(nodes.levels)
        if self.scope == "component":
            return nodes.spans.between(nodes.voxels, none, most_voxels(bound, organ))
        total = nodes.spans.at_each_level(nodes.voxels, nodes.levels)
        return nodes.spans.between(np.zeros(nodes.tree.size), none, most_voxels(bound, organ) - total)

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        bound, organ_class = self.bound(name), proposal.schema[name].inside
        if not components or bound is None or organ_class is None or not proposal.knows(organ_class):
            return []
        lesions = lesions_in(proposal.schema, organ_class)
        organ = organ_voxels(proposal, organ_class, lesions, self.denominator == "organ_without_lesion")
        total = sum(c.voxels for c in components)
        verdicts = []
        for c in components:
            voxels = total if self.scope == "patient" else c.voxels
            percent = 100 * voxels / organ if organ else math.inf
            verdicts.append(self.verdict(proposal, name, c, percent, f"<={bound:g}%", percent <= bound))
        return verdicts


def lesions_in(schema: LabelSchema, organ: str) -> list[str]:
    """The lesion classes that lie in an organ."""
    return [c.name for c in schema.classes if c.lesion and organ in schema.chain(c.name)[1:]]


def organ_voxels(proposal: Proposal, organ: str, lesions: Sequence[str], without_lesions: bool) -> int:
    """Voxels of an organ: its mask less the lesions in it, or its mask and the lesions in it."""
    region = proposal.region(organ)
    if region is None:
        return 0 if without_lesions else sum(proposal.voxels(lesion) for lesion in lesions)
    mask = region.mask.copy()
    outside = 0
    for lesion in lesions:
        inside = proposal.mask(lesion, region.box)
        if without_lesions:
            mask &= ~inside
        else:
            mask |= inside
            outside += proposal.voxels(lesion) - int(np.count_nonzero(inside))
    return int(np.count_nonzero(mask)) + outside


def organ_at_each_level(nodes: Nodes, organ: str, without_lesions: bool) -> npt.NDArray[np.float64]:
    """What `organ_voxels` counts at every level of the tree of a class."""
    others = [name for name in lesions_in(nodes.proposal.schema, organ) if name != nodes.name]
    count = organ_voxels(nodes.proposal, organ, others, without_lesions)
    region = nodes.proposal.region(organ)
    lesion, inside = nodes.lies_in(*others), nodes.lies_in(organ)
    if without_lesions:
        return count - nodes.spans.at_each_level(nodes.total(inside & ~lesion), nodes.levels)
    box = np.zeros(nodes.tree.voxel.size, np.bool_)
    if region is not None:
        box = nodes.at(Region(region.box, np.ones_like(region.mask)).read(nodes.box))
    return count + nodes.spans.at_each_level(nodes.total(~(box & (inside | lesion))), nodes.levels)


def most_voxels(bound: float, organ: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Most voxels that are at most `bound` percent of an organ; −1 where there is no organ."""
    most = np.floor(bound * organ / 100) + 1
    for _ in range(2):  # the product is rounded otherwise than the quotient that `judge` compares
        with np.errstate(invalid="ignore", divide="ignore"):
            most -= 100 * most / organ > bound
    return np.where(organ > 0, most, -1.0)
