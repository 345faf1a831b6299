"""Windows that a trunk looks at."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models.trunk import chosen, padded


@pytest.mark.parametrize(
    ("shape", "voxels", "windows", "holding"),
    [
        ((4, 4, 4), [(0, 0, 0)], 1, 1),
        ((4, 4, 8), [(0, 0, 0)], 2, 1),
        ((4, 4, 8), [(0, 0, 3)], 3, 2),
        ((4, 4, 8), [], 3, 0),
        ((8, 8, 8), [(4, 4, 4)], 11, 8),
    ],
    ids=["one window", "one other", "two", "none that holds it", "in the middle"],
)
def test_windows_that_hold_a_class_and_some_others(shape, voxels, windows, holding):
    labels = np.zeros(shape, int)
    for voxel in voxels:
        labels[voxel] = 5
    found = chosen(labels, [5], (4, 4, 4), np.random.default_rng(0))
    assert len(found) == windows
    assert sum(bool((labels[box] == 5).any()) for box in found) == holding
    assert all(labels[box].shape == (4, 4, 4) for box in found)


def test_windows_cover_an_image_that_no_number_of_patches_fills():
    labels = np.zeros((5, 9, 11), int)
    seen = labels.copy()
    for box in chosen(labels, [5], (4, 4, 4), np.random.default_rng(0)):
        seen[box] += 1
    assert seen.min() == 1


def test_images_smaller_than_the_patch_lie_in_its_middle():
    image, labels = padded(np.ones((2, 4, 5), np.float32), np.ones((2, 4, 5), int), (4, 4, 4))
    assert image.shape == labels.shape == (4, 4, 5)
    assert image[:, 0, 0].tolist() == [0, 1, 1, 0]
