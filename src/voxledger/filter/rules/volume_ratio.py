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
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rule import RemovalRule, at_least
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
        return f"percent: {{{name}: {at_least(needed, 1):g}}}" if max(needed) < math.inf else ""

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        components = proposal.components(name)
        bound, organ_class = self.bound(name), proposal.schema[name].inside
        if not components or bound is None or organ_class is None or not proposal.knows(organ_class):
            return []
        organ = organ_voxels(proposal, name, self.denominator == "organ_without_lesion")
        total = sum(c.voxels for c in components)
        verdicts = []
        for c in components:
            voxels = total if self.scope == "patient" else c.voxels
            percent = 100 * voxels / organ if organ else math.inf
            verdicts.append(self.verdict(proposal, name, c, percent, f"<={bound:g}%", percent <= bound))
        return verdicts


def organ_voxels(proposal: Proposal, name: str, without_lesions: bool) -> int:
    """Voxels of the organ around a class: its mask less the lesions in it, or its mask and the lesions in it."""
    schema = proposal.schema
    organ = schema[name].inside
    region = proposal.region(organ) if organ else None
    lesions = [c.name for c in schema.classes if c.lesion and organ in schema.chain(c.name)[1:]]
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
