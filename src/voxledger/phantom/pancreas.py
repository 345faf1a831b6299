"""The pancreas with its duct, and the lesions in it.

A ductal adenocarcinoma lies on the duct, ends it and widens it upstream (towards the tail), where the gland
is thinner; cysts and neuroendocrine tumours lie beside the duct and leave it alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.phantom.canvas import Canvas
from voxledger.phantom.fields import Floats
from voxledger.phantom.materials import Material
from voxledger.phantom.shapes import Ellipsoid, Tube, curve

M = Material

NODES = np.array(
    [[-34.0, -8, -30], [-20, -13, -30], [-6, -20, -14], [3, -20, 6], [12, -10, 30], [22, 0, 54], [32, 8, 76]]
)
"""Centreline from the head by the duodenum to the tail by the spleen: (z, y, x) in mm."""
RADII = np.array([11.0, 16.5, 10.5, 10.5, 11.5, 11.5, 8.5])
"""Half the thickness of the gland in mm at `NODES`."""
DUCT_RADII = np.array([1.7, 1.6, 1.3, 1.2, 1.1, 0.9, 0.6])
"""Half the width of a normal duct in mm: 3.4 mm wide in the head, 2.4 in the body, 1.2 at the end of the tail."""


@dataclass(frozen=True)
class Lesion:
    """What was drawn: kind, mean diameter in mm, and whether it is isoattenuating or hypovascular."""

    kind: str
    diameter_mm: float
    inconspicuous: bool


LARGEST_SHARE = {"pdac": 0.55, "cyst": 0.58, "pnet": 0.32}
"""Largest lesion over the gland before it has one, by volume. It keeps lesion over remaining gland below the
133, 83 and 46 % above which a component is held to be no lesion ("Efficient Human-in-the-Loop Pancreatic Tumor
Annotation"); adenocarcinomas replace gland, so that their share is far lower."""

_MATERIAL = {"pdac": M.PDAC, "cyst": M.CYST, "pnet": M.PNET}


def draw_pancreas(canvas: Canvas, rng: np.random.Generator, kind: str) -> tuple[list[Lesion], Floats]:
    """Draw gland, duct and lesions of one `kind` (or none); returns the lesions and the centreline (n, 3)."""
    nodes = NODES + rng.normal(0, 2.0, NODES.shape) + np.clip(rng.normal(0, 4, 3), -7, 7)
    size = float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.25))
    points, radii, along = curve(nodes, RADII * size, 1.0)
    # Beside the duct by a voxel at least, so that coarse grids do not join what is apart.
    gap = max(3.5, max(float(a[1] - a[0]) for a in canvas.axes))
    lesions, shapes = _lesions(rng, kind, points, along, radii, gap)
    duct = np.interp(along, np.linspace(0, 1, len(DUCT_RADII)), DUCT_RADII) * rng.uniform(0.8, 1.2)
    if kind == "pdac":
        end = float(along[np.argmin(np.linalg.norm(points - shapes[0].center, axis=1))])
        upstream = along > end
        if rng.random() < 0.75:
            duct[upstream] += rng.uniform(1.2, 3.2)
            radii[upstream] = np.maximum(radii[upstream] * rng.uniform(0.72, 0.95), duct[upstream] + 3.5)
    box, _, level = canvas.levels([Tube(points, radii), *shapes], 1.6, 11)
    canvas.fill_largest(box, canvas.free(box) & (level < 0), M.PANCREAS)
    _fill_duct(canvas, points[2:-3], duct[2:-3])
    for lesion, shape in zip(lesions, shapes, strict=True):
        _fill_lesion(canvas, shape, lesion)
    return lesions, points


def _lesions(
    rng: np.random.Generator, kind: str, points: Floats, along: Floats, radii: Floats, gap: float
) -> tuple[list[Lesion], list[Ellipsoid]]:
    gland_mm3 = float(np.sum(np.pi * radii[1:] ** 2 * np.linalg.norm(np.diff(points, axis=0), axis=1)))
    lesions: list[Lesion] = []
    shapes: list[Ellipsoid] = []
    # Cysts are solitary in 85 % of patients (Laffan 2008).
    count = 0 if not kind else 2 if kind == "cyst" and rng.random() < 0.15 else 1
    for n in range(count):
        hidden = False
        if kind == "pdac":
            # 11 % are isoattenuating (Prokesch 2002), and those are small: 12 ± 5 against 30 ± 9 mm.
            hidden = rng.random() < 0.11
            diameter = _between(rng.normal(12.4, 4.8), 7, 24) if hidden else _between(rng.normal(29, 9.5), 9, 55)
            # Head, body, tail: about 65, 20 and 15 %.
            share = rng.random()
            low, high = (0.06, 0.28) if share < 0.65 else (0.35, 0.65) if share < 0.85 else (0.7, 0.9)
            where = rng.uniform(low, high)
        elif kind == "cyst":
            diameter = _between(11.5 * np.exp(rng.normal(0, 0.6)), 4, 45)
            where = rng.uniform(0.1, 0.9) if n == 0 else rng.uniform(0.6, 0.95)
        else:
            # A fifth of them does not enhance more than the gland (Kojima).
            hidden = rng.random() < 0.2
            diameter = _between(17.0 * np.exp(rng.normal(0, 0.55)), 6, 50)
            where = rng.uniform(0.05, 0.95)
        diameter = min(diameter, float(np.cbrt(6 / np.pi * LARGEST_SHARE[kind] * gland_mm3)))
        k = int(np.searchsorted(along, where))
        center, r = points[k], diameter / 2
        if kind != "pdac":
            center = center + _sideways(rng, points, k) * max(r + gap, 0.55 * float(radii[k]))
        uneven = np.exp(rng.normal(0, 0.14 if kind == "pdac" else 0.07, 3))
        shape_radii = r * uneven / np.cbrt(np.prod(uneven))
        turn = rng.uniform(-40, 40, 3)
        shapes.append(Ellipsoid(_triple(center), _triple(shape_radii), _triple(turn)))
        lesions.append(Lesion(kind, float(diameter), hidden))
    return lesions, shapes


def _sideways(rng: np.random.Generator, points: Floats, k: int) -> Floats:
    # Square to the duct and away from the great vessels behind it.
    tangent = points[min(k + 2, len(points) - 1)] - points[max(k - 2, 0)]
    tangent /= np.linalg.norm(tangent)
    guess = np.array([rng.normal(0, 0.8), -1.0, rng.normal(0, 0.3)])
    side = guess - (guess @ tangent) * tangent
    return np.asarray(side / np.linalg.norm(side))


def _fill_duct(canvas: Canvas, points: Floats, radii: Floats) -> None:
    box, axes, level = canvas.levels([Tube(points, radii)], 0)
    inside = level < 0
    # Where voxels are wider than the duct, the ones that its centreline crosses stand for it.
    fine = np.linspace(0, len(points) - 1, 8 * len(points))
    line = np.stack([np.interp(fine, np.arange(len(points)), points[:, k]) for k in range(3)], axis=1)
    at = [_nearest(a, line[:, k]) for k, a in enumerate(axes)]
    inside[at[0], at[1], at[2]] = True
    canvas.fill(box, inside & canvas.free(box, (M.PANCREAS,)), M.DUCT)


def _fill_lesion(canvas: Canvas, shape: Ellipsoid, lesion: Lesion) -> None:
    r = lesion.diameter_mm / 2
    bump = min((0.09 if lesion.kind == "pdac" else 0.03) * lesion.diameter_mm, 2.5)
    box, _, level = canvas.levels([shape], bump, max(0.9 * r, 4.0))
    if lesion.kind == "pdac":
        allowed = canvas.free(box, (M.PANCREAS, M.FAT, M.DUCT))
    else:
        allowed = canvas.free(box, (M.PANCREAS, M.FAT)) & ~canvas.beside(box, M.DUCT)
    if canvas.fill_largest(box, allowed & (level < 0), _MATERIAL[lesion.kind]).any():
        return
    # Smaller than a voxel: the voxel of the gland nearest to it.
    whole = tuple(slice(0, n) for n in canvas.material.shape)
    gland = canvas.material == M.PANCREAS
    if lesion.kind != "pdac":
        gland &= ~canvas.beside((whole[0], whole[1], whole[2]), M.DUCT)
    voxels = np.argwhere(gland)
    at = np.stack([a[voxels[:, k]] for k, a in enumerate(canvas.axes)], axis=1)
    z, y, x = voxels[np.argmin(np.linalg.norm(at - shape.center, axis=1))]
    canvas.material[z, y, x] = _MATERIAL[lesion.kind]


def _nearest(axis: Floats, values: Floats) -> npt.NDArray[np.int64]:
    step = float(axis[1] - axis[0])
    return np.asarray(np.clip(np.rint((values - axis[0]) / step), 0, axis.size - 1), np.int64)


def _between(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _triple(values: Floats) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in values)
    return z, y, x
