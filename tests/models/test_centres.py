"""What patches of a training are centred on."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models import centres as module
from voxledger.models.centres import centres, chances, lesion_numbers, lesions


def labels_of(*blocks: tuple[int, tuple[slice, slice, slice]]) -> np.ndarray:
    labels = np.zeros((6, 8, 10), np.int16)
    for number, block in blocks:
        labels[block] = number
    return labels


BLOCK, VOXEL, CORNER = (slice(1, 3),) * 3, (slice(5, 6), slice(7, 8), slice(9, 10)), (slice(3, 4),) * 3


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([], {0: 480}),
        ([(1, VOXEL)], {0: 479, 1: 1}),
        ([(1, BLOCK), (2, VOXEL)], {0: 471, 1: 8, 2: 1}),
        ([(3, BLOCK)], {0: 472}),
    ],
    ids=["empty", "single voxel", "two", "only what is not asked for"],
)
def test_voxels_of_every_class(blocks, expected):
    labels = labels_of(*blocks)
    found = centres(labels, [0, 1, 2], np.random.default_rng(0))
    assert {number: len(voxels) for number, voxels in found.items()} == expected
    for number, voxels in found.items():
        assert (labels[tuple(voxels.T)] == number).all()


def test_of_many_voxels_some_are_drawn_by_chance(monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    labels = labels_of((1, BLOCK))
    one, other = (centres(labels, [0, 1], np.random.default_rng(seed)) for seed in (1, 2))
    assert (len(one[0]), len(one[1])) == (50, 8)
    assert (labels[tuple(one[0].T)] == 0).all()
    assert not np.array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[0], centres(labels, [0], np.random.default_rng(1))[0])


def test_lesions_are_pieces_of_all_lesion_classes(schema):
    assert lesion_numbers(schema) == [2]
    labels = labels_of((2, BLOCK), (3, CORNER), (2, VOXEL), (1, (slice(0, 1),) * 3))
    assert [len(voxels) for voxels in lesions(labels, [2, 3])] == [9, 1]  # touching ones of two classes are one
    assert [len(voxels) for voxels in lesions(labels, [2])] == [8, 1]
    assert lesions(labels, []) == lesions(labels_of(), [2]) == []
    assert chances([]).size == 0
