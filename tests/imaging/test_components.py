import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from voxledger.imaging.components import connected_components

SHAPES = st.tuples(*[st.integers(1, 6)] * 3)
STRUCTURES = {6: 1, 18: 2, 26: 3}


@given(SHAPES.flatmap(lambda s: arrays(bool, s)), st.sampled_from([6, 18, 26]))
def test_components_are_those_of_scipy(mask: np.ndarray, connectivity: int) -> None:
    labels, count = connected_components(mask, connectivity)
    expected, number = ndimage.label(mask, ndimage.generate_binary_structure(3, STRUCTURES[connectivity]))
    assert count == number
    assert len({(a, b) for a, b in zip(labels.ravel(), expected.ravel(), strict=True)}) == number + (not mask.all())


def test_a_single_voxel_in_a_row() -> None:
    mask = np.zeros((1, 1, 9), bool)
    mask[0, 0, 4] = True
    assert connected_components(mask, 26)[1] == 1
