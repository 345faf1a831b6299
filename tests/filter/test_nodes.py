"""What rules measure of nodes is what they measure of components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from voxledger.filter.distance import distances
from voxledger.filter.nodes import nodes_of
from voxledger.filter.proposal import Proposal
from voxledger.filter.rules.mean_hu import core_hu

ORGAN = (slice(2, 8), slice(4, 16), slice(4, 14), 0.9)
BALL = [(slice(4, 9), slice(6, 11), slice(10, 15), 0.2), (slice(5, 8), slice(7, 10), slice(11, 14), 0.6)]
BALL += [(6, 8, 12, 0.9)]
APART = [(1, 20, 25, 0.3), (1, 20, 26, 0.2)]


@pytest.fixture(params=[(1.0, 1.0, 1.0), (5.0, 0.7, 0.8)])
def proposal(request: Any, propose: Callable[..., Proposal]) -> Proposal:
    image = np.random.default_rng(1).integers(-1500, 1500, (12, 24, 30)).astype(np.int16)
    return propose({"pancreas": [ORGAN], "pdac": [*BALL, *APART]}, spacing=request.param, image=image)


@pytest.mark.parametrize("threshold", [0.8, 0.5, 0.25, 0.1, 0.01])
def test_measures_at_every_threshold(proposal: Proposal, threshold: float) -> None:
    nodes = nodes_of(proposal, "pdac", 0.003)
    assert nodes is not None
    level = int((nodes.tree.levels > threshold).sum()) - 1
    there = nodes.spans.node[(nodes.spans.start <= level) & (level < nodes.spans.stop)]
    there = there[np.argsort(nodes.least(nodes.tree.voxel)[there])]
    one = proposal.at(["pdac"], threshold)
    components = one.components("pdac")
    assert nodes.voxels[there].tolist() == [c.voxels for c in components]
    near = nodes.least(nodes.distance(["pancreas"], 1000.0))[there]
    assert near == pytest.approx(distances(one, components, ["pancreas"]), rel=1e-12)
    inner, entering = nodes.core
    hu = np.clip(nodes.intensity, -1000, 1000)
    voxels = nodes.tree.total(np.ones(entering.size), entering)[there]
    total, whole = nodes.tree.total(hu[inner], entering)[there], nodes.total(hu)[there] / nodes.voxels[there]
    core = np.where(voxels > 0, total / np.maximum(voxels, 1), whole)
    assert core.tolist() == [core_hu(one, c) for c in components]
    assert nodes.total(nodes.lies_in("pancreas"))[there].tolist() == [
        np.count_nonzero(c.mask & one.mask("pancreas", c.box)) for c in components
    ]


def test_distance_beyond_reach_is_infinite(proposal: Proposal) -> None:
    nodes = nodes_of(proposal, "pdac", 0.003)
    assert nodes is not None
    assert set(nodes.distance(["pancreas"], 0.0).tolist()) == {0.0, np.inf}
    assert set(nodes.distance(["liver"], 1000.0).tolist()) == {np.inf}
    far = nodes.distance(["pancreas"], 3.0)
    whole = nodes.distance(["pancreas"], 1000.0)
    np.testing.assert_array_equal(far[whole <= 3.0], whole[whole <= 3.0])


def test_what_is_left_without_some_voxels(proposal: Proposal) -> None:
    """Cut in two, both halves stand wherever the whole was left."""
    nodes = nodes_of(proposal, "pdac", 0.003)
    assert nodes is not None
    gone = (np.arange(12)[:, None, None] == 6) & np.ones(proposal.grid.shape, np.bool_)
    rest = nodes.without(gone[nodes.box])
    assert rest.spans.at_each_level(np.ones(rest.tree.size), rest.levels).tolist() == [0, 2, 3, 3]
    kept = nodes.spans.between(nodes.voxels, np.zeros(nodes.levels), np.array([99, 0, 99, 99]))
    assert kept.at_each_level(np.ones(nodes.tree.size), nodes.levels).tolist() == [1, 0, 2, 1]
    rest = replace(nodes, spans=kept).without(gone[nodes.box])
    assert rest.spans.at_each_level(np.ones(rest.tree.size), rest.levels).tolist() == [0, 0, 3, 1]


def test_nothing_above_the_floor(proposal: Proposal) -> None:
    assert nodes_of(proposal, "cyst", 0.003) is None
    assert nodes_of(proposal, "pdac", 0.95) is None
