"""Components at every threshold from one pass over a probability map. Imported lazily: numba compiles it.

Every voxel points to a higher neighbour, so that all voxels fall into the basins of the local maxima. A voxel above
a threshold hangs together with the maximum of its basin there, so only maxima, where a component is born, and places
where two basins touch, where two may meet, can change the number of components. Those alone are sorted and joined
by union-find; this is the component tree of Najman and Couprie (2006) with all that carries no information left out.
Of two equal voxels the first in (z, y, x) counts as the higher one.

Arrays as large as the map are made by the caller with numpy, which asks for huge pages; numba does not, and then
handing out the memory takes longer than the work.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_TABLE = 1 << 14

jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[untyped-decorator]
def collect(probability: Array, floor: np.float32, padded: Array, index: Array, voxel: Array) -> int:
    """Find the voxels above `floor` of a map (z, y, x); returns how many.

    Fills `padded`, the map padded by 1 on all sides and flattened (zeros before), and for each voxel `index`, its place
    in `padded`, and `voxel`, its place in the map.
    """
    depth, height, width = probability.shape
    n = 0
    for z in range(depth):
        for y in range(height):
            some = 0
            for x in range(width):  # compiled to wide instructions, and most rows are empty
                some += probability[z, y, x] > floor
            if some == 0:
                continue
            row = ((z + 1) * (height + 2) + y + 1) * (width + 2) + 1
            for x in range(width):
                if probability[z, y, x] > floor:
                    padded[row + x] = probability[z, y, x]
                    index[n] = row + x
                    voxel[n] = (z * height + y) * width + x
                    n += 1
    return n


@jit  # type: ignore[untyped-decorator]
def basins(padded: Array, index: Array, offsets: Array, target: Array) -> Array:
    """Fill `target` (zeros before) with the basin of every voxel in `index` as −1 − number, at its padded index.

    Returns the positions of the maxima in `index`, by the number of their basin.
    """
    maxima = np.empty(index.size, np.int32)
    count = 0
    half = offsets.size // 2  # the neighbours before a voxel, which win a tie, and those after it
    for n in range(index.size):
        here = np.uint64(index[n])
        value = padded[here]
        goal = offsets.size
        for k in range(offsets.size):
            other = padded[here + offsets[k]]
            if other > value or (other == value and k < half):
                goal = k
                break
        if goal < offsets.size:
            there = here + offsets[goal]
            target[here] = target[there] if target[there] < 0 else np.int32(there)
        else:
            maxima[count] = n
            count += 1
            target[here] = -count
    for here in index:
        end = target[here]
        if end < 0:
            continue
        while end >= 0:
            end = target[end]
        step = here
        while target[step] >= 0:
            following = target[step]
            target[step] = end
            step = following
    return maxima[:count].copy()


@jit  # type: ignore[untyped-decorator]
def meetings(padded: Array, index: Array, basin: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """Where two basins touch: the value at which they join there, and the numbers of both.

    A touch at a value below that of another one of the same two basins says nothing new; a small table of those seen
    last keeps most of them out.
    """
    capacity = index.size + 1024
    values = np.empty(capacity, np.float32)
    first, second = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    seen, seen_value = np.full(_TABLE, -1, np.int64), np.empty(_TABLE, np.float32)
    before = offsets[: offsets.size // 2]  # each pair of neighbours is looked at once
    count = 0
    for n in range(index.size):
        here = np.uint64(index[n])
        own = basin[here]
        differs = np.int32(0)
        for k in range(before.size):  # without branches, which processors guess wrong
            other = basin[here + before[k]]
            differs |= (other ^ own) * np.int32(other != 0)
        if differs == 0:
            continue
        if count + before.size > capacity:
            capacity *= 2
            values, first, second = _longer(values, capacity), _longer(first, capacity), _longer(second, capacity)
        for k in range(before.size):
            other = basin[here + before[k]]
            if other == own or other == 0:
                continue
            value = min(padded[here], padded[here + before[k]])
            low, high = -1 - max(own, other), -1 - min(own, other)
            pair = (np.int64(high) << 31) | np.int64(low)
            place = ((low * 40503) ^ (high * 30011)) & (_TABLE - 1)
            if seen[place] == pair and seen_value[place] >= value:
                continue
            seen[place], seen_value[place] = pair, value
            values[count], first[count], second[count] = value, low, high
            count += 1
    return values[:count].copy(), first[:count].copy(), second[:count].copy()


@jit  # type: ignore[untyped-decorator]
def _longer(values: Array, size: int) -> Array:
    longer = np.empty(size, values.dtype)
    longer[: values.size] = values
    return longer


@jit  # type: ignore[untyped-decorator]
def descending(bits: Array) -> Array:
    """Stable order of `bits` (uint32) from high to low: a radix sort in three passes of 11 bits."""
    mask = np.uint32(2047)
    histogram = np.zeros((3, 2048), np.int64)
    for key in bits:
        for digit in range(3):
            histogram[digit, (key >> np.uint32(11 * digit)) & mask] += 1
    order = np.arange(bits.size).astype(np.int32)
    for digit in range(3):
        if histogram[digit].max() == bits.size:
            continue
        start = np.empty(2048, np.int64)
        total = 0
        for value in range(2047, -1, -1):
            start[value] = total
            total += histogram[digit, value]
        following = np.empty_like(order)
        for n in order:
            value = (bits[n] >> np.uint32(11 * digit)) & mask
            following[start[value]] = n
            start[value] += 1
        order = following
    return order


@jit  # type: ignore[untyped-decorator]
def build(values: Array, first: Array, second: Array, basin_count: int) -> tuple[Array, Array, Array, Array]:
    """Add voxels and meetings of basins in the order given, from high to low; a component gets a node where it changes.

    Parameters
    ----------
    values, first, second
        A voxel names its basin twice; a meeting names two basins, and comes after all voxels of its value.

    Returns
    -------
    levels
        The distinct values, descending.
    start
        Number of the level at which a node appears. Children come before their parents.
    parent
        The node that takes its place, at a lower level, or at the same one where a node never stands alone; −1: none.
    entered
        Node of every voxel, −1 for meetings.
    """
    group, weight = np.full(basin_count, -1, np.int32), np.zeros(basin_count, np.int32)
    top = np.full(basin_count, -1, np.int32)  # the node that the component of a basin stands at
    levels = np.empty(values.size, np.float32)
    start, parent = np.empty(values.size, np.int32), np.full(values.size, -1, np.int32)
    entered = np.full(values.size, -1, np.int32)
    nodes, level = 0, -1
    for n in range(values.size):
        if n == 0 or values[n] != values[n - 1]:
            level += 1
            levels[level] = values[n]
        root, other = _root(group, first[n]), np.int32(-1)
        group[root] = root
        old = top[root]
        if first[n] != second[n]:
            other = _root(group, second[n])
            if other == root:
                continue
            if weight[other] > weight[root]:
                root, other = other, root
            group[root] = group[other] = root
            weight[root] += weight[other] + 1
            old, joined = min(top[root], top[other]), max(top[root], top[other])
            top[root] = joined
            if start[joined] == level:
                parent[old] = joined
                continue
            parent[joined] = nodes
        if old < 0 or start[old] != level:
            if old >= 0:
                parent[old] = nodes
            start[nodes] = level
            top[root] = nodes
            nodes += 1
        if other < 0:
            entered[n] = top[root]
    return levels[: level + 1].copy(), start[:nodes].copy(), parent[:nodes].copy(), entered


@jit  # type: ignore[untyped-decorator]
def _root(group: Array, basin: int) -> int:
    while group[basin] >= 0 and group[basin] != basin:
        group[basin] = group[group[basin]]
        basin = group[basin]
    return basin


@jit  # type: ignore[untyped-decorator]
def add_up(parent: Array, values: Array) -> None:
    """Add to every node what the nodes below it have."""
    for n in range(parent.size):
        if parent[n] >= 0:
            values[parent[n]] += values[n]


@jit  # type: ignore[untyped-decorator]
def lowest(parent: Array, values: Array) -> None:
    """Give every node the least of what it and the nodes below it have."""
    for n in range(parent.size):
        if parent[n] >= 0 and values[n] < values[parent[n]]:
            values[parent[n]] = values[n]


@jit  # type: ignore[untyped-decorator]
def hand_down(parent: Array, marked: Array) -> None:
    """Mark every node that lies below a marked one."""
    for n in range(parent.size - 1, -1, -1):
        if parent[n] >= 0 and marked[parent[n]]:
            marked[n] = True


@jit  # type: ignore[untyped-decorator]
def runs(start: Array, stop: Array, quantity: Array, least: Array, most: Array) -> tuple[Array, Array, Array]:
    """Parts of spans of levels in which `quantity` lies between two bounds, ends included: (span, start, stop)."""
    span, begin = np.empty(start.size + 16, np.int32), np.empty(start.size + 16, np.int32)
    end = np.empty(start.size + 16, np.int32)
    count = 0
    for n in range(start.size):
        since = -1
        for level in range(start[n], stop[n] + 1):
            fits = level < stop[n] and least[level] <= quantity[n] <= most[level]
            if fits and since < 0:
                since = level
            elif not fits and since >= 0:
                if count == span.size:
                    span, begin, end = _doubled(span), _doubled(begin), _doubled(end)
                span[count], begin[count], end[count] = n, since, level
                count += 1
                since = -1
    return span[:count].copy(), begin[:count].copy(), end[:count].copy()


@jit  # type: ignore[untyped-decorator]
def greatest(start: Array, stop: Array, quantity: Array, found: Array) -> None:
    """Raise `found`, one entry a level, to the greatest quantity of the spans that hold the level."""
    for n in range(start.size):
        for level in range(start[n], stop[n]):
            if quantity[n] > found[level]:
                found[level] = quantity[n]


@jit  # type: ignore[untyped-decorator]
def inherited(
    start: Array, stop: Array, held: Array, appears: Array, parent: Array, first: Array, begin: Array, end: Array
) -> tuple[Array, Array, Array]:
    """Parts of spans in which the node of another tree that holds them there is kept: (span, start, stop).

    Parameters
    ----------
    start, stop
        The spans.
    held
        Node of the other tree that a voxel of each span enters at; its level is not below the start of the span.
    appears, parent
        `start` and `parent` of the other tree.
    first, begin, end
        Kept spans of the other tree: those of node n are `first[n]` to `first[n + 1]`.
    """
    span, low = np.empty(start.size + 16, np.int32), np.empty(start.size + 16, np.int32)
    high = np.empty(start.size + 16, np.int32)
    count = 0
    for n in range(start.size):
        node = held[n]
        while node >= 0 and appears[node] < stop[n]:
            for k in range(first[node], first[node + 1]):
                since, until = max(begin[k], start[n]), min(end[k], stop[n])
                if since < until:
                    if count == span.size:
                        span, low, high = _doubled(span), _doubled(low), _doubled(high)
                    span[count], low[count], high[count] = n, since, until
                    count += 1
            node = parent[node]
    return span[:count].copy(), low[:count].copy(), high[:count].copy()


@jit  # type: ignore[untyped-decorator]
def _doubled(values: Array) -> Array:
    longer = np.empty(2 * values.size, values.dtype)
    longer[: values.size] = values
    return longer
