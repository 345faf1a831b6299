"""A proposal made of blocks of voxels, for the examples of rules and for trying a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.filter.proposal import Proposal
from voxledger.filter.rule import Rule
from voxledger.imaging.boxes import bounding_box, whole
from voxledger.imaging.soft import SoftPrediction
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="example",
    classes=(
        LabelClass(id=1, name="kidney_left"),
        LabelClass(id=2, name="kidney_right"),
        LabelClass(id=3, name="pancreas"),
        LabelClass(id=4, name="pancreatic_duct", inside="pancreas"),
        LabelClass(id=5, name="pdac", inside="pancreas", lesion=True),
        LabelClass(id=6, name="cyst", inside="pancreas", lesion=True),
    ),
)


def proposal_of(
    blocks: Mapping[str, Sequence[tuple[int | slice, int | slice, int | slice]]],
    image: npt.NDArray[Any] | None = None,
) -> Proposal:
    """A proposal of one model that is sure of some blocks, on a CT of 12 × 24 × 24 voxels of 1 mm.

    Parameters
    ----------
    blocks
        Places (z, y, x) of blocks of voxels, by class of `SCHEMA`.
    image
        HU (z, y, x); 40 everywhere by default.

    Examples
    --------
    >>> proposal_of({"pdac": [(3, 4, slice(5, 8))]}).voxels("pdac")
    3
    """
    shape = (12, 24, 24)
    probabilities = np.zeros((len(blocks), *shape), np.float16)
    for values, places in zip(probabilities, blocks.values(), strict=True):
        for place in places:
            values[place] = 0.9
    boxes = {name: bounding_box(values) for name, values in zip(blocks, probabilities, strict=True)}
    soft = SoftPrediction(tuple(blocks), boxes, Grid.plain(shape), "example", "", whole(shape), probabilities)
    hu = np.full(shape, 40, np.int16) if image is None else image
    return Proposal([soft], hu, True, SCHEMA, dict.fromkeys(SCHEMA.names, 0.5))


def verdicts(rule: Rule, proposal: Proposal, name: str) -> list[tuple[float, str]]:
    """What a rule measures on each component of a class, and what becomes of it."""
    return [(round(float(v.measured), 4), v.outcome.value) for v in rule.judge(proposal, name)]
