"""One patient: body, organs, vessels and lesions drawn as a material map.

Coordinates are in mm about the middle of the upper abdomen (first lumbar vertebra): z to the head, y to the
back, x to the patient's left, so that the liver lies at negative x. Sizes: docs/phantoms.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxledger.phantom.body import draw_body
from voxledger.phantom.canvas import Canvas
from voxledger.phantom.fields import Axes, Floats
from voxledger.phantom.materials import Material
from voxledger.phantom.pancreas import Lesion, draw_pancreas
from voxledger.phantom.shapes import Ellipsoid, Tube, box_of, crop, curve

M = Material


@dataclass(frozen=True)
class Build:
    """How large a patient is: body half-widths in mm, and factors on organ lengths."""

    half_width: float
    half_depth: float
    fat: float
    length: float
    """Factor on the positions along z."""


def draw_patient(axes: Axes, rng: np.random.Generator, lesion: str) -> tuple[Canvas, list[Lesion]]:
    """Draw a patient with lesions of one kind (`pdac`, `cyst`, `pnet`, or empty for none)."""
    build = Build(
        half_width=_clipped(rng, 163, 8, 148, 173),
        half_depth=_clipped(rng, 114, 7, 100, 126),
        fat=_clipped(rng, 17, 5, 9, 28),
        length=_clipped(rng, 1.0, 0.04, 0.92, 1.08),
    )
    canvas = Canvas(axes, rng)
    draw_body(canvas, build.half_width, build.half_depth, build.fat)
    _spine(canvas, build)
    _great_vessels(canvas)
    lesions, centreline = draw_pancreas(canvas, rng, lesion)
    _kidneys(canvas, build)
    _spleen(canvas)
    _visceral_vessels(canvas, centreline)
    _stomach(canvas)
    _gallbladder(canvas)
    _liver(canvas, build)
    _bowel(canvas)
    return canvas, lesions


def _clipped(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sd), low, high))


def _jitter(rng: np.random.Generator, point: tuple[float, float, float], sd: float) -> tuple[float, float, float]:
    z, y, x = np.clip(rng.normal(0, sd, 3), -2 * sd, 2 * sd) + point
    return float(z), float(y), float(x)


def _spine(canvas: Canvas, build: Build) -> None:
    # Vertebral bodies of 42 × 32 mm in steps of 33 mm: 26 mm bone, 7 mm disc.
    rng = canvas.rng
    height = (float(canvas.axes[0][0]) - 40, float(canvas.axes[0][-1]) + 40)
    y, radius = 43.0, _clipped(rng, 1.0, 0.05, 0.9, 1.1)
    phase, step = rng.uniform(0, 33), 33.0 * build.length

    def column(center_y: float, center_x: float, half_y: float, half_x: float) -> Ellipsoid:
        middle, half = sum(height) / 2, (height[1] - height[0]) * 40
        return Ellipsoid((middle, center_y, center_x), (half, half_y, half_x))

    box = box_of(column(y + 15, 0, 42, 42), canvas.axes, 2)
    axes = crop(canvas.axes, box)
    z = axes[0][:, None, None]
    body = column(y, 0, 16 * radius, 21 * radius).level(axes)
    in_step = (z + phase) % step
    disc = in_step < 7.0
    waist = 1.5 * np.cos(2 * np.pi * (in_step - 7.0) / (step - 7.0))
    body = body - np.where(disc, 0.5, waist)
    canal = column(y + 24 * radius, 0, 8, 10).level(axes)
    arch = np.maximum(column(y + 26 * radius, 0, 13, 16).level(axes), -canal)
    spinous = np.maximum(column(y + 46 * radius, 0, 14, 4).level(axes), np.abs(in_step - step / 2) - 0.38 * step)
    across = np.abs(axes[2])[None, None, :]
    transverse = np.maximum(
        np.maximum(np.abs(axes[1][None, :, None] - (y + 24)) - 4, across - 36), np.abs(in_step - step / 2) - 6
    )
    posterior = np.minimum(np.minimum(arch, spinous), np.maximum(transverse, -canal))
    posterior = np.where(disc, np.maximum(posterior, 8 - across), posterior)
    over = (M.FAT, M.MUSCLE, M.LUNG, M.HEART, M.RIB, M.SUBCUTANEOUS)
    free = canvas.free(box, over)
    canvas.fill(box, free & (canal < 0) & (body > 0), M.CANAL)
    canvas.fill(box, free & (posterior < 0) & (body > 0), M.BONE_CORTEX)
    canvas.fill(box, free & (posterior < -3.5) & (body > 0), M.BONE)
    canvas.fill(box, free & (body < 0) & disc, M.DISC)
    canvas.fill(box, free & (body < 0) & ~disc, M.BONE_CORTEX)
    canvas.fill(box, free & (body < -1.8) & ~disc & (in_step > 8.5) & (in_step < step - 1.5), M.BONE)
    for side in (-1, 1):
        psoas = Tube(
            *curve(
                np.array([[30.0, 50, side * 25], [-40, 48, side * 37], [-150, 40, side * 50]]),
                np.array([6.0, 15, 20]),
                4.0,
            )[:2]
        )
        box, _, level = canvas.levels([psoas], 1.0)
        canvas.fill(box, canvas.free(box) & (level < 0), M.MUSCLE)


def _great_vessels(canvas: Canvas) -> None:
    # Aorta: 19 mm wide above the renal arteries. Postcava: 26 × 16 mm, flat, drawn as two tubes side by side.
    rng = canvas.rng
    over = (M.FAT, M.MUSCLE, M.LUNG, M.HEART)
    x, radius = rng.normal(11, 2.5), _clipped(rng, 9.6, 1.0, 7.5, 12)
    nodes = np.array([[-160.0, 17, x - 4], [-60, 16, x - 1], [20, 15, x], [100, 20, x + 3], [160, 28, x + 6]])
    nodes[:, 1:] += rng.normal(0, 1.5, (5, 2))
    points, radii, _ = curve(nodes, radius * np.array([0.8, 0.88, 1.0, 1.08, 1.1]), 2.0)
    box, _, level = canvas.levels([Tube(points, radii)], 0)
    canvas.fill(box, canvas.free(box, over) & (level < 0), M.AORTA)
    flat = _clipped(rng, 8.0, 0.8, 6.5, 10)
    nodes = np.array([[-160.0, 20, -20], [-60, 17, -21], [20, 14, -23], [70, 4, -26], [105, -8, -22], [160, -20, -16]])
    nodes[:, 1:] += rng.normal(0, 1.5, (6, 2))
    points, radii, _ = curve(nodes, flat * np.array([0.95, 1, 1, 1.05, 1.1, 1.2]), 2.0)
    halves: list[Tube] = [Tube(np.add(points, [0, 0, dx]), radii) for dx in (-4.5, 4.5)]
    box, _, level = canvas.levels(halves, 0)
    canvas.fill(box, canvas.free(box, over) & (level < -1), M.POSTCAVA)


def _kidneys(canvas: Canvas, build: Build) -> None:
    # 5.5 × 5 × 11 cm, about 155 to 195 ml, upper poles towards the spine; the right one lies lower.
    rng = canvas.rng
    for side, cortex, medulla in ((-1, M.CORTEX_RIGHT, M.MEDULLA_RIGHT), (1, M.CORTEX_LEFT, M.MEDULLA_LEFT)):
        size = _clipped(rng, 1.0, 0.06, 0.86, 1.14)
        low = -22.0 if side < 0 else -8.0
        center = _jitter(rng, (low * build.length, 40, side * 64), 3)
        kidney = Ellipsoid(center, (56 * size, 25 * size, 30 * size), (side * -20, side * 12, rng.normal(8, 3)))
        box, axes, level = canvas.levels([kidney], 1.2)
        sinus = Ellipsoid((center[0], center[1] - 4, center[2] - side * 22), (24, 10, 20)).level(axes)
        near = level < 4
        level = np.maximum(level, -sinus)
        inside = canvas.fill_largest(box, canvas.free(box) & (level < 0), cortex)
        z, y, x = np.ix_(*axes)
        angle = np.arctan2(z - center[0], np.hypot(y - center[1], x - center[2]) + 1)
        pyramids = 3.0 * np.cos(11 * angle) + 1.5
        canvas.fill(box, inside & (level < -5.5 - np.maximum(pyramids, -1)), medulla)
        canvas.keep_free(box, near & (canvas.material[box] == M.FAT))


def _spleen(canvas: Canvas) -> None:
    # About 10 × 9 × 4.6 cm, 180 to 240 ml, hollow towards the stomach.
    rng = canvas.rng
    size = _clipped(rng, 1.0, 0.09, 0.86, 1.2)
    center = _jitter(rng, (48, 26, 104), 3)
    spleen = Ellipsoid(center, (55 * size, 47 * size, 29 * size), (-38, 10, 18))
    box, axes, level = canvas.levels([spleen], 2.0)
    hollow = Ellipsoid((center[0] - 2, center[1] - 8, center[2] - 44 * size), (50 * size, 38 * size, 26 * size)).level(
        axes
    )
    canvas.fill_largest(box, canvas.free(box) & (np.maximum(level, -hollow) < 0), M.SPLEEN)


def _visceral_vessels(canvas: Canvas, pancreas: Floats) -> None:
    # Drawn in the image only: superior mesenteric artery and vein, splenic vein along the back of the pancreas.
    neck = np.add(pancreas[len(pancreas) // 4], [0, 9, -2])
    behind = np.add(pancreas[len(pancreas) // 3 :: 6], [1, 10, 0])
    tubes = [
        (np.vstack([neck, behind, [40, 22, 80]]), 4.0, M.PORTAL_VEIN),
        (np.array([[-140.0, -22, -6], [-70, -18, -5], neck - [12, 0, 0], neck]), 5.5, M.PORTAL_VEIN),
        (np.vstack([neck, [20, -6, -26], [38, -14, -42]]), 6.0, M.PORTAL_VEIN),
        (np.array([[6.0, 2, 9], [-12, -6, 7], [-60, -14, 5], [-140, -20, 4]]), 3.5, M.ARTERY),
        (np.array([[18.0, 4, 9], [24, -8, 2], [26, -12, -14]]), 3.0, M.ARTERY),
    ]
    for nodes, radius, material in tubes:
        points, radii, _ = curve(nodes, np.full(len(nodes), radius), 2.0)
        box, _, level = canvas.levels([Tube(points, radii)], 0)
        canvas.fill(box, canvas.free(box) & (level < 0), material)


def _stomach(canvas: Canvas) -> None:
    # Fundus under the left dome, body, antrum across the midline; water below, gas in front of a flat level.
    rng = canvas.rng
    fill = _clipped(rng, 1.0, 0.14, 0.7, 1.3)
    nodes = np.array([[76.0, 6, 54], [66, -2, 66], [36, -26, 70], [8, -46, 48], [-8, -50, 18], [0, -42, -14]])
    nodes += rng.normal(0, 3, nodes.shape)
    points, radii, _ = curve(nodes, np.array([27 * fill, 31 * fill, 26 * fill, 21 * fill, 16, 10]), 3.0)
    box, _, level = canvas.levels([Tube(points, radii)], 2.5)
    inside = canvas.fill_largest(box, canvas.free(box) & (level < 0), M.STOMACH_WALL)
    lumen = inside & (level < -3.2)
    canvas.fill(box, lumen, M.STOMACH_FLUID)
    rows = lumen.sum(axis=(0, 2)).cumsum()
    if rows[-1] > 0:
        surface = np.searchsorted(rows, rng.uniform(0.03, 0.22) * rows[-1])
        lumen[:, surface:, :] = False
        canvas.fill(box, lumen, M.STOMACH_GAS)


def _gallbladder(canvas: Canvas) -> None:
    rng = canvas.rng
    size = _clipped(rng, 1.0, 0.15, 0.7, 1.3)
    center = _jitter(rng, (-6, -42, -58), 4)
    neck = (center[0] + 22, center[1] + 14, center[2] + 8)
    shapes = [
        Ellipsoid(center, (26 * size, 14 * size, 13 * size), (0, 0, -25)),
        Ellipsoid(neck, (15 * size, 9 * size, 9 * size), (0, 0, -30)),
    ]
    box, _, level = canvas.levels(shapes, 0.8)
    canvas.fill_largest(box, canvas.free(box) & (level < 0), M.GALLBLADDER)


def _liver(canvas: Canvas, build: Build) -> None:
    # Right and left lobe under the diaphragm, cut by a visceral surface that rises to the left; 1.4 to 1.7 l.
    rng = canvas.rng
    size = _clipped(rng, 1.0, 0.05, 0.9, 1.1)
    right = Ellipsoid(_jitter(rng, (26, 2, -78), 3), (90 * size, 78 * size, 60 * size))
    left = Ellipsoid(_jitter(rng, (68, -46, -8), 4), (40 * size, 34 * size, rng.uniform(62, 84)), (8, -8, 0))
    box, axes, level = canvas.levels([right, left], 3.0, 40)
    z, y, x = np.ix_(*axes)
    lower = (6 * build.length + rng.normal(0, 4)) + 0.78 * (x + 20) + 0.12 * y
    level = np.maximum(level, (lower - z) * 0.78)
    canvas.fill_largest(box, canvas.free(box) & (level < 0), M.LIVER)
    # Hepatic and portal veins fan out from the postcava and the porta hepatis.
    for start, ends in (
        ((96.0, -4, -24), ((78.0, -30, -70), (70, 20, -95), (82, -48, -20))),
        ((38.0, -14, -42), ((44.0, -6, -95), (20, 20, -100), (8, -30, -98), (66, -44, -12), (62, 10, -100))),
    ):
        for end in ends:
            nodes = np.array([start, np.add(start, end) / 2 + rng.normal(0, 7, 3), np.add(end, rng.normal(0, 8, 3))])
            points, radii, _ = curve(nodes, np.array([5.0, 3.6, 1.2]), 1.5)
            at, _, vein = canvas.levels([Tube(points, radii)], 0)
            canvas.fill(at, canvas.free(at, (M.LIVER,)) & (vein < 0), M.LIVER_VEIN)


def _bowel(canvas: Canvas) -> None:
    # Duodenum, colon and small-bowel loops: tissue without a class, as in a dataset that does not label it.
    rng = canvas.rng
    loops: list[tuple[Floats, float]] = [
        (np.array([[2.0, -40, -22], [8, -26, -46], [-26, -8, -52], [-58, 0, -38], [-62, 2, 6]]), 11),
        (np.array([[-150.0, 18, -98], [-95, 12, -102], [-62, -20, -98]]), 22),
        (np.array([[-62.0, -34, -90], [-72, -62, -45], [-78, -66, 10], [-52, -58, 62], [-22, -34, 98]]), 17),
        (np.array([[-22.0, 12, 108], [-80, 28, 106], [-150, 30, 100]]), 14),
    ]
    for _ in range(9):
        start = rng.uniform((-145, -60, -70), (-55, 0, 80))
        steps = np.cumsum(rng.normal(0, 26, (4, 3)) * [0.5, 0.8, 1.0], axis=0)
        loops.append((start + steps, float(rng.uniform(10, 14))))
    for nodes, radius in loops:
        nodes = nodes + rng.normal(0, 3, nodes.shape)
        points, radii, _ = curve(nodes, radius * rng.uniform(0.85, 1.15, len(nodes)), 4.0)
        box, axes, level = canvas.levels([Tube(points, radii)], 1.5, 16)
        inside = canvas.free(box) & (level < 0)
        lumen = inside & (level < -2.5)
        canvas.fill(box, inside, M.BOWEL_WALL)
        canvas.fill(box, lumen, M.BOWEL_CONTENT)
        if rng.random() < 0.5:
            front = axes[1][None, :, None] < np.median(points[:, 1]) - 0.35 * radius
            canvas.fill(box, lumen & front, M.BOWEL_GAS)
