"""Pictures: the right slice, the contours, the same bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from voxledger.evaluate.overlay import overlay_png, worst_slice
from voxledger.evaluate.view import view_of
from voxledger.imaging.volume import Grid


def masks(shape=(6, 30, 50)):
    reference, prediction = np.zeros(shape, bool), np.zeros(shape, bool)
    reference[1:5, 10:20, 10:20] = True
    prediction[1:5, 10:20, 10:20] = True
    prediction[3, 10:20, 20:26] = True
    return reference, prediction


def decode(png):
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png)))[..., :3]


def near(picture, color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return (np.abs(picture - rgb).max(axis=2) < 0.15).sum()


def test_the_slice_with_most_error_is_chosen():
    reference, prediction = masks()
    assert worst_slice(reference, prediction, 0) == 3
    assert worst_slice(reference, reference, 0) == 1
    assert worst_slice(reference & False, reference & False, 0) == 0


@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (3.0, 0.8, 0.4)])
def test_contours_aspect_and_bytes(spacing):
    from voxledger.evaluate.overlay import PREDICTION_COLOR, REFERENCE_COLOR

    reference, prediction = masks()
    grid = Grid(reference.shape, spacing, (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    image = np.random.default_rng(0).normal(size=reference.shape)
    first, again = (overlay_png(image, reference, prediction, 3, view_of(grid), (-2, 2)) for _ in range(2))
    assert first == again
    picture = decode(first)
    assert picture.shape[1] / picture.shape[0] == pytest.approx(50 * spacing[2] / (30 * spacing[1]), rel=0.02)
    assert near(picture, REFERENCE_COLOR) > 30
    assert near(picture, PREDICTION_COLOR) > 30
    empty = decode(overlay_png(image, reference & False, prediction & False, 3, view_of(grid), (-2, 2)))
    assert near(empty, REFERENCE_COLOR) == near(empty, PREDICTION_COLOR) == 0


def test_a_large_image_is_cut_to_the_surroundings():
    shape = (4, 300, 300)
    mask = np.zeros(shape, bool)
    mask[1, 2:4, 290:299] = True
    grid = Grid.plain(shape)
    image = np.zeros(shape)
    image[1, :90, 210:] = 1.0
    picture = decode(overlay_png(image, mask, mask, 1, view_of(grid), (0, 1)))
    assert (picture.min(axis=2) > 0.9).mean() > 0.9
