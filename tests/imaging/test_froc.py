"""The curve over all thresholds equals labelling at every threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.imaging.components import connected_components
from voxledger.imaging.froc import case_curve


def labelled(p: Any, lesions: Any, threshold: Any, overlap: float, connectivity: int) -> tuple[int, int, int]:
    """Components, true components and hits of {p > threshold}, by labelling that mask."""
    mask = p > threshold
    labels, count = connected_components(mask, connectivity)
    true = 0
    for k in range(1, count + 1):
        inside = np.count_nonzero(lesions[labels == k])
        true += inside > 0 and inside >= overlap * np.count_nonzero(labels == k) - 1e-9
    hits = 0
    for k in range(1, int(lesions.max(initial=0)) + 1):
        size = np.count_nonzero(lesions == k)
        near = [c for c in range(1, count + 1) if overlap * np.count_nonzero(labels == c) <= size + 1e-9]
        covered = np.count_nonzero(np.isin(labels, near) & (lesions == k))
        hits += covered > 0 and covered >= overlap * np.count_nonzero(lesions == k) - 1e-9
    return count, true, hits


def voxels(lesions: Any) -> list[int]:
    return [int(np.count_nonzero(lesions == k)) for k in range(1, int(lesions.max(initial=0)) + 1)]


def assert_equal_everywhere(p: Any, lesions: Any, overlap: float, connectivity: int) -> None:
    p = np.asarray(p, np.float32)
    curve = case_curve(p, lesions, voxels(lesions), overlap, connectivity)
    assert (np.diff(curve.values) < 0).all()
    values = np.unique(p)
    thresholds = np.unique(np.concatenate([values, np.nextafter(values, np.float32(0)), [np.float32(0.5)]]))
    found = np.stack(curve.at(thresholds), axis=1)
    expected = [labelled(p, lesions, t, overlap, connectivity) for t in thresholds]
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
    levels=st.sampled_from([1, 2, 5, 50, 100000]),
    empty=st.sampled_from([0.0, 0.5, 0.9]),
    lesion_share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    overlap=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    connectivity=st.sampled_from([6, 18, 26]),
)
def test_random_volumes(
    seed: int,
    shape: tuple[int, int, int],
    levels: int,
    empty: float,
    lesion_share: float,
    overlap: float,
    connectivity: int,
) -> None:
    rng = np.random.default_rng(seed)
    p = np.ceil(rng.random(shape) * levels) / levels * (rng.random(shape) >= empty)
    lesions, _ = connected_components(rng.random(shape) < lesion_share)
    assert_equal_everywhere(p, lesions, overlap, connectivity)


@pytest.mark.parametrize("connectivity", [6, 26])
@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_smooth_volume(connectivity: int, overlap: float) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(3)
    p = ndimage.gaussian_filter(rng.random((14, 16, 18)), 1.5)
    p = np.round((p - p.min()) / np.ptp(p), 2)
    lesions, _ = connected_components(p + 0.2 * rng.random(p.shape) > 0.75)
    assert lesions.max() > 2
    assert_equal_everywhere(p, lesions, overlap, connectivity)


def one(shape: tuple[int, int, int] = (4, 4, 4)) -> Any:
    return np.zeros(shape, np.float32)


def test_empty_case() -> None:
    curve = case_curve(one(), one().astype(np.uint8), [])
    assert curve.values.size == 0
    assert [c.tolist() for c in curve.at(np.array([0.0, 0.9], np.float32))] == [[0, 0]] * 3


def test_full_case() -> None:
    full = np.ones((4, 4, 4), np.float32)
    curve = case_curve(full, full.astype(np.uint8), [64])
    assert (curve.values.tolist(), curve.components.tolist(), curve.hits.tolist()) == ([1.0], [1], [1])


def test_single_voxel_in_the_corner() -> None:
    p = one()
    p[3, 3, 3] = 0.25
    curve = case_curve(p, (p > 0).astype(np.uint8), [1])
    assert [c.tolist() for c in curve.at(np.array([0.2, 0.25], np.float32))] == [[1, 0], [1, 0], [1, 0]]


def test_corner_neighbours_meet_at_26_only() -> None:
    p = one()
    p[0, 0, 0] = p[1, 1, 1] = 0.5
    none = p.astype(np.uint8) * 0
    at = np.array([0.1], np.float32)
    assert [int(case_curve(p, none, [], 0.0, n).at(at)[0][0]) for n in (6, 18, 26)] == [2, 2, 1]


def test_rows_do_not_touch_round_the_border() -> None:
    p = one()
    p[0, 0, 3] = p[0, 1, 0] = p[1, 0, 0] = 0.5
    at = np.array([0.1], np.float32)
    assert case_curve(p, p.astype(np.uint8) * 0, [], 0.0, 26).at(at)[0][0] == 2  # the last two touch


def test_lesion_outside_the_window_counts_as_missed() -> None:
    p = one()
    p[1, 1, 1] = 0.5
    lesions = p.astype(np.uint8) * 0
    lesions[1, 1, 1] = 1
    curve = case_curve(p, lesions, [1, 30])
    assert (curve.lesions, curve.hits.max()) == (2, 1)
    assert case_curve(p, lesions, [4, 30], overlap=0.5).hits.max() == 0  # one voxel of four is in the window


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 4, 4\) and lesions of shape \(4, 4, 5\)"):
        case_curve(one(), one((4, 4, 5)).astype(np.uint8), [])


def test_a_component_that_has_grown_too_large_for_a_lesion_no_longer_finds_it() -> None:
    p, lesions = one((1, 1, 12)), one((1, 1, 12)).astype(np.uint8)
    p[0, 0, :11] = np.linspace(0.9, 0.4, 11)
    lesions[0, 0, 0] = 1
    curve = case_curve(p, lesions, [1], overlap=0.1)
    hits = curve.at(np.unique(p)[::-1][1:])[2]  # above the second highest one voxel is left
    assert hits.tolist() == [1] * 10 + [0]
    assert case_curve(p, lesions, [1], overlap=0.1, floor=0.42).hits.tolist() == [1]
