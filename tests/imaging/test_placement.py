"""Where the voxels of one grid lie in another."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from grids import regridded
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.imaging.placement import mismatch, placement, resampled
from voxledger.imaging.volume import Grid

SHAPE, SPACING = (4, 5, 6), (2.5, 0.8, 0.7)
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
IMAGE = Grid(SHAPE, SPACING, (-31.25, 12.5, 100.0), OBLIQUE)


sides = st.tuples(st.integers(-3, 1), st.integers(-3, 1))
geometries = st.tuples(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3), st.tuples(sides, sides, sides))


@settings(max_examples=300, deadline=None)
@given(geometries, st.integers(0, 2**32 - 1))
def test_what_was_drawn_comes_back_voxel_by_voxel(geometry: tuple, seed: int) -> None:
    axes, flips, moved = geometry
    labels = np.random.default_rng(seed).integers(0, 4, SHAPE)
    found, grid = regridded(labels, IMAGE, tuple(axes), flips, moved)
    shift = tuple(a for a, _ in moved)
    at = placement(grid, IMAGE)
    if any(shift) and tuple(n - a - b for n, (a, b) in zip(SHAPE, moved, strict=True)) == SHAPE:
        assert at is None  # as if its origin were lost
        return
    assert at is not None
    back = np.full(SHAPE, -1)
    back[at.inside] = at.cut(found)
    assert np.array_equal(back[at.inside], labels[at.inside])
    outside = np.ones(SHAPE, bool)
    outside[at.inside] = False
    cut = [(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(SHAPE, moved, strict=True)]
    assert at.inside == tuple(slice(*side) for side in cut)
    assert (back[outside] == -1).all()
    assert at.is_cropped is bool(outside.any())
    assert at.beyond(found) == 0


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_boxes_go_along(axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> None:
    labels = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    found, grid = regridded(labels, IMAGE, axes, flips, ((1, 0), (-2, 1), (0, 0)))
    at = placement(grid, IMAGE)
    assert at is not None
    box = slice(1, 3), slice(0, 2), slice(2, 3)
    in_image = at.to_image(box)
    mine = at.ordered(found[box])
    for index, value in np.ndenumerate(mine):
        voxel = tuple(s.start + i for s, i in zip(in_image, index, strict=True))
        if all(0 <= v < n for v, n in zip(voxel, SHAPE, strict=True)):
            assert labels[voxel] == value or value == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spacing": (2.5, 0.8, 0.71)}, "was resampled"),
        ({"spacing": (5.0, 0.8, 0.7)}, "was resampled"),
        ({"origin": (-31.0, 12.5, 100.0)}, "was shifted by part of a voxel"),
        ({"origin": (-31.25, 12.5, 102.5)}, "was shifted"),
        ({"origin": (9000.0, 12.5, 102.5)}, "was shifted by part of a voxel"),
        ({"direction": (1.0, 0, 0, 0, 1, 0, 0, 0, 1)}, "was turned"),
        ({"direction": (0.0,) * 9}, "has a geometry that makes no sense"),
        ({"spacing": (float("nan"), 1.0, 1.0)}, "has a geometry that makes no sense"),
        ({"origin": (float("inf"), 1.0, 1.0)}, "has a geometry that makes no sense"),
    ],
)
def test_other_voxels_have_no_place_and_a_word(change: dict, words: str) -> None:
    label = replace(IMAGE, **change)
    assert placement(label, IMAGE) is None
    assert mismatch(label, IMAGE) == words


def test_rounding_of_headers_is_no_change() -> None:
    label = replace(IMAGE, origin=tuple(float(np.float32(v) + 1e-4) for v in IMAGE.origin))
    at = placement(label, IMAGE)
    assert at is not None
    assert at.steps == []


def test_resampled_takes_the_nearest_voxel() -> None:
    image = Grid.plain((2, 2, 4))
    labels = np.arange(32).reshape(4, 2, 4)
    fine = Grid((4, 2, 4), (0.5, 1.0, 1.0), (0.0, 0.0, 0.0), image.direction)
    assert np.array_equal(resampled(labels, fine, image), labels[[0, 2]])
    short = Grid((1, 2, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), image.direction)
    assert np.array_equal(resampled(labels[1:2], short, image), [labels[1], np.zeros((2, 4))])
