"""Added path length: how much of a contour somebody had to draw anew.

Vaassen et al. 2020, *Evaluation of measures for assessing time-saving of automatic organ-at-risk segmentation*,
doi:10.1016/j.phro.2019.12.001.

Contours are drawn slice by slice. Those voxels of the new mask's contour count that do not lie on the contour of the
old one, or within a tolerance of it, in the same slice. It goes with the time that people need for a correction better
than Dice or surface distance do. What was only erased costs nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box

ROUNDING_MM = 1e-6
"""A distance that exceeds the tolerance by less than this lies at it: 3 × 0.7 mm must count as 2.1 mm."""


@dataclass(frozen=True)
class PathLength:
    """The length of what was drawn."""

    voxels: int
    mm: float
    """Voxels times the side of one in its slice; where that is no square, the side of the square of the same area."""


def added_path_length(
    old: npt.NDArray[Any],
    new: npt.NDArray[Any],
    spacing_mm: Sequence[float],
    tolerance_mm: float = 0.0,
    axis: int = 0,
) -> PathLength:
    """The length of the contour that was added to come from one mask to another.

    Parameters
    ----------
    old, new
        Boolean masks (z, y, x) of the same shape.
    spacing_mm
        Spacing (z, y, x).
    tolerance_mm
        Distance in the slice within which a contour did not have to be drawn again, from 0.
    axis
        The array axis across the slices that people draw in.

    Raises
    ------
    ValueError
        The masks are not boolean and 3-D, or of different shapes; or a number is out of range.

    Examples
    --------
    >>> old = np.zeros((2, 6, 6), bool)
    >>> old[0, 1:4, 1:4] = True
    >>> new = old.copy()
    >>> new[0, 1:4, 4] = True
    >>> added_path_length(old, new, (3.0, 0.5, 0.5))
    PathLength(voxels=3, mm=1.5)
    """
    for name, mask in (("old", old), ("new", new)):
        if mask.dtype != np.bool_ or mask.ndim != 3:
            raise ValueError(f"{name} must be a 3-D boolean array, not {mask.ndim}-D of {mask.dtype}")
    if old.shape != new.shape:
        raise ValueError(f"old has shape {old.shape}, new {new.shape}")
    if len(spacing_mm) != 3 or min(spacing_mm) <= 0 or tolerance_mm < 0 or axis not in (0, 1, 2):
        raise ValueError(f"spacing_mm {spacing_mm}, tolerance_mm {tolerance_mm}, axis {axis}: out of range")
    box = bounding_box(old | new)
    if box is None:
        return PathLength(0, 0.0)
    within = tuple(float(s) for i, s in enumerate(spacing_mm) if i != axis)
    slices = zip(np.moveaxis(old[box], axis, 0), np.moveaxis(new[box], axis, 0), strict=True)
    voxels = sum(_added(before, after, within, tolerance_mm) for before, after in slices)
    return PathLength(voxels, voxels * float(np.sqrt(within[0] * within[1])))


def _added(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], spacing_mm: tuple[float, ...], tolerance_mm: float
) -> int:
    """Contour voxels (rows, columns) of one slice that were added."""
    drawn, there = _contour(after), _contour(before)
    if not drawn.any() or not there.any():
        return int(np.count_nonzero(drawn))
    if tolerance_mm == 0:
        return int(np.count_nonzero(drawn & ~there))
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~there, sampling=spacing_mm)
    return int(np.count_nonzero(away[drawn] > tolerance_mm + ROUNDING_MM))


def _contour(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Voxels of a mask (rows, columns) that have a side in common with one outside of it, or with the border."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside
