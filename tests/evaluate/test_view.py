"""Orientation of pictures: wherever the axes of a file point, left is right and top is anterior or superior."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from voxledger.evaluate.view import CT_WINDOW, grey_range, view_of
from voxledger.imaging.volume import Grid


def grid_of(axes, signs, spacing=(1.0, 1.0, 1.0), shape=(5, 6, 7)):
    """Array axes z, y, x that point along patient axes (0 L, 1 P, 2 S) with a sign."""
    cosines = np.zeros((3, 3))
    for array_axis, (patient, sign) in enumerate(zip(axes, signs, strict=True)):
        cosines[patient, 2 - array_axis] = sign
    return Grid(shape, spacing, (0, 0, 0), tuple(cosines.ravel()))


@pytest.mark.parametrize("axes", list(itertools.permutations((0, 1, 2))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_every_orientation_gives_the_same_axial_picture(axes, signs):
    # A patient (S, P, L) whose voxels are all different, stored with the given axes.
    patient = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    order = [2 - a for a in axes]
    stored = patient.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    view = view_of(grid_of(axes, signs, shape=stored.shape))
    assert (view.plane, view.ends) == ("axial", ("R", "L", "A", "P"))
    index = 1 if signs[view.axis] > 0 else stored.shape[view.axis] - 2
    assert np.array_equal(view.cut(stored, index), patient[1])


@pytest.mark.parametrize(
    ("axes", "plane", "ends"),
    [
        ((2, 1, 0), "axial", ("R", "L", "A", "P")),
        ((1, 2, 0), "coronal", ("R", "L", "S", "I")),
        ((0, 2, 1), "sagittal", ("A", "P", "S", "I")),
    ],
)
def test_thick_slices_are_shown_as_they_were_acquired(axes, plane, ends):
    view = view_of(grid_of(axes, (1, 1, 1), (5.0, 1.0, 0.8)))
    assert (view.plane, view.axis, view.ends) == (plane, 0, ends)
    assert sorted(view.mm) == [0.8, 1.0]
    if plane != "axial":
        assert view.flip_rows


def test_oblique_axes_are_named_by_the_nearest_patient_axis():
    c, s = np.cos(0.5), np.sin(0.5)
    view = view_of(Grid((4, 4, 4), (1, 1, 1), (0, 0, 0), (c, -s, 0, s, c, 0, 0, 0, 1)))
    assert (view.plane, view.axis, view.rows, view.columns) == ("axial", 0, 1, 2)


def test_grey_values():
    image = np.arange(10001)
    assert grey_range(image, "CT") == CT_WINDOW
    assert grey_range(image, "MR") == (100.0, 9900.0)
    low, high = grey_range(np.zeros((3, 3, 3)), "MR")
    assert low < high
