"""Exact free-response ROC: lesions found and false components at every threshold, without labelling at each.

Two tests decide, both by `overlap` (a share in [0, 1]; 0 asks for a single voxel):

* a lesion is *hit* when at least that share of its voxels lies above the threshold;
* a component above the threshold is *true* when at least that share of its voxels lies in lesions, else *false*.

A patient is positive when any voxel lies above the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CaseCurve:
    """Counts of one case and class for the masks {p >= value}, one entry a value at which a count changes."""

    values: npt.NDArray[np.float32]
    """Descending."""
    components: Counts
    true_components: Counts
    hits: Counts
    lesions: int
    """Lesions of the case, those included that no threshold finds."""

    def at(self, thresholds: npt.NDArray[np.float32]) -> tuple[Counts, Counts, Counts]:
        """Components, true components and hits of the masks {p > threshold}, for any thresholds."""
        above = np.searchsorted(-self.values, -np.asarray(thresholds, np.float32), side="left")
        components, true, hits = (
            np.concatenate([[0], counts])[above] for counts in (self.components, self.true_components, self.hits)
        )
        return components, true, hits


def case_curve(
    probability: npt.NDArray[np.float32],
    lesions: npt.NDArray[Any],
    lesion_voxels: Sequence[int],
    overlap: float = 0.0,
    connectivity: int = 26,
) -> CaseCurve:
    """The curve of one case and class from one pass over its sorted voxels.

    Parameters
    ----------
    probability
        Probability (z, y, x), finite and in [0, 1]; voxels of 0 belong to no mask.
    lesions
        Numbers of the true lesions (z, y, x), 0 for none.
    lesion_voxels
        Voxels of lesion 1, 2, … in the whole image; `probability` may be a window that does not hold them all.
    overlap
        Share of a lesion that makes a hit, and of a component that makes it true; 0 = any voxel.
    connectivity
        6, 18 or 26: how voxels of a component touch.
    """
    from voxledger.calibrate import component_tree as tree

    if probability.shape != lesions.shape:
        raise ValueError(f"probability of shape {probability.shape} and lesions of shape {lesions.shape}")
    offsets = neighbour_offsets(probability.shape, connectivity)
    padded = np.zeros(math.prod(n + 2 for n in probability.shape), np.float32)
    index, lesion = np.empty(probability.size, np.int32), np.empty(probability.size, lesions.dtype)
    count = tree.collect(probability, lesions, padded, index, lesion)
    index, lesion = index[:count], lesion[:count]
    basin = np.zeros(padded.size, np.int32)
    maxima = tree.basins(padded, index, offsets, basin)
    met, *met_basins = tree.meetings(padded, index, basin, offsets)
    # Without an overlap share only what is born or lies in a lesion can change a count.
    given = np.arange(index.size) if overlap > 0 else np.union1d(maxima, np.flatnonzero(lesion))
    own = -1 - basin[index[given]]
    events = [
        np.concatenate([padded[index[given]], met]),
        np.concatenate([own, met_basins[0]]),
        np.concatenate([own, met_basins[1]]),
        np.concatenate([lesion[given], np.zeros(met.size, lesion.dtype)]),
    ]
    order = tree.descending(events[0].view(np.uint32))
    sizes = np.array([0, *lesion_voxels], np.int64)
    values, components, true, hits = tree.grow(*(column[order] for column in events), maxima.size, sizes, overlap)
    return CaseCurve(values, components, true, hits, len(lesion_voxels))


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
