"""Small weak labels for the examples in docstrings of prompts and checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from voxledger.imaging.boxes import Box, bounding_box
from voxledger.imaging.volume import Grid
from voxledger.weak.check import Marked
from voxledger.weak.geometry import planes
from voxledger.weak.label import Kind, WeakLabel, drawn, measured
from voxledger.weak.prompt import Prompt

GRID = Grid.plain((8, 8, 8))


def drawn_in(*where: tuple[Any, ...], kind: Kind | None = None) -> WeakLabel:
    """A drawing of the class `lesion`: what is selected in an image of 8×8×8 voxels of 1 mm."""
    mask = np.zeros(GRID.shape, np.bool_)
    for part in where:
        mask[part] = True
    box = bounding_box(mask)
    assert box is not None
    cut = mask[box]
    kind = kind or ("slice_mask" if len(list(planes(cut))) == 1 else "slices")
    return drawn("a", "lesion", kind, "nifti", cut, box, GRID)


def measured_at(kind: Kind, *points: tuple[float, float, float]) -> WeakLabel:
    """Points (z, y, x) of the class `lesion`, in the same image."""
    return measured("a", "lesion", kind, "json", np.array(points, np.float64), GRID)


def told(prompts: Iterable[Prompt]) -> list[str]:
    """Prompts in words."""
    return [f"{p.kind} at {p.start} of {p.mask.shape}" for p in prompts]


def predicted(weak: WeakLabel, *where: tuple[Any, ...], crop: Box | None = None) -> Marked:
    """An object that fills what is selected of that image."""
    mask = np.zeros(GRID.shape, np.bool_)
    for part in where:
        mask[part] = True
    return Marked(weak, mask, GRID, crop)
