"""A slice as a radiologist expects it: orientation, aspect, grey values.

Axial and coronal slices show the patient's right on the left; sagittal ones look to the left. Top is anterior
in axial slices and superior in the others. Oblique volumes are shown along their own axes, named by the
nearest patient axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.volume import Grid

CT_WINDOW = (-160.0, 240.0)
"""Abdominal soft-tissue window in HU: level 40, width 400."""
PERCENTILES = (1.0, 99.0)
"""Grey values of other modalities are shown between these percentiles of the volume."""

_ENDS = (("R", "L"), ("A", "P"), ("I", "S"))
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class View:
    """How to cut and turn arrays (z, y, x) of one grid into pictures."""

    plane: str
    axis: int
    """Array axis that is cut."""
    rows: int
    columns: int
    """Array axes that run down and to the right."""
    flip_rows: bool
    flip_columns: bool
    mm: tuple[float, float]
    """Spacing in mm down and to the right."""
    ends: tuple[str, str, str, str]
    """Patient directions at the left, right, top and bottom."""

    def cut(self, array: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
        """The slice (rows, columns) of an array (z, y, x) at an index along the cut axis."""
        plane: npt.NDArray[Any] = np.take(array, index, axis=self.axis)
        if self.rows > self.columns:
            plane = plane.T
        turned: npt.NDArray[Any] = plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return turned


def view_of(grid: Grid) -> View:
    """The plane to show: the acquisition plane of a thick-slice volume, else axial."""
    cosines = np.reshape(grid.direction, (3, 3))[:, ::-1]
    patient, sign = _assign(cosines)
    axis = acquisition_axis(grid)
    down, right = {0: (2, 1), 1: (2, 0), 2: (1, 0)}[patient[axis]]
    rows, columns = patient.index(down), patient.index(right)
    # Patient axes point to L, P and S; pictures run from R to L, A to P and S to I.
    top, bottom = _ENDS[down] if down == 1 else _ENDS[down][::-1]
    left, end = _ENDS[right]
    return View(
        plane=_PLANES[patient[axis]],
        axis=axis,
        rows=rows,
        columns=columns,
        flip_rows=(sign[rows] < 0) != (down == 2),
        flip_columns=sign[columns] < 0,
        mm=(grid.spacing[rows], grid.spacing[columns]),
        ends=(left, end, top, bottom),
    )


def grey_range(image: npt.NDArray[Any], modality: str) -> tuple[float, float]:
    """Values shown as black and white: the abdominal window for CT, percentiles of the volume otherwise."""
    if modality.upper() == "CT":
        return CT_WINDOW
    low, high = np.percentile(image, PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def _assign(cosines: npt.NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Patient axis (0 L, 1 P, 2 S) and sign of each array axis; every patient axis is used once."""
    patient, sign = [-1, -1, -1], [1, 1, 1]
    size = np.abs(cosines)
    for _ in range(3):
        p, a = (int(v) for v in np.unravel_index(np.argmax(size), size.shape))
        patient[a], sign[a] = p, 1 if cosines[p, a] > 0 else -1
        size[p, :] = size[:, a] = -1
    return patient, sign
