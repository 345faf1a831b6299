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
class Part:
    """Some components of a tree, and where the lesions lie in it."""

    tree: ComponentTree
    spans: Spans
    """The components that are there."""
    lesion: npt.NDArray[Any]
    """Number of the lesion of every voxel, in the order of `tree.voxel`; 0 for none."""


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
    return curve_of([Part(tree, tree.spans, lesions.ravel()[tree.voxel])], lesion_voxels, overlap)


def curve_of(
    parts: Sequence[Part], lesion_voxels: Sequence[int], overlap: float, from_voxels: float = 0.0
) -> CaseCurve:
    """The curve of the components of one tree, or of several, as of several classes, at the same threshold.

    Several are counted tree by tree: a lesion is hit when the components of one tree hit it.

    Parameters
    ----------
    lesion_voxels, overlap
        As for `case_curve`.
    from_voxels
        Size from which lesions are to be found.
    """
    counted = [(number, size) for number, size in enumerate(lesion_voxels, start=1) if size >= from_voxels]
    none, small = np.empty(0, np.int64), len(lesion_voxels) - len(counted)
    if not parts:
        return CaseCurve(np.empty(0, np.float32), none, none, none, len(counted), small=small)
    values = -np.unique(np.concatenate([-part.tree.levels for part in parts]))
    reached = [np.searchsorted(-part.tree.levels, -values, side="right") for part in parts]

    def on_all(counts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        """The sum over the parts, of which each has counts at its own levels."""
        at_values = [np.append(0, count.astype(np.int64))[at] for count, at in zip(counts, reached, strict=True)]
        return np.asarray(np.sum(at_values, axis=0), np.int64)

    there = [_components(part, overlap) for part in parts]
    components, true_components = (on_all(counts) for counts in zip(*there, strict=True))
    hits = np.zeros(values.size, np.int64)
    for number, size in counted:
        hits += on_all([_hit(part, number, size, overlap) for part in parts]) > 0
    changes = np.diff([components, true_components, hits], axis=1, prepend=0).any(axis=0)
    components, true_components, hits = (count[changes] for count in (components, true_components, hits))
    return CaseCurve(values[changes], components, true_components, hits, len(counted), small=small)


def _components(part: Part, overlap: float) -> tuple[Counts, Counts]:
    """Components, and true components, at each level."""
    inside = part.tree.total(part.lesion > 0)
    true = (inside > 0) & (inside >= overlap * part.tree.voxels - ROUNDING)
    levels = part.tree.levels.size
    every, those = (part.spans.at_each_level(of, levels) for of in (np.ones(part.tree.size), true))
    return every.astype(np.int64), those.astype(np.int64)


def _hit(part: Part, number: int, size: int, overlap: float) -> npt.NDArray[np.bool_]:
    """Whether a lesion is hit at each level."""
    where = part.lesion == number
    covered = part.tree.total(np.ones(np.count_nonzero(where)), part.tree.node[where])
    near = part.spans.where((covered > 0) & (overlap * part.tree.voxels <= size + ROUNDING))
    found = near.at_each_level(covered, part.tree.levels.size)
    return np.asarray((found > 0) & (found >= overlap * size - ROUNDING))
