"""Exact free-response ROC: lesions found and false components at every threshold, without labelling at each.

What is a hit and what a true component is said in `voxledger.imaging.detection`. A patient is positive when any
component is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.detection import ROUNDING
from voxledger.imaging.tree import ComponentTree, Spans, component_tree_of

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
    """Lesions of the case that are to be found, those included that no threshold finds."""
    tried: str = ""
    """Why the curve holds only at the thresholds that were tried; empty where it holds at all."""
    small: int = 0
    """Lesions of the case that are too small to count as found or missed; components on them are true."""

    def at(self, thresholds: npt.NDArray[np.float32]) -> tuple[Counts, Counts, Counts]:
        """Components, true components and hits of the masks {p > threshold}, for any thresholds."""
        above = np.searchsorted(-self.values, -np.asarray(thresholds, np.float32), side="left")
        components, true, hits = (
            np.concatenate([[0], counts])[above] for counts in (self.components, self.true_components, self.hits)
        )
        return components, true, hits


@dataclass(frozen=True, eq=False)
class CaseCurves:
    """The curves of one case, by lesion class."""

    patient: str
    curves: dict[str, CaseCurve]


TRIED = 100
"""Thresholds at which a curve is known that is not known at all."""


def tried_thresholds(highest: float, lowest: float) -> list[float]:
    """`TRIED` descending thresholds (float32), evenly in their logarithm, both ends included."""
    from voxledger.imaging.soft import FLOOR

    ends = (highest, max(lowest, FLOOR))
    between = np.geomspace(ends[0], ends[1], TRIED)[1:-1].tolist()
    return [float(t) for t in np.unique(np.array([*ends, *between], np.float32))[::-1]]


def case_curve(
    probability: npt.NDArray[np.float32],
    lesions: npt.NDArray[Any],
    lesion_voxels: Sequence[int],
    overlap: float = 0.0,
    connectivity: int = 26,
    floor: float = 0.0,
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
        Share that makes a hit, see `voxledger.imaging.detection`; 0 = any voxel.
    connectivity
        6, 18 or 26: how voxels of a component touch.
    floor
        Threshold below which nothing is counted.
    """
    if probability.shape != lesions.shape:
        raise ValueError(f"probability of shape {probability.shape} and lesions of shape {lesions.shape}")
    # Without an overlap share only what is born or lies in a lesion can change a count.
    tree = component_tree_of(probability, floor, connectivity, None if overlap > 0 else lesions > 0)
    return curve_of_spans(tree, tree.spans, lesions.ravel()[tree.voxel], lesion_voxels, overlap)


def curve_of_spans(
    tree: ComponentTree,
    spans: Spans,
    lesion: npt.NDArray[Any],
    lesion_voxels: Sequence[int],
    overlap: float,
    from_voxels: float = 0.0,
) -> CaseCurve:
    """The curve of some components of a tree.

    Parameters
    ----------
    spans
        The components that are there.
    lesion
        Number of the lesion of every voxel, in the order of `tree.voxel`; 0 for none.
    lesion_voxels, overlap
        As for `case_curve`.
    from_voxels
        Size from which lesions are to be found.
    """
    levels, voxels = tree.levels.size, tree.voxels
    inside = tree.total(lesion > 0)
    true = (inside > 0) & (inside >= overlap * voxels - ROUNDING)
    touching = spans.where(inside > 0)
    hits = np.zeros(levels, np.int64)
    counted = [(number, size) for number, size in enumerate(lesion_voxels, start=1) if size >= from_voxels]
    for number, size in counted:
        where = lesion == number
        covered = tree.total(np.ones(np.count_nonzero(where)), tree.node[where])
        near = touching.where((covered > 0) & (overlap * voxels <= size + ROUNDING))
        found = near.at_each_level(covered, levels)
        hits += (found > 0) & (found >= overlap * size - ROUNDING)
    there = [spans.at_each_level(of, levels).astype(np.int64) for of in (np.ones(tree.size), true)]
    changes = np.diff([*there, hits], axis=1, prepend=0).any(axis=0)
    components, true_components = (count[changes] for count in there)
    small = len(lesion_voxels) - len(counted)
    return CaseCurve(tree.levels[changes], components, true_components, hits[changes], len(counted), small=small)
