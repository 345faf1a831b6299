"""Analytic shapes as level functions: below zero inside, roughly the distance to the surface in mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from voxledger.imaging.boxes import Box
from voxledger.phantom.fields import Axes, Floats


class Shape(Protocol):
    """Something with an extent and a level function."""

    def extent(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner (z, y, x) in mm."""
        ...

    def level(self, axes: Axes) -> Floats:
        """Level (z, y, x) on a box: negative inside."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with `center` and `radii` (z, y, x) in mm, turned by `turn` degrees about (z, y, x)."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def extent(self) -> tuple[Floats, Floats]:
        reach = np.abs(_rotation(self.turn)) @ np.asarray(self.radii)
        return np.asarray(self.center) - reach, np.asarray(self.center) + reach

    def level(self, axes: Axes) -> Floats:
        # Quilez' bound: |q/r| (|q/r| - 1) / |q/r²| is exact on the surface and close to the distance near it.
        offsets = np.ix_(*(axis - c for axis, c in zip(axes, self.center, strict=True)))
        turned = _rotation(self.turn).T
        first, second = np.zeros(1), np.zeros(1)
        for row, radius in zip(turned, self.radii, strict=True):
            q = row[0] * offsets[0] + row[1] * offsets[1] + row[2] * offsets[2]
            first = first + (q / radius) ** 2
            second = second + (q / radius**2) ** 2
        inside = np.sqrt(first)
        return np.asarray(inside * (inside - 1) / np.sqrt(np.maximum(second, 1e-12)))


@dataclass(frozen=True)
class Tube:
    """A tube of varying radius along a curve: `points` (n, 3) as (z, y, x) in mm and `radii` (n,) in mm."""

    points: Floats
    radii: Floats

    def extent(self) -> tuple[Floats, Floats]:
        r = self.radii[:, None]
        return np.asarray((self.points - r).min(axis=0)), np.asarray((self.points + r).max(axis=0))

    def level(self, axes: Axes, reach: float = 8.0) -> Floats:
        """Level of the union of the balls; farther than `reach` mm outside it is `reach`."""
        level = np.full(tuple(axis.size for axis in axes), reach)
        for point, radius in zip(self.points, self.radii, strict=True):
            far = radius + reach
            box = tuple(slice(*np.searchsorted(a, (c - far, c + far))) for a, c in zip(axes, point, strict=True))
            z, y, x = np.ix_(*(a[s] - c for a, s, c in zip(axes, box, point, strict=True)))
            view = level[box]
            np.minimum(view, np.sqrt(z**2 + y**2 + x**2) - radius, out=view)
        return level


def curve(nodes: Floats, radii: Floats, step_mm: float) -> tuple[Floats, Floats, Floats]:
    """A smooth curve through `nodes` (n, 3): points about every `step_mm`, radii there, and position in 0–1."""
    from scipy.interpolate import CubicSpline, PchipInterpolator

    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    t = np.linspace(0, along[-1], int(np.ceil(along[-1] / step_mm)) + 1)
    return CubicSpline(along, nodes)(t), PchipInterpolator(along, radii)(t), t / along[-1]


def box_of(shape: Shape, axes: Axes, margin_mm: float) -> Box:
    """The voxels that the extent of a shape covers, grown by `margin_mm` and cut to the grid."""
    low, high = shape.extent()
    z, y, x = (
        slice(int(np.searchsorted(a, lo - margin_mm)), int(np.searchsorted(a, hi + margin_mm, side="right")))
        for a, lo, hi in zip(axes, low, high, strict=True)
    )
    return z, y, x


def crop(axes: Axes, box: Box) -> Axes:
    """The coordinates of a box."""
    return axes[0][box[0]], axes[1][box[1]], axes[2][box[2]]


def _rotation(turn: tuple[float, float, float]) -> Floats:
    about_z, about_y, about_x = np.deg2rad(turn)
    cz, sz, cy, sy, cx, sx = (f(a) for a in (about_z, about_y, about_x) for f in (np.cos, np.sin))
    rz = np.array([[1, 0, 0], [0, cz, -sz], [0, sz, cz]])
    ry = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    rx = np.array([[cx, -sx, 0], [sx, cx, 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)
