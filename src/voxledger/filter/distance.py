"""Shortest distance in mm between masks, from voxel centre to voxel centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.filter.proposal import Component, Mask, Proposal
from voxledger.imaging.boxes import Box


def distances(proposal: Proposal, components: Sequence[Component], classes: Sequence[str]) -> list[float]:
    """Distance of every component to the nearest voxel of any of some classes; 0 where they overlap, inf if empty.

    Between masks that do not overlap, the nearest pair of voxels lies on both surfaces, so only those are searched.
    """
    from scipy.spatial import cKDTree

    regions = [region for name in classes if (region := proposal.region(name)) is not None]
    if not regions or not components:
        return [math.inf] * len(components)
    tree: Any = None
    found = []
    for component in components:
        if any(np.any(region.read(component.box) & component.mask) for region in regions):
            found.append(0.0)
            continue
        if tree is None:
            tree = cKDTree(np.concatenate([surface_mm(r.mask, r.box, proposal.spacing) for r in regions]))
        nearest, _ = tree.query(surface_mm(component.mask, component.box, proposal.spacing))
        found.append(float(nearest.min()))
    return found


def surface_mm(mask: Mask, box: Box, spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Positions in mm (n, 3: z, y, x) of the voxels of a mask that have a face to the outside."""
    padded = np.pad(mask, 1)
    inner = np.ones(mask.shape, np.bool_)
    core = slice(1, -1)
    for shifted in (slice(None, -2), slice(2, None)):
        inner &= padded[shifted, core, core]
        inner &= padded[core, shifted, core]
        inner &= padded[core, core, shifted]
    start = np.array([s.start for s in box])
    positions: npt.NDArray[np.float64] = (np.argwhere(mask & ~inner) + start) * spacing
    return positions
