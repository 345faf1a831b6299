import numpy as np
import pytest

from voxledger.bundles.checks.cut import CHECK
from voxledger.bundles.comparison import Comparison
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(name="one", classes=(LabelClass(id=1, name="posterior"),))
TAIL = [20, 34, 66, 109, 126, 162, 187, 188, 162, 123, 95, 79, 71, 56, 52, 38, 38, 37, 34, 27, 21, 14, 3]
"""Voxels a slice of the posterior hippocampus in a model's proposal: it has a long thin tail."""
CUT_AT_ONCE = [14, 30, 62, 104, 130, 162, 185, 200, 171, 133]
"""What a reviewer drew, of which only these slices were saved."""


def volume(areas: list[int], axis: int) -> np.ndarray:
    labels = np.zeros((25, 200), np.uint8)
    for z, area in enumerate(areas):
        labels[z, :area] = 1
    return np.moveaxis(labels.reshape(25, 20, 10), 0, axis)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (CUT_AT_ONCE, 13),
        (TAIL[::-1][:13] + TAIL[9::-1], 0),
        (TAIL[:-3], 0),
        ([*CUT_AT_ONCE, 100, 60, 20], 0),
        (TAIL[:4], 19),
    ],
    ids=["a thin tail lost", "another shape", "the last slices", "it tapers", "most of it"],
)
def test_a_tail_that_is_lost_is_told(returned: list[int], found: int, axis: int) -> None:
    rows = {"posterior": Row("case-7", "posterior", Decision.REVISE, 1.0, ErrorKind.NONE)}
    comparison = Comparison(SCHEMA, volume(TAIL, axis), volume(returned, axis), rows)
    assert CHECK.find is not None
    told = [s.problem for s in CHECK.find(comparison)]
    flat = f"it ends in a flat face along {'zyx'[axis]}, and the last {found} slices of the proposal are empty"
    assert told == ([flat] if found else [])
