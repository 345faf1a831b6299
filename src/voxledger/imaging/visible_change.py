"""What of a change can be seen: the part that reaches farther than a tolerance, not a voxel more or less of a border.

An added voxel reaches as far as it lies from the old mask, one that was taken away as far as it lies from the new one.
What reaches beyond the tolerance is visible, with whatever of the change lies within the tolerance of that; its
connected components are the errors. A voxel is as far from its neighbour as their centres are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box, grown

ROUNDING_MM = 1e-6
"""What exceeds the tolerance by less than this lies at it."""


def visible_change(
    before: npt.NDArray[Any], after: npt.NDArray[Any], spacing_mm: Sequence[float], tolerance_mm: float
) -> npt.NDArray[np.bool_]:
    """Voxels (z, y, x) of a visible change between two masks; with a tolerance of 0 all that changed.

    Parameters
    ----------
    before, after
        Boolean masks (z, y, x) of the same shape.
    spacing_mm
        Spacing (z, y, x).
    tolerance_mm
        From 0.

    Raises
    ------
    ValueError
        The masks are not boolean, or of different shapes; or the tolerance is below 0.

    Examples
    --------
    >>> before = np.zeros((1, 1, 9), bool)
    >>> before[..., :3] = True
    >>> after = before.copy()
    >>> after[..., 3] = True
    >>> int(visible_change(before, after, (1.0, 1.0, 1.0), 1.0).sum())
    0
    >>> after[..., 4] = True
    >>> int(visible_change(before, after, (1.0, 1.0, 1.0), 1.0).sum())
    2
    """
    if before.dtype != np.bool_ or after.dtype != np.bool_ or before.shape != after.shape or tolerance_mm < 0:
        raise ValueError(f"{before.dtype} {before.shape}, {after.dtype} {after.shape}, tolerance {tolerance_mm} mm")
    changed: npt.NDArray[np.bool_] = before != after
    field = bounding_box(before | after) if tolerance_mm else None
    if field is None:
        return changed
    visible = np.zeros_like(changed)
    visible[field] = _beyond(before[field], after[field], changed[field], tuple(spacing_mm), tolerance_mm)
    return visible


def _beyond(
    before: npt.NDArray[np.bool_],
    after: npt.NDArray[np.bool_],
    changed: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    tolerance_mm: float,
) -> npt.NDArray[np.bool_]:
    bound = tolerance_mm + ROUNDING_MM
    added, taken = changed & after, changed & before
    far = (added & _farther(before, added, spacing_mm, bound)) | (taken & _farther(after, taken, spacing_mm, bound))
    visible: npt.NDArray[np.bool_] = changed & ~_farther(far, changed, spacing_mm, bound)
    return visible


def _farther(
    mask: npt.NDArray[np.bool_], asked: npt.NDArray[np.bool_], spacing_mm: tuple[float, ...], bound: float
) -> npt.NDArray[np.bool_]:
    """Where a voxel is farther from a mask than a bound in mm; of voxels that are not asked, anything."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.ones_like(mask)
    found = np.ones_like(mask)
    margin = [int(np.ceil(bound / s)) for s in spacing_mm]
    tight = bounding_box(asked)
    if tight is not None:
        box = grown(tight, margin, mask.shape)
        if mask[box].any():
            found[box] = distance_transform_edt(~mask[box], sampling=spacing_mm) > bound
    return found
