"""Kinds of errors from label maps before and after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxledger.bundles.taxonomy import counterpart, regions
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="test",
    classes=(
        LabelClass(id=1, name="kidney_left"),
        LabelClass(id=2, name="kidney_right"),
        LabelClass(id=3, name="liver"),
        LabelClass(id=4, name="tumour", inside="liver", lesion=True),
    ),
)


def labels(*boxes, shape=(12, 20, 40)):
    """A label map of boxes: (id, z, y, x) with (start, stop) each."""
    found = np.zeros(shape, np.uint8)
    for value, z, y, x in boxes:
        found[slice(*z), slice(*y), slice(*x)] = value
    return found


LIVER = (3, (2, 10), (2, 18), (2, 20))
CASES = [
    ("nothing changed", "liver", [LIVER], [LIVER], []),
    ("both empty", "liver", [], [], []),
    ("too thick", "liver", [LIVER], [(3, (2, 10), (2, 18), (2, 18))], [(ErrorKind.BOUNDARY, 256, 0)]),
    ("too thin", "liver", [(3, (2, 10), (2, 18), (2, 18))], [LIVER], [(ErrorKind.BOUNDARY, 256, 256)]),
    ("stray", "liver", [LIVER, (3, (5, 6), (5, 6), (30, 31))], [LIVER], [(ErrorKind.FALSE_POSITIVE, 1, 0)]),
    ("missed", "tumour", [LIVER], [LIVER, (4, (4, 6), (4, 6), (4, 6))], [(ErrorKind.FALSE_NEGATIVE, 8, 8)]),
    ("all missed", "liver", [], [LIVER], [(ErrorKind.FALSE_NEGATIVE, 8 * 16 * 18, 8 * 16 * 18)]),
    ("missed lesion is no error of its organ", "liver", [LIVER], [LIVER, (4, (4, 6), (4, 6), (4, 6))], []),
    (
        "two sides mixed up",
        "kidney_left",
        [(2, (2, 6), (2, 6), (2, 6))],
        [(1, (2, 6), (2, 6), (2, 6))],
        [(ErrorKind.LEFT_RIGHT, 64, 64)],
    ),
    (
        "two sides mixed up, seen from the other",
        "kidney_right",
        [(2, (2, 6), (2, 6), (2, 6))],
        [(1, (2, 6), (2, 6), (2, 6))],
        [(ErrorKind.LEFT_RIGHT, 64, 0)],
    ),
    (
        "liver taken for kidney",
        "liver",
        [(3, (2, 10), (2, 18), (2, 16)), (2, (2, 10), (2, 18), (16, 20))],
        [LIVER],
        [(ErrorKind.WRONG_CLASS, 512, 512)],
    ),
    (
        "grown together",
        "kidney_left",
        [(1, (2, 6), (2, 6), (2, 20))],
        [(1, (2, 6), (2, 6), (2, 8)), (1, (2, 6), (2, 6), (12, 20))],
        [(ErrorKind.MERGED, 64, 0)],
    ),
    (
        "torn apart",
        "kidney_left",
        [(1, (2, 6), (2, 6), (2, 8)), (1, (2, 6), (2, 6), (12, 20))],
        [(1, (2, 6), (2, 6), (2, 20))],
        [(ErrorKind.SPLIT, 64, 64)],
    ),
    (
        "at the border",
        "liver",
        [(3, (0, 12), (0, 20), (0, 5))],
        [(3, (0, 12), (0, 20), (0, 6))],
        [(ErrorKind.BOUNDARY, 240, 240)],
    ),
]


@pytest.mark.parametrize(("name", "before", "after", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_kinds(name, before, after, expected):
    found = list(regions(SCHEMA, name, labels(*before), labels(*after)))
    assert [(r.kind, r.voxels, r.added) for r in found] == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("kidney_left", "kidney_right"), ("kidney_right", "kidney_left"), ("liver", None)]
)
def test_counterpart(name, expected):
    assert counterpart(SCHEMA, name) == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(1, 9)] * 3))
def test_regions_are_the_components_of_the_change(seed, shape):
    rng = np.random.default_rng(seed)
    before, after = (rng.integers(0, 5, shape).astype(np.uint8) * (rng.random(shape) < 0.4) for _ in range(2))
    for name in SCHEMA.names:
        changed = SCHEMA.mask(before, name) != SCHEMA.mask(after, name)
        seen = np.zeros(shape, int)
        found = list(regions(SCHEMA, name, before, after))
        for region in found:
            seen[region.box] += region.mask
            assert region.mask.any()
            assert 0 <= region.added <= region.voxels
        np.testing.assert_array_equal(seen, changed)
        assert len(found) == ndimage.label(changed, np.ones((3, 3, 3)))[1]
        assert sum(r.added for r in found) == np.count_nonzero(changed & SCHEMA.mask(after, name))
