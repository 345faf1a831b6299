"""The body around the organs: skin, fat, muscle, ribs, lung bases, heart, and the table under it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxledger.phantom.canvas import Canvas
from voxledger.phantom.fields import Floats
from voxledger.phantom.materials import Material

M = Material

WALL_MM = 13.0
"""Thickness of the abdominal wall muscles."""
SKIN_MM = 2.0


def draw_body(canvas: Canvas, half_width: float, half_depth: float, fat_mm: float) -> None:
    """Fill the canvas with an oval body; the cavity below the diaphragm is left as `Material.FAT`.

    Parameters
    ----------
    canvas
        Drawn on from scratch.
    half_width, half_depth
        Half the body's width (x) and depth (y) in mm.
    fat_mm
        Mean thickness of the fat under the skin.
    """
    rng = canvas.rng
    y, x = canvas.axes[1][:, None], canvas.axes[2][None, :]
    distance = np.hypot(y, x) + 1e-6
    angle = np.arctan2(y, x)
    lobes = sum(rng.normal(0, 0.008) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
    # A superellipse: flatter at the back and the flanks than an ellipse.
    relative = (np.abs(x / half_width) ** 2.4 + np.abs(y / half_depth) ** 2.4) ** (1 / 2.4) * (1 + lobes)
    to_mm = distance / np.maximum(relative, 1e-6)
    depth = (1 - relative) * to_mm
    fat = fat_mm * (1 + 0.25 * np.cos(2 * angle))
    dome = _diaphragm(canvas, x, y, half_width)
    table = _table(x, y, half_depth)
    # Thinner than half a voxel it would be drawn as dots.
    skin_mm = SKIN_MM if canvas.axes[1][1] - canvas.axes[1][0] < 2 * SKIN_MM else 0.0
    waist = 1 + 0.02 * np.sin(canvas.axes[0] / 90 + rng.uniform(0, 2 * np.pi))
    margin = -12 - 0.9 * y - 0.25 * np.abs(x)
    for k, z in enumerate(canvas.axes[0]):
        inward = depth + (waist[k] - 1) * to_mm
        plane = canvas.material[k]
        plane[table] = M.TABLE
        plane[inward > 0] = M.SKIN
        plane[inward > skin_mm] = M.SUBCUTANEOUS
        plane[inward > fat] = M.MUSCLE
        # Ribs slope down to the front and end at the costal margin.
        rib = ((z - 0.55 * y + 0.15 * np.abs(x)) % 27.0) < 10.0
        plane[(inward > fat + 3) & (inward < fat + WALL_MM - 2) & rib & (z > margin) & (np.abs(x) > 32)] = M.RIB
        cavity = inward > fat + WALL_MM
        # Erector spinae and quadratus lumborum on both sides of the spine.
        back = ((np.abs(x) - 30) / (36 - 0.06 * z)) ** 2 + ((y - 86) / 28) ** 2 < 1
        cavity &= ~back & ~((np.abs(x) < 32) & (y > 70))
        plane[cavity] = M.FAT
        above = cavity & (z > dome)
        plane[above] = M.MUSCLE
        above &= z > dome + 3
        plane[above] = M.LUNG
        heart = ((x - 22) / 52) ** 2 + ((y + 28) / 40) ** 2 < 1
        plane[above & heart] = M.HEART


def _diaphragm(canvas: Canvas, x: Floats, y: Floats, half_width: float) -> Floats:
    rng = canvas.rng
    side = 0.46 * half_width
    right = rng.normal(117, 3) - 42 * ((x + side) / 78) ** 2 - 40 * ((y + 4) / 82) ** 2
    left = rng.normal(109, 3) - 42 * ((x - side) / 78) ** 2 - 40 * ((y + 4) / 82) ** 2
    middle = 104 - 30 * ((x - 8) / 50) ** 2 - 26 * ((y + 20) / 70) ** 2
    return np.asarray(np.maximum(np.maximum(right, left), middle))


def _table(x: Floats, y: Floats, half_depth: float) -> npt.NDArray[np.bool_]:
    top = half_depth + 10 - 18 * (x / 200) ** 2
    return np.asarray((y > top) & (y < top + 6) & (np.abs(x) < 205))
