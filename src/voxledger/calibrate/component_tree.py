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
ROUNDING = 1e-9
"""Voxels; a share that is met exactly must not fail for the rounding of a product."""

_TABLE = 1 << 14

jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[untyped-decorator]
def collect(probability: Array, lesions: Array, padded: Array, index: Array, lesion: Array) -> int:
    """Find the voxels above 0 of a map (z, y, x); returns how many.

    Fills `padded`, the map padded by 1 on all sides and flattened (zeros before), and for each voxel `index`, its place
    in `padded`, and `lesion`, its lesion.
    """
    depth, height, width = probability.shape
    n = 0
    for z in range(depth):
        for y in range(height):
            some = 0
            for x in range(width):  # compiled to wide instructions, and most rows are empty
                some += probability[z, y, x] > 0
            if some == 0:
                continue
            row = ((z + 1) * (height + 2) + y + 1) * (width + 2) + 1
            for x in range(width):
                if probability[z, y, x] > 0:
                    padded[row + x] = probability[z, y, x]
                    index[n] = row + x
                    lesion[n] = lesions[z, y, x]
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
def grow(
    values: Array, first: Array, second: Array, lesion: Array, basin_count: int, sizes: Array, overlap: float
) -> tuple[Array, Array, Array, Array]:
    """Add voxels and meetings of basins in the order given, from high to low, and count after each distinct value.

    Parameters
    ----------
    values, first, second, lesion
        A voxel names its basin twice, and its lesion; a meeting names two basins.
    sizes
        Voxels of every lesion, by its number; index 0 unused.
    overlap
        Share that makes a hit, see `froc`; above 0 every voxel has to be given.

    Returns
    -------
    values, components, true components, lesions hit
        One entry a distinct value at which any of the three counts changes.
    """
    parent = np.full(basin_count, -1, np.int32)
    voxels, inside = np.zeros(basin_count, np.int32), np.zeros(basin_count, np.int32)
    covered, needed = np.zeros(sizes.size, np.int64), np.empty(sizes.size, np.int64)
    for k in range(sizes.size):
        needed[k] = max(1, np.ceil(overlap * sizes[k] - ROUNDING))
    out = np.empty(values.size, np.float32)
    counts = np.empty((3, values.size), np.int64)
    events = components = true = hits = 0
    for n in range(values.size):
        root = _root(parent, first[n])
        components += parent[root] < 0
        parent[root] = root
        if first[n] == second[n]:
            true -= _is_true(voxels[root], inside[root], overlap)
            voxels[root] += 1
            if lesion[n] > 0:
                inside[root] += 1
                covered[lesion[n]] += 1
                hits += covered[lesion[n]] == needed[lesion[n]]
            true += _is_true(voxels[root], inside[root], overlap)
        else:
            other = _root(parent, second[n])
            components += parent[other] < 0
            parent[other] = other
            if other != root:
                true -= _is_true(voxels[root], inside[root], overlap) + _is_true(voxels[other], inside[other], overlap)
                if voxels[other] > voxels[root]:
                    root, other = other, root
                parent[other] = root
                voxels[root] += voxels[other]
                inside[root] += inside[other]
                components -= 1
                true += _is_true(voxels[root], inside[root], overlap)
        if n + 1 == values.size or values[n + 1] != values[n]:
            counts[0, events], counts[1, events], counts[2, events] = components, true, hits
            if events == 0 or _differ(counts, events):
                out[events] = values[n]
                events += 1
    return out[:events].copy(), counts[0, :events].copy(), counts[1, :events].copy(), counts[2, :events].copy()


@jit  # type: ignore[untyped-decorator]
def _differ(counts: Array, event: int) -> bool:
    """Whether an event changed any of the counts."""
    before = event - 1
    return bool(
        counts[0, event] != counts[0, before]
        or counts[1, event] != counts[1, before]
        or counts[2, event] != counts[2, before]
    )


@jit  # type: ignore[untyped-decorator]
def _root(parent: Array, node: int) -> int:
    while parent[node] >= 0 and parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@jit  # type: ignore[untyped-decorator]
def _is_true(voxels: int, inside: int, overlap: float) -> int:
    return 1 if inside > 0 and inside >= overlap * voxels - ROUNDING else 0
