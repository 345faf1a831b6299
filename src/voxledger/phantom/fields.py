"""Smooth random fields with a correlation length in millimetres: shapes that differ, tissue that is not flat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Axes = tuple[Floats, Floats, Floats]
"""Coordinates in mm of the planes, rows and columns of a box, in (z, y, x)."""


def random_field(rng: np.random.Generator, axes: Axes, lattice_mm: float) -> Floats:
    """Sample a zero-mean field of unit standard deviation on a box.

    White noise on a lattice of `lattice_mm`, anchored at the first plane, row and column, is interpolated
    with uniform cubic B-splines, so that the correlation length is close to the lattice width.

    Parameters
    ----------
    rng
        Source of the lattice values.
    axes
        Ascending coordinates (z, y, x) in mm of the box.
    lattice_mm
        Distance of the lattice points in mm.

    Returns
    -------
    ndarray
        Field (z, y, x).
    """
    weights = [_bspline_weights(axis, lattice_mm) for axis in axes]
    control = rng.standard_normal(tuple(w.shape[1] for w in weights))
    along_x = control @ weights[2].T
    along_y = np.matmul(weights[1], along_x)
    field = np.tensordot(weights[0], along_y, axes=(1, 0))
    return np.asarray(field / _UNIT_SD)


def _bspline_weights(axis: Floats, lattice_mm: float) -> Floats:
    if axis.size == 0:
        return np.zeros((0, 4))
    position = (axis - axis[0]) / lattice_mm
    cell = np.floor(position).astype(np.int64)
    t = position - cell
    basis = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    weights = np.zeros((axis.size, int(cell.max()) + 4))
    for k, values in enumerate(basis):
        weights[np.arange(axis.size), cell + k] = values
    return weights


def _mean_square_weight() -> float:
    t = (np.arange(1000) + 0.5) / 1000
    basis = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    return float(np.mean(sum(b**2 for b in basis)))


_UNIT_SD = _mean_square_weight() ** 1.5
"""Standard deviation of the interpolated field for unit white noise: one factor of the square root an axis."""
