from __future__ import annotations

import numpy as np
import pytest

from voxledger.imaging.boxes import (
    Box,
    absolute,
    aligned,
    bounding_box,
    grown,
    intersection,
    label_boxes,
    parts,
    relative,
    shape_of,
    union,
    view,
    whole,
)

A: Box = (slice(0, 4), slice(2, 6), slice(0, 9))
B: Box = (slice(2, 8), slice(0, 3), slice(4, 5))
APART: Box = (slice(4, 5), slice(2, 6), slice(0, 9))


def test_bounding_box() -> None:
    mask = np.zeros((4, 5, 6), bool)
    assert bounding_box(mask) is None
    mask[2, 0, 5] = True
    assert bounding_box(mask) == (slice(2, 3), slice(0, 1), slice(5, 6))
    assert bounding_box(mask, margin=2) == (slice(0, 4), slice(0, 3), slice(3, 6))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
def test_boxes_of_all_ids_are_those_of_their_masks(kind: type) -> None:
    labels = np.random.default_rng(0).choice([0, 1, 4, 7], (6, 7, 8), p=[0.9, 0.04, 0.04, 0.02]).astype(kind)
    assert label_boxes(labels) == {i: bounding_box(labels == i) for i in (1, 4, 7)}
    assert label_boxes(np.zeros((2, 2, 2), kind)) == {}


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [
        (A, B, (slice(2, 4), slice(2, 3), slice(4, 5))),
        (A, APART, None),
        (A, None, None),
        (None, None, None),
    ],
)
def test_intersection(a: Box | None, b: Box | None, shared: Box | None) -> None:
    assert intersection(a, b) == intersection(b, a) == shared


@pytest.mark.parametrize(
    ("boxes", "around"),
    [([A, B], (slice(0, 8), slice(0, 6), slice(0, 9))), ([None, B], B), ([None], None), ([], None)],
)
def test_union(boxes: list[Box | None], around: Box | None) -> None:
    assert union(boxes) == around


def test_coordinates_of_a_box_around_and_back() -> None:
    array = np.arange(10 * 10 * 10).reshape(10, 10, 10)
    outer: Box = (slice(1, 9), slice(2, 8), slice(3, 10))
    inner: Box = (slice(4, 6), slice(2, 7), slice(9, 10))
    assert absolute(relative(inner, outer), outer) == inner
    assert shape_of(inner) == (2, 5, 1)
    seen = view(array[outer], outer, inner)
    assert np.array_equal(seen, array[inner])
    assert np.shares_memory(seen, array)


def test_grown_and_aligned_end_where_the_array_does() -> None:
    assert grown(B, 3, (10, 10, 7)) == (slice(0, 10), slice(0, 6), slice(1, 7))
    assert aligned(B, (4, 4, 3), (7, 10, 10)) == (slice(0, 7), slice(0, 4), slice(3, 6))
    assert grown(B, (3, 0, 1), (10, 10, 7)) == (slice(0, 10), slice(0, 3), slice(3, 6))
    assert whole((3, 1, 2)) == (slice(0, 3), slice(0, 1), slice(0, 2))


NOWHERE: Box = (slice(0, 0),) * 3


@pytest.mark.parametrize("others", [[], [B], [A], [A, B], [B, B, APART], [NOWHERE], [NOWHERE, B]])
def test_parts_are_the_box_cut_where_others_begin_and_end(others: list[Box]) -> None:
    seen = np.zeros((10, 10, 10), int)
    inside = np.zeros((len(others), 10, 10, 10), int)
    for part, asked in parts(A, others):
        seen[part] += 1
        for i in asked:
            inside[(i, *part)] += 1
    expected = np.zeros_like(seen)
    expected[A] = 1
    assert np.array_equal(seen, expected)
    for of_one, other in zip(inside, others, strict=True):
        expected = np.zeros_like(seen)
        if (shared := intersection(A, other)) is not None:
            expected[shared] = 1
        assert np.array_equal(of_one, expected)
    if not others or others == [A]:
        assert [part for part, _ in parts(A, others)] == [A]
