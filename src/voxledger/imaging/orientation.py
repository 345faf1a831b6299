"""Arrays turned so that their axes point to given sides of the patient, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid

AXES = ("LR", "PA", "IS")
"""For each axis of the patient, in the order of LPS coordinates (x, y, z), the side where RAS coordinates begin and the
one where they end."""
THICK = 1.5
"""A volume whose coarsest spacing exceeds the next by this factor was acquired, and is read, in slices across it."""


@dataclass(frozen=True)
class Turn:
    """How the axes of an array (z, y, x) are exchanged and flipped; nothing is resampled."""

    order: tuple[int, int, int]
    """The axis of the array that becomes each axis of the turned one."""
    flipped: tuple[bool, bool, bool]
    """Which axes of the turned array run the other way."""

    @classmethod
    def to(cls, codes: str, grid: Grid) -> Turn:
        """The turn that makes the axes x, y, z of an array on a grid point to sides of the patient.

        Parameters
        ----------
        codes
            Where x, y and z point to: `RAS` is right, anterior, superior, as nibabel and MONAI name it.

        Examples
        --------
        >>> Turn.to("LPS", Grid.plain((4, 5, 6)))
        Turn(order=(0, 1, 2), flipped=(False, False, False))
        >>> Turn.to("RAS", Grid.plain((4, 5, 6)))  # x and y of DICOM run to left and back
        Turn(order=(0, 1, 2), flipped=(False, True, True))
        """
        # Column x, y, z of the direction is where that axis of the array runs to, in LPS; each is given to the side
        # that it is closest to, the most certain first, as oblique axes must not share one.
        direction = np.array(grid.direction).reshape(3, 3) * [[-1], [-1], [1]]
        closeness, axis_of = np.abs(direction), dict[int, int]()
        for _ in range(3):
            side, axis = (int(i) for i in divmod(int(np.argmax(closeness)), 3))
            axis_of[side] = axis
            closeness[side, :], closeness[:, axis] = -1, -1
        order, flipped = [], []
        for code in codes:
            side = next(i for i, ends in enumerate(AXES) if code in ends)
            order.append(axis_of[side])
            forward = direction[side, axis_of[side]] > 0
            flipped.append(bool(forward != (code == AXES[side][1])))
        x, y, z = order
        return cls((2 - z, 2 - y, 2 - x), (flipped[2], flipped[1], flipped[0]))

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The turned array (z, y, x); a view."""
        return self._flip(array.transpose(self.order))

    def back(self, turned: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array as it was, from a turned one."""
        return self._flip(turned).transpose([int(i) for i in np.argsort(self.order)])

    def _flip(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array[tuple(slice(None, None, -1 if flipped else 1) for flipped in self.flipped)]

    def spacing(self, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        """Spacing in mm (z, y, x) of the turned array."""
        z, y, x = (spacing[axis] for axis in self.order)
        return z, y, x


def acquisition_axis(grid: Grid) -> int:
    """The array axis across the slices that people look at and draw in: the thick one, or that from foot to head.

    Examples
    --------
    >>> acquisition_axis(Grid.plain((40, 50, 60), (1.0, 4.0, 1.0)))
    1
    >>> acquisition_axis(Grid.plain((40, 50, 60)))
    0
    """
    order = np.argsort(grid.spacing, kind="stable")
    if grid.spacing[order[2]] > THICK * grid.spacing[order[1]]:
        return int(order[2])
    return Turn.to("LPS", grid).order[0]
