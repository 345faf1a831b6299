"""Arrays turned to the sides of the patient, against nibabel."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest

from voxledger.imaging.orientation import Turn
from voxledger.imaging.volume import Grid

AXES = list(itertools.permutations(range(3)))


def grid_of(order: tuple[int, ...], signs: tuple[int, ...], oblique: float = 0.0) -> Grid:
    """A grid whose axis i runs along axis order[i] of the patient, forwards or backwards."""
    direction = np.zeros((3, 3))
    for axis, (side, sign) in enumerate(zip(order, signs, strict=True)):
        direction[side, axis] = sign
    c, s = np.cos(oblique), np.sin(oblique)
    direction = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ direction
    return Grid((4, 5, 6), (3.0, 2.0, 1.0), (0.0, 0.0, 0.0), tuple(float(v) for v in direction.ravel()))


@pytest.mark.parametrize("oblique", [0.0, 0.3])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR"])
@pytest.mark.parametrize("order", AXES)
def test_turned_arrays_are_nibabels(order, codes, oblique):
    for signs in itertools.product((1, -1), repeat=3):
        grid = grid_of(order, signs, oblique)
        array = np.arange(120).reshape(grid.shape)
        turn = Turn.to(codes, grid)
        affine = np.eye(4)
        affine[:3, :3] = np.diag([-1, -1, 1]) @ np.array(grid.direction).reshape(3, 3) @ np.diag(grid.spacing[::-1])
        image = nibabel.Nifti1Image(array.T.astype(np.int16), affine)
        change = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(codes)
        )
        expected = image.as_reoriented(change)
        np.testing.assert_array_equal(turn.apply(array), np.asarray(expected.dataobj).T)
        assert turn.spacing(grid.spacing) == pytest.approx(tuple(expected.header.get_zooms()[::-1]))
        np.testing.assert_array_equal(turn.back(turn.apply(array)), array)


def test_a_single_voxel_is_turned():
    assert Turn.to("RAS", Grid.plain((1, 1, 1))).apply(np.full((1, 1, 1), 7)).tolist() == [[[7]]]
