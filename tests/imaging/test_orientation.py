"""Arrays turned to the sides of the patient, against nibabel."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest

from voxledger.imaging.orientation import Turn, acquisition_axis
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


def turned(degrees: float) -> tuple[float, ...]:
    """Directions whose rows and slices are turned about the axis from right to left."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (1, 0, 0, 0, c, -s, 0, s, c)


SAGITTAL = (0, 0, 1, 1, 0, 0, 0, 1, 0)
"""x runs to the back, y to the head, z to the left."""


@pytest.mark.parametrize(
    ("spacing", "direction", "axis"),
    [
        pytest.param((1, 1, 1), turned(0), 0, id="axial"),
        pytest.param((1, 1, 1), turned(180), 0, id="upside down"),
        pytest.param((1, 1, 1), turned(30), 0, id="oblique"),
        pytest.param((1, 1, 1), turned(60), 1, id="so oblique that y is nearer to the head"),
        pytest.param((1, 1, 1), SAGITTAL, 1, id="sagittal, of even voxels"),
        pytest.param((4, 1, 1), SAGITTAL, 0, id="sagittal, in thick slices"),
        pytest.param((1, 1, 5), turned(30), 2, id="oblique, in thick slices along x"),
        pytest.param((1.5, 1, 1), turned(60), 1, id="not thick enough to tell"),
    ],
)
def test_people_draw_across_the_thick_axis_or_that_to_the_head(
    spacing: tuple[float, float, float], direction: tuple[float, ...], axis: int
) -> None:
    assert acquisition_axis(Grid((4, 5, 6), spacing, (0.0, 0.0, 0.0), direction)) == axis
