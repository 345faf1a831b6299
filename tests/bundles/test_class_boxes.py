"""Boxes of classes: what is computed in them is what whole label maps say."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.bundles.check import EXAMPLE
from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import Grid, mask_sha256


@pytest.mark.parametrize("ids", [[], [1], [3], [2, 3], [4, 6], [1, 2, 3, 4, 5, 6]])
def test_boxes_and_hashes_are_those_of_masks(ids: list[int]) -> None:
    rng, grid = np.random.default_rng(len(ids)), Grid.plain((9, 10, 11), (2.0, 1.0, 1.0))
    one, other = (np.zeros(grid.shape, np.uint8) for _ in range(2))
    for value in ids:
        one[tuple(rng.integers(0, grid.shape))] = value
        other[tuple(rng.integers(0, grid.shape, (3, 3)).T)] = value
    boxes = ClassBoxes(EXAMPLE)
    for name in EXAMPLE.names:
        masks = [EXAMPLE.mask(labels, name) for labels in (one, other)]
        assert boxes.box(name, one) == bounding_box(masks[0])
        assert boxes.box(name, one, other) == bounding_box(masks[0] | masks[1])
        for labels, mask in zip((one, other), masks, strict=True):
            assert boxes.mask_sha256(name, labels, grid) == mask_sha256(mask, grid)
