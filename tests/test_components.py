"""Components equal those of scipy, on small and flat volumes too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxledger.components import connected_components


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9)),
    axes=st.permutations([0, 1, 2]),
    share=st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
    connectivity=st.sampled_from([(6, 1), (18, 2), (26, 3)]),
)
def test_equal_to_scipy(
    seed: int, shape: tuple[int, int, int], axes: list[int], share: float, connectivity: tuple[int, int]
) -> None:
    mask = np.ascontiguousarray((np.random.default_rng(seed).random(shape) < share).transpose(axes))
    labels, count = connected_components(mask, connectivity[0])
    expected, number = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity[1]))
    assert (labels.shape, count) == (mask.shape, number)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_single_row(axis: int) -> None:
    row = np.expand_dims(np.array([1, 0, 1, 0, 1, 1], bool), [a for a in range(3) if a != axis])
    assert connected_components(row)[0].ravel().tolist() == [1, 0, 2, 0, 3, 3]
