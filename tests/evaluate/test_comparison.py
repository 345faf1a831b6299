"""Geometry of surfaces: areas and distances that can be worked out by hand, and MONAI's own surface Dice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metrics.surface_dice import surface_dice
from voxledger.params import EvaluateParams


def box(shape, *corners):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in corners)] = True
    return mask


def test_area_of_a_large_cuboid_tends_to_the_true_area():
    mask = box((44, 44, 44), (2, 42), (2, 42), (2, 42))
    surfaces = compare(mask, mask, (2.0, 1.0, 0.5)).surfaces
    z, y, x = 80.0, 40.0, 20.0
    # Edges and corners are cut off by the marching cubes, so the area is a little smaller.
    assert surfaces.reference_mm2.sum() == pytest.approx(2 * (z * y + y * x + z * x), rel=0.03)


def test_distance_of_shifted_planes_is_the_shift_in_mm():
    a = box((10, 10, 10), (0, 4), (0, 10), (0, 10))
    b = box((10, 10, 10), (0, 6), (0, 10), (0, 10))
    surfaces = compare(a, b, (2.5, 1.0, 1.0)).surfaces
    assert surfaces.reference_mm.max() == pytest.approx(5.0)
    assert set(np.round(surfaces.prediction_mm, 6)) == {0.0, 2.5, 5.0}


def test_a_mask_at_the_border_has_the_same_surface_as_one_inside():
    inside, border = box((9, 9, 9), (3, 6), (3, 6), (3, 6)), box((9, 9, 9), (0, 3), (6, 9), (0, 3))
    areas = [compare(m, m, (3.0, 1.0, 0.7)).surfaces.reference_mm2.sum() for m in (inside, border)]
    assert areas[0] == pytest.approx(areas[1])


def test_geometry_is_that_of_the_joint_bounding_box():
    masks = compare(box((50, 50, 50), (5, 9), (5, 9), (5, 9)), box((50, 50, 50), (7, 12), (5, 9), (4, 6)), (1, 1, 1))
    assert masks.reference.shape == (7, 4, 5)
    assert (masks.reference_voxels, masks.prediction_voxels, masks.shared_voxels) == (64, 40, 8)


def test_one_empty_mask_is_infinitely_far():
    mask = box((5, 5, 5), (2, 3), (2, 3), (2, 3))
    surfaces = compare(mask, np.zeros_like(mask), (1, 1, 1)).surfaces
    assert len(surfaces.reference_mm) == 8
    assert np.isinf(surfaces.reference_mm).all()
    assert surfaces.prediction_mm.size == 0


@pytest.mark.parametrize(
    ("reference", "prediction", "spacing", "problem"),
    [
        (np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), bool), (1, 1, 1), "reference must be a 3-D boolean"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2), bool), (1, 1, 1), "prediction must be a 3-D boolean"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool), (1, 1, 1), "prediction \\(2, 2, 3\\)"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1, 0, 1), "spacing_mm"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1, 1), "spacing_mm"),
    ],
)
def test_bad_input_fails_at_the_door(reference, prediction, spacing, problem):
    with pytest.raises(ValueError, match=problem):
        compare(reference, prediction, spacing)


@settings(max_examples=25, deadline=None)
@given(
    reference=arrays(bool, (5, 6, 7)),
    prediction=arrays(bool, (5, 6, 7)),
    spacing=st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 3.0])] * 3),
    tolerance=st.sampled_from([0.0, 0.6, 1.1, 2.3]),
)
def test_surface_dice_agrees_with_monai(reference, prediction, spacing, tolerance):
    import torch
    from monai.metrics import compute_surface_dice

    reference[2, 3, 3] = prediction[2, 2, 3] = True
    both = [torch.from_numpy(np.stack([~m, m])[None]) for m in (prediction, reference)]
    theirs = compute_surface_dice(*both, [tolerance], spacing=spacing, use_subvoxels=True)
    ours = surface_dice(compare(reference, prediction, spacing), EvaluateParams(tolerance_mm=tolerance))
    assert ours == pytest.approx(float(theirs), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(mask=arrays(bool, (4, 5, 6)), shift=st.tuples(*[st.integers(0, 4)] * 3))
def test_shifting_both_masks_changes_nothing(mask, shift):
    other = np.roll(mask, 1, 1)
    far = [np.pad(m, [(s, 4 - s) for s in shift]) for m in (mask, other)]
    here, there = compare(mask, other, (2, 1, 1)), compare(*far, (2, 1, 1))
    assert np.array_equal(here.reference, there.reference)
    assert np.array_equal(here.surfaces.reference_mm, there.surfaces.reference_mm)
