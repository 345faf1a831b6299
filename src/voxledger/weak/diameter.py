"""Diameters as RECIST 1.1 measures them (Eisenhauer 2009), in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[Any]


def longest(plane: npt.NDArray[np.bool_], spacing: tuple[float, ...]) -> tuple[npt.NDArray[np.int64], float]:
    """The longest diameter of a connected piece (8 neighbours) of a plane, which holds a voxel.

    Parameters
    ----------
    plane
        Mask (2 axes).
    spacing
        In mm, along both.

    Returns
    -------
    tuple
        Its end voxels (2, 2), and its length in mm between their outer edges.
    """
    from scipy.ndimage import label

    pieces, count = label(plane, structure=np.ones((3, 3)))
    best, ends = -1.0, np.zeros((2, 2), np.int64)
    for piece in range(1, count + 1):
        border = _border(pieces == piece)
        pair, length = _furthest(border, spacing)
        if length > best:
            best, ends = length, border[pair]
    return ends, best


def short_axis(
    plane: npt.NDArray[np.bool_], spacing: tuple[float, ...], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], float]:
    """The longest diameter across the long axis, within 10 degrees, of the piece that holds the `ends` of that.

    Returns its end voxels (2, 2), and its length in mm between their outer edges; one voxel where there is none longer.
    """
    from scipy.ndimage import label

    pieces, _ = label(plane, structure=np.ones((3, 3)))
    border = _border(pieces == pieces[tuple(ends[0])])
    axis = (ends[1] - ends[0]) * spacing
    steps = (border[:, None, :] - border[None, :, :]) * spacing
    length = np.linalg.norm(steps, axis=2)
    along = np.abs(steps @ axis)
    across = along <= np.sin(np.radians(10)) * length * max(float(np.linalg.norm(axis)), 1e-9)
    a, b = np.unravel_index(int(np.argmax(np.where(across, length, 0))), length.shape)
    return border[[a, b]], outer_length(border[a], border[b], spacing)


def outer_length(a: Points, b: Points, spacing: tuple[float, ...]) -> float:
    """From the outer edge of one end voxel to that of the other in mm, along the line that joins them."""
    step = np.abs(np.subtract(a, b)) * spacing
    between = float(np.linalg.norm(step))
    direction = step / between if between > 0 else np.eye(len(step))[-1]
    return between + float(direction @ spacing)


def _border(piece: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    from scipy.ndimage import binary_erosion

    return np.argwhere(piece & ~binary_erosion(piece))


def _furthest(border: npt.NDArray[np.int64], spacing: tuple[float, ...]) -> tuple[list[int], float]:
    from scipy.spatial.distance import cdist

    along = cdist(border * spacing, border * spacing)
    a, b = np.unravel_index(int(np.argmax(along)), along.shape)
    return [int(a), int(b)], outer_length(border[a], border[b], spacing)
