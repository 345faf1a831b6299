"""What a rule sees of one class at every threshold: the nodes of its component tree, among the masks of other classes.

A component that some threshold gives is a node, and most nodes stand at many thresholds. Where a rule measures what is
a sum or a least value over voxels, one pass over the tree measures all nodes (`total`, `least`); `spans` says which
nodes are left at which level when the rule has its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.filter.proposal import Mask, Proposal, Region
from voxledger.imaging.boxes import Box, absolute, bounding_box
from voxledger.imaging.tree import ComponentTree, Spans, component_tree_of

Values = npt.NDArray[Any]
"""One entry a voxel of the tree."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """The components of one class at every threshold, and the proposal without that class."""

    proposal: Proposal
    """The other classes, as they are at this point of the chain."""
    name: str
    box: Box
    probability: npt.NDArray[np.float32]
    """Mean of the models (z, y, x) inside the box, 0 where it is no part of any component."""
    tree: ComponentTree
    spans: Spans
    """What is left."""

    @property
    def levels(self) -> int:
        """Number of levels of the tree, as in the tables that `Spans.between` takes."""
        return self.tree.levels.size

    @property
    def voxels(self) -> npt.NDArray[np.int64]:
        """Voxels of every node."""
        return self.tree.voxels

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        """Where the voxels of the tree lie in the box, (n, 3: z, y, x)."""
        return np.stack(np.unravel_index(self.tree.voxel, self.probability.shape), axis=1)

    def at(self, window: npt.NDArray[Any]) -> Values:
        """Values of an array (z, y, x) that fills the box."""
        return np.asarray(window.ravel()[self.tree.voxel])

    def lies_in(self, *names: str) -> npt.NDArray[np.bool_]:
        """Which voxels lie in any of some other classes."""
        found = np.zeros(self.tree.voxel.size, np.bool_)
        for name in names:
            found |= self.at(self.proposal.mask(name, self.box))
        return found

    def total(self, values: Values) -> npt.NDArray[np.float64]:
        """Sum over the voxels of every node; exact for integers."""
        return self.tree.total(values)

    def least(self, values: Values) -> npt.NDArray[np.float64]:
        """Least value in every node."""
        return self.tree.least(values)

    @cached_property
    def intensity(self) -> npt.NDArray[np.float64]:
        """Intensity of every voxel."""
        return self.at(self.proposal.image[self.box]).astype(np.float64)

    def distance(self, names: Sequence[str], within: float) -> npt.NDArray[np.float64]:
        """Distance of every voxel in mm to the nearest one of any of some other classes; infinite beyond `within`.

        Between voxel centres, and 0 inside; the least of a node is what `voxledger.filter.distance.distances` measures.
        """
        from scipy.spatial import cKDTree

        from voxledger.filter.distance import surface_mm

        regions = [region for name in names if (region := self.proposal.region(name)) is not None]
        found = np.where(self.lies_in(*names), 0.0, np.inf)
        if regions and within > 0:
            spacing = self.proposal.spacing
            surface = cKDTree(np.concatenate([surface_mm(r.mask, r.box, spacing) for r in regions]))
            outside = np.isinf(found)
            start = np.array([s.start for s in self.box])
            reach = within * 1.001 + 1e-6  # what is farther need not be found
            nearest, _ = surface.query((self.places[outside] + start) * spacing, distance_upper_bound=reach)
            found[outside] = nearest
        return found

    @cached_property
    def core(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
        """Which voxels ever have all six neighbours in their component, and the node from which on each has."""
        shape = self.probability.shape
        padded = np.pad(self.probability, 1)
        node = np.full(padded.size, -1, np.int32)
        here = np.ravel_multi_index(tuple(self.places.T + 1), padded.shape)
        node[here] = self.tree.node
        flat, lowest = padded.ravel(), here.copy()
        for step in ((shape[1] + 2) * (shape[2] + 2), shape[2] + 2, 1):
            for other in (here - step, here + step):
                lowest = np.where(flat[other] < flat[lowest], other, lowest)
        inner = flat[lowest] > 0
        return inner, node[lowest[inner]]

    def region(self) -> Region:
        """All voxels that are left at any threshold."""
        mask = np.zeros(self.probability.shape, np.bool_)
        mask.ravel()[self.tree.voxel[self.tree.held(self.spans)]] = True
        return Region(self.box, mask)

    def without(self, gone: Mask) -> Nodes:
        """The components that are left once some voxels (z, y, x, of the box) are taken from all of them."""
        from voxledger.imaging.component_tree import inherited

        probability = np.where(gone, np.float32(0), self.probability)
        rest = component_tree_of(probability)
        level = np.searchsorted(-self.tree.levels, -rest.levels).astype(np.int32)
        rest = replace(rest, levels=self.tree.levels, start=level[rest.start])
        order = np.argsort(self.spans.node, kind="stable")
        first = np.searchsorted(self.spans.node[order], np.arange(self.tree.size + 1))
        node_at = np.full(probability.size, -1, np.int32)
        node_at[self.tree.voxel] = self.tree.node
        mine = rest.spans
        some = np.full(rest.size, -1, np.int64)
        some[rest.node[::-1]] = rest.voxel[::-1]
        span, start, stop = inherited(
            *(mine.start, mine.stop, node_at[_of_same_level(rest, some)[mine.node]]),
            *(self.tree.start, self.tree.parent, first, self.spans.start[order], self.spans.stop[order]),
        )
        return replace(self, probability=probability, tree=rest, spans=Spans(mine.node[span], start, stop))


def nodes_of(proposal: Proposal, name: str, floor: float) -> Nodes | None:
    """The components of a class at all thresholds from `floor` up; None where the models predict it nowhere above.

    Parameters
    ----------
    proposal
        The masks of the other classes.
    """
    from voxledger.imaging.soft import ensemble_box, ensemble_mean

    box = ensemble_box(proposal.predictions, name)
    if box is None:
        return None
    mean = ensemble_mean(proposal.predictions, name, box)
    tight = bounding_box(mean > np.float32(floor))
    if tight is None:
        return None
    probability = np.where(mean[tight] > np.float32(floor), mean[tight], np.float32(0))
    tree = component_tree_of(probability)
    return Nodes(proposal, name, absolute(tight, box), probability, tree, tree.spans)


def _of_same_level(tree: ComponentTree, some: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A voxel that enters each node, also where it is noted at a node of the same level below."""
    below = np.flatnonzero((tree.parent >= 0) & (tree.start == tree.start[tree.parent]))
    for node in below:
        if some[tree.parent[node]] < 0:
            some[tree.parent[node]] = some[node]
    return some
