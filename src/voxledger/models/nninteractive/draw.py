"""Prompts as people give them, drawn by chance for the training.

The first prompts of an object are one of `FIRST`: points, or what weak labels become. Later ones are points where the
network is most wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid
from voxledger.weak.diameter import longest, short_axis
from voxledger.weak.label import measured
from voxledger.weak.prompt import Prompt
from voxledger.weak.prompts import prompts_of

FIRST = {"point": 0.25, "lasso": 0.25, "box": 0.15, "scribble": 0.1, "recist": 0.25}
"""Share of each kind of first prompts; `recist` is all that a diameter becomes, of the axial plane."""
THICK = 3
"""Voxels across a line, as one of RECIST is drawn."""
AXIAL = 0.7
"""Share of lassos, boxes and lines in axial planes; the others lie across z in equal parts."""

Mask = npt.NDArray[np.bool_]
Start = tuple[int, int, int]


def first_prompts(mask: Mask, start: Start, grid: Grid, rng: np.random.Generator) -> list[Prompt]:
    """What marks an object: mostly one prompt.

    Parameters
    ----------
    mask
        The object (z, y, x), not empty, cut to its box.
    start
        Lowest corner (z, y, x) of the box in the image.
    grid
        Of the image.
    """
    kind = rng.choice(list(FIRST), p=list(FIRST.values()))
    if kind == "point":
        return [_point(_deep(mask, rng), start)]
    if kind == "recist":
        return _recist(mask, start, grid, rng)
    axis = 0 if rng.random() < AXIAL else int(rng.integers(1, 3))
    if kind == "lasso" and rng.random() < 0.3:
        return [_in_plane("lasso", *_slice(mask, a, rng), start) for a in _axes(axis, rng)]
    index, plane = _slice(mask, axis, rng)[1:]
    if kind == "lasso":
        return [_in_plane("lasso", axis, index, plane, start)]
    if kind == "box":
        return [_in_plane("box", axis, index, _rectangle(plane, rng), start)]
    return [_in_plane("scribble", axis, index, _line(plane, rng), start)]


def correction(truth: Mask, found: Mask, start: Start, rng: np.random.Generator) -> Prompt | None:
    """A point in the largest error, which says whether what is there belongs to the object; None without an error.

    Parameters
    ----------
    truth, found
        The object, and what the network takes for it (z, y, x), in the same box of the image.
    start
        Lowest corner (z, y, x) of the box.
    """
    from scipy.ndimage import label

    pieces, count = label(truth != found)
    if count == 0:
        return None
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    at = _deep(largest, rng)
    return _point(at, start, positive=bool(truth[at]))


def corrupted(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask as a poor network might have found it: grown or shrunk, moved, with a piece cut off, or all of these."""
    from scipy.ndimage import binary_dilation, binary_erosion, shift

    out = mask
    if rng.random() < 0.7:
        change = binary_dilation if rng.random() < 0.5 else binary_erosion
        out = change(out, iterations=int(rng.integers(1, 3)))
    if rng.random() < 0.5:
        out = shift(out.astype(np.uint8), rng.integers(-2, 3, 3), order=0) > 0
    if rng.random() < 0.6 and out.any():
        axis = int(rng.integers(3))
        cut = rng.choice(np.flatnonzero(out.any(axis=tuple(a for a in range(3) if a != axis))))
        low = [slice(None)] * 3
        low[axis] = slice(None, int(cut)) if rng.random() < 0.5 else slice(int(cut), None)
        out = out.copy()
        out[tuple(low)] = False
    return np.asarray(out, np.bool_)


def _point(at: Start, start: Start, positive: bool = True) -> Prompt:
    z, y, x = (int(a + b) for a, b in zip(at, start, strict=True))
    return Prompt("point", (z, y, x), np.ones((1, 1, 1), np.bool_), positive)


def _deep(mask: Mask, rng: np.random.Generator) -> Start:
    """A voxel of a mask away from its border, as a person would click."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    inside = np.argwhere(depth >= rng.uniform(0.3, 1.0) * depth.max())
    z, y, x = inside[rng.integers(len(inside))].tolist()
    return z, y, x


def _slice(mask: Mask, axis: int, rng: np.random.Generator) -> tuple[int, int, Mask]:
    """Axis, index and mask of a plane through an object: the one with most of it, or one of at least half."""
    areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
    large = np.flatnonzero(2 * areas >= areas.max())
    index = int(np.argmax(areas)) if rng.random() < 0.5 else int(rng.choice(large))
    return axis, index, np.take(mask, index, axis)


def _axes(axis: int, rng: np.random.Generator) -> list[int]:
    """Two or three planes, in any order, `axis` last: what was drawn last is what the patch is laid around."""
    others = [a for a in range(3) if a != axis]
    rng.shuffle(others)
    return [*others[: int(rng.integers(1, 3))], axis]


def _in_plane(kind: str, axis: int, index: int, plane: Mask, start: Start) -> Prompt:
    """A prompt of a mask in a plane across `axis`, cut to its box."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    low = [int(rows[0]), int(columns[0])]
    part = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    low.insert(axis, index)
    z, y, x = (a + b for a, b in zip(low, start, strict=True))
    return Prompt(kind, (z, y, x), np.expand_dims(part, axis))  # type: ignore[arg-type]


def _rectangle(plane: Mask, rng: np.random.Generator) -> Mask:
    """The box around what is in a plane, its sides moved by up to a voxel, as far as the plane goes."""
    out = np.zeros_like(plane)
    sides = []
    for other in (1, 0):
        hits = np.flatnonzero(plane.any(axis=other))
        low, high = int(hits[0]), int(hits[-1]) + 1
        inwards = 1 if high - low > 3 else 0
        low, high = low + int(rng.integers(-1, inwards + 1)), high + int(rng.integers(-inwards, 2))
        sides.append(slice(max(low, 0), high))
    out[tuple(sides)] = True
    return out


def _recist(mask: Mask, start: Start, grid: Grid, rng: np.random.Generator) -> list[Prompt]:
    """What the longest diameter of an axial plane becomes, half of the time with the short axis."""
    _, index, plane = _slice(mask, 0, rng)
    spacing = grid.spacing[1:]
    axes, _ = longest(plane, spacing)
    if rng.random() < 0.5:
        axes = np.concatenate([axes, short_axis(plane, spacing, axes)[0]])
    points = np.insert(axes.astype(np.float64), 0, index, axis=1) + start
    return prompts_of(measured("", "", "recist", "json", points, grid), grid)


def _line(plane: Mask, rng: np.random.Generator) -> Mask:
    """A line through what is in a plane: mostly its longest diameter as RECIST measures it, some with the short axis;
    else along a chord. `THICK` voxels across, or one."""
    border = np.argwhere(plane)
    away = border - border.mean(axis=0)
    a = border[int(np.argmax((away**2).sum(axis=1)))]
    b = border[int(np.argmax(((border - a) ** 2).sum(axis=1)))]
    ends = [(a, b)]
    if rng.random() < 0.25:
        ends = [(border[rng.integers(len(border))], border[rng.integers(len(border))])]
    elif rng.random() < 0.5:
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
        across = away @ np.array([-along[1], along[0]])
        near = np.abs(away @ along) <= 1.0
        if near.any():
            ends.append((border[near][np.argmin(across[near])], border[near][np.argmax(across[near])]))
    out = np.zeros_like(plane)
    for one, other in ends:
        steps = int(np.abs(other - one).max()) + 1
        points = np.rint(np.linspace(one, other, steps)).astype(int)
        out[points[:, 0], points[:, 1]] = True
    if rng.random() < 0.8:
        from scipy.ndimage import binary_dilation

        out = binary_dilation(out, np.ones((THICK, THICK), bool))
    return np.asarray(out, np.bool_)
