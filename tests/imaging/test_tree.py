"""Nodes of the component tree against the components of every threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxledger.imaging.components import connected_components
from voxledger.imaging.tree import Spans, component_tree_of

SHAPE = (5, 6, 7)


def noise(seed: int = 4) -> Any:
    rng = np.random.default_rng(seed)
    return (np.ceil(rng.random(SHAPE) * 20) / 20 * (rng.random(SHAPE) > 0.6)).astype(np.float32)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("floor", [0.0, 0.4])
def test_nodes_are_the_components_of_every_threshold(connectivity: int, floor: float) -> None:
    p = noise()
    tree = component_tree_of(p, floor, connectivity)
    weights = np.random.default_rng(0).integers(0, 9, p.shape)
    total, least = tree.total(weights.ravel()[tree.voxel]), tree.least(weights.ravel()[tree.voxel])
    assert tree.levels.tolist() == sorted(set(p[p > np.float32(floor)].tolist()), reverse=True)
    for level, value in enumerate(tree.levels):
        labels, count = connected_components(p >= value, connectivity)
        expected = [(labels == k) for k in range(1, count + 1)]
        there = tree.spans.node[(tree.spans.start <= level) & (level < tree.spans.stop)]
        found = sorted(zip(tree.voxels[there], total[there], least[there], strict=True))
        assert found == sorted((m.sum(), weights[m].sum(), weights[m].min()) for m in expected)


@pytest.mark.parametrize("p", [np.zeros(SHAPE, np.float32), np.full(SHAPE, 0.2, np.float32)])
def test_nothing_above_the_floor(p: Any) -> None:
    tree = component_tree_of(p, 0.2)
    assert (tree.size, tree.levels.size, tree.spans.node.size, tree.voxels.size) == (0, 0, 0, 0)


def test_one_voxel() -> None:
    p = np.zeros(SHAPE, np.float32)
    p[4, 5, 6] = 0.5
    tree = component_tree_of(p)
    assert (tree.voxels.tolist(), tree.voxel.tolist()) == ([1], [p.size - 1])
    assert (tree.spans.start.tolist(), tree.spans.stop.tolist()) == ([0], [1])


def test_spans() -> None:
    spans = Spans(*(np.array(v, np.int32) for v in ([0, 1, 2], [0, 1, 2], [2, 3, 5])))
    assert spans.at_each_level(np.array([1, 10, 100]), 5).tolist() == [1, 11, 110, 100, 100]
    assert spans.greatest(np.array([7, 5, 6]), 6).tolist() == [7, 7, 6, 6, 6, -1]
    assert spans.where(np.array([False, True, True])).node.tolist() == [1, 2]
    assert spans.length(4).tolist() == [2, 2, 3, 0]
    bound = np.array([9, 5, 4, 5, 3])  # of the last node, levels 2 to 4, the one in the middle
    part = spans.between(np.array([5, 5, 5]), np.zeros(5, np.int64), bound)
    assert list(zip(part.node.tolist(), part.start.tolist(), part.stop.tolist(), strict=True)) == [
        (0, 0, 2),
        (1, 1, 2),
        (2, 3, 4),
    ]


def test_what_lies_in_chosen_components() -> None:
    p = np.zeros(SHAPE, np.float32)
    p[2, 3, :] = (0.9, 0.5, 0.1, 0.5, 0.8, 0.0, 0.3)
    tree = component_tree_of(p)
    level = int(np.flatnonzero(tree.levels == np.float32(0.5))[0])
    here = (tree.spans.start <= level) & (level < tree.spans.stop)
    chosen = tree.spans.where(np.isin(np.arange(tree.size), tree.spans.node[here]) & (tree.voxels == 2))
    assert sorted(tree.voxel[tree.held(chosen)] % SHAPE[2]) == [0, 1, 3, 4]
