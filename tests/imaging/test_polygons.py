"""Masks of slices as polygons and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxledger.imaging.polygons import fill, outlines


@settings(max_examples=200, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_hold_the_mask(mask: np.ndarray) -> None:
    assert np.array_equal(fill(outlines(mask), mask.shape), mask)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 0), (2, 0), (2, 2), (0, 2)], [[1, 1, 0], [1, 1, 0], [0, 0, 0]]),
        ([(-9, -9), (9, -9), (9, 9), (-9, 9)], [[1] * 3] * 3),
        ([(0.9, 0.9), (1.1, 0.9), (1.1, 1.1)], [[0] * 3, [0, 1, 0], [0] * 3]),
        ([(1, 1)], [[0] * 3] * 3),
        ([(0, 1), (2, 1)], [[0] * 3] * 3),
    ],
)
def test_voxels_count_by_their_centre(points: list, expected: list) -> None:
    assert fill([np.array(points, float)], (3, 3)).astype(int).tolist() == expected
