"""Windows that a trunk looks at."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from voxledger.models.trunk import _starts, chosen, padded, tiles


@pytest.mark.parametrize(
    ("shape", "voxels", "windows", "holding"),
    [
        ((4, 4, 4), {5: (0, 0, 0)}, 1, (1,)),
        ((4, 4, 8), {5: (0, 0, 0)}, 2, (1,)),
        ((4, 4, 8), {5: (0, 0, 3)}, 3, (2,)),
        ((4, 4, 8), {}, 3, (0,)),
        ((8, 8, 8), {5: (4, 4, 4)}, 3, (2,)),
        ((4, 4, 40), {5: (0, 0, 0), 6: (0, 0, 20)}, 4, (1, 2)),
        ((4, 4, 40), {5: (0, 0, 20), 6: (0, 0, 21)}, 3, (2, 2)),
        ((4, 4, 40), {}, 6, (0,)),
    ],
    ids=["one window", "one other", "two", "none", "in the middle", "two classes", "side by side", "none in many"],
)
def test_windows_that_hold_a_class_and_some_others(shape, voxels, windows, holding):
    labels = np.zeros(shape, int)
    for number, voxel in voxels.items():
        labels[voxel] = number
    classes = list(voxels) or [5]
    found = chosen(labels, [[number] for number in classes], (4, 4, 4), np.random.default_rng(0))
    assert len(found) == windows
    for number, count in zip(classes, holding, strict=True):
        assert sum(bool((labels[box] == number).any()) for box in found) == count
    assert all(labels[box].shape == (4, 4, 4) for box in found)
    assert len({str(box) for box in found}) == len(found)


def test_windows_reach_the_end_of_an_image_that_no_number_of_patches_fills():
    for size in (4, 5, 9, 11, 12):
        starts = _starts(size, 4, 0.5)
        assert (starts[0], starts[-1]) == (0, size - 4)
        assert all(0 < b - a <= 2 for a, b in pairwise(starts))


def test_images_smaller_than_the_patch_lie_in_its_middle():
    image, labels = padded(np.ones((2, 4, 5), np.float32), np.ones((2, 4, 5), int), (4, 4, 4))
    assert image.shape == labels.shape == (4, 4, 5)
    assert image[:, 0, 0].tolist() == [0, 1, 1, 0]


def test_tiles_cover_an_image_once_where_they_fit():
    shape = (4, 9, 8)
    seen = np.zeros(shape, int)
    boxes = tiles(shape, (4, 4, 4))
    for box in boxes:
        seen[box] += 1
    assert len(boxes) == 3 * 2
    assert seen.min() == 1
    assert (seen.max(1) > 1).all()  # nine voxels are no whole number of fours
    assert (seen[:, 0] == 1).all()
