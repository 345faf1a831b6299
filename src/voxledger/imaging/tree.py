"""The components of a probability map at every threshold, as the nodes of one tree.

A node is a component of {p >= level}, and stands until a voxel more or a neighbour makes another one of it: from the
level at which it appears down to that of its parent. Levels are numbered from 0, the highest. What is a sum or a least
value over the voxels of a component costs one pass over the tree for all nodes together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Spans:
    """Components, each at some levels in a row. A node may have several spans: a bound may change by level."""

    node: Integers
    start: Integers
    stop: Integers
    """One past the last level."""

    def where(self, holds: npt.NDArray[np.bool_]) -> Spans:
        """The spans of the nodes for which something holds."""
        chosen = holds[self.node]
        return Spans(self.node[chosen], self.start[chosen], self.stop[chosen])

    def between(self, quantity: Numbers, least: Numbers, most: Numbers) -> Spans:
        """The levels at which the quantity of a node lies between two bounds, ends included.

        Parameters
        ----------
        quantity
            One entry a node.
        least, most
            One entry a level.
        """
        from voxledger.imaging import component_tree

        span, start, stop = component_tree.runs(self.start, self.stop, quantity[self.node], least, most)
        return Spans(self.node[span], start, stop)

    def at_each_level(self, quantity: Numbers, levels: int) -> npt.NDArray[np.float64]:
        """Sum of a quantity of nodes over the components of every level; exact for integers."""
        found = np.zeros(levels + 1)
        found += np.bincount(self.start, quantity[self.node], levels + 1)
        found -= np.bincount(self.stop, quantity[self.node], levels + 1)
        return np.cumsum(found)[:-1]

    def greatest(self, quantity: npt.NDArray[np.int64], levels: int) -> npt.NDArray[np.int64]:
        """Greatest quantity among the components of every level; −1 where there is none."""
        from voxledger.imaging import component_tree

        found = np.full(levels, -1, np.int64)
        component_tree.greatest(self.start, self.stop, quantity[self.node], found)
        return found

    def length(self, nodes: int) -> npt.NDArray[np.float64]:
        """Number of levels of every node."""
        return np.bincount(self.node, self.stop - self.start, nodes).astype(np.float64)


@dataclass(frozen=True, eq=False)
class ComponentTree:
    """The components of a map at every threshold."""

    levels: npt.NDArray[np.float32]
    """The distinct probabilities, descending."""
    start: Integers
    """Level at which a node appears; children come before their parents."""
    parent: Integers
    """−1 for the last of a component."""
    voxel: Integers
    """Place of every voxel in the map, flattened."""
    node: Integers
    """Node at which each of these enters."""

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.start.size

    @cached_property
    def spans(self) -> Spans:
        """All nodes, each from the level at which it appears down to that of its parent."""
        ends = np.append(self.start, np.int32(self.levels.size))
        stop = ends[self.parent]
        node = np.flatnonzero(self.start < stop).astype(np.int32)
        return Spans(node, self.start[node], stop[node])

    @cached_property
    def voxels(self) -> npt.NDArray[np.int64]:
        """Voxels of every node."""
        return self.total(np.ones(self.voxel.size)).astype(np.int64)

    def total(self, values: Numbers, entering: Integers | None = None) -> npt.NDArray[np.float64]:
        """Sum of values over every component; exact for integers.

        Parameters
        ----------
        values
            One entry a voxel, in the order of `voxel`.
        entering
            Node at which each counts; by default that at which its voxel enters.
        """
        from voxledger.imaging import component_tree

        found = np.bincount(self.node if entering is None else entering, values, self.size).astype(np.float64)
        component_tree.add_up(self.parent, found)
        return found

    def least(self, values: Numbers) -> npt.NDArray[np.float64]:
        """Least value in every component; `values` has one entry a voxel."""
        from voxledger.imaging import component_tree

        found = np.full(self.size, np.inf)
        np.minimum.at(found, self.node, values)
        component_tree.lowest(self.parent, found)
        return found

    def held(self, spans: Spans) -> npt.NDArray[np.bool_]:
        """Whether a voxel, in the order of `voxel`, lies in any of some components."""
        from voxledger.imaging import component_tree

        marked = np.zeros(self.size, np.bool_)
        marked[spans.node] = True
        component_tree.hand_down(self.parent, marked)
        return marked[self.node]


def component_tree_of(
    probability: npt.NDArray[np.float32],
    floor: float = 0.0,
    connectivity: int = 26,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> ComponentTree:
    """The tree of a map from one pass over it.

    Parameters
    ----------
    probability
        Probability (z, y, x), finite and in [0, 1].
    floor
        Voxels up to this belong to no component.
    connectivity
        6, 18 or 26: how voxels of a component touch.
    wanted
        Voxels (z, y, x) that have to be in the tree. All by default; else the first of every component, without which
        it would not be there, and these: counts of voxels are those of what is in the tree.
    """
    from voxledger.imaging import component_tree as passes

    offsets = neighbour_offsets(probability.shape, connectivity)
    padded = np.zeros(math.prod(n + 2 for n in probability.shape), np.float32)
    index, voxel = np.empty(probability.size, np.int32), np.empty(probability.size, np.int32)
    count = passes.collect(probability, np.float32(floor), padded, index, voxel)
    index, voxel = index[:count], voxel[:count]
    basin = np.zeros(padded.size, np.int32)
    maxima = passes.basins(padded, index, offsets, basin)
    met, *basins = passes.meetings(padded, index, basin, offsets)
    if wanted is not None:
        chosen = np.union1d(maxima, np.flatnonzero(wanted.ravel()[voxel]))
        index, voxel = index[chosen], voxel[chosen]
    own = -1 - basin[index]
    values = np.concatenate([padded[index], met])
    order = passes.descending(values.view(np.uint32))
    first, second = (np.concatenate([own, other])[order] for other in basins)
    levels, start, parent, entered = passes.build(values[order], first, second, maxima.size)
    node = np.empty(order.size, np.int32)
    node[order] = entered
    return ComponentTree(levels, start, parent, voxel.copy(), node[: voxel.size].copy())


def neighbour_offsets(shape: tuple[int, ...], connectivity: int) -> npt.NDArray[np.uint64]:
    """Distance in flat index from a voxel to its neighbours, in an array of `shape` padded by 1 on all sides.

    Ascending; distances back are in two's complement, so that adding them wraps round.
    """
    reach = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = [
        (z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if 0 < abs(z) + abs(y) + abs(x) <= reach
    ]
    distances = [(z * (shape[1] + 2) + y) * (shape[2] + 2) + x for z, y, x in steps]
    return np.array(distances, np.int64).view(np.uint64)
