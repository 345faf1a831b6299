"""What patches of a training are centred on: classes, the background, and lesions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.components import connected_components
from voxledger.schema import LabelSchema

MOST = 10_000
"""Voxels of a class and case that patches are centred on, drawn once."""

Voxels = npt.NDArray[np.int64]
"""Indices (voxel, axis) of voxels, axes z, y, x."""


def centres(labels: npt.NDArray[Any], classes: Iterable[int], rng: np.random.Generator) -> dict[int, Voxels]:
    """Voxels of those of some classes that a label map (z, y, x) holds, at most `MOST` of each, drawn by chance."""
    found = {}
    for number in classes:
        flat = np.flatnonzero(labels == number)
        if flat.size > MOST:
            flat = flat[rng.integers(flat.size, size=MOST)]
        if flat.size:
            found[number] = np.stack(np.unravel_index(flat, labels.shape), axis=1)
    return found


def lesion_numbers(schema: LabelSchema) -> list[int]:
    """The labels of lesion classes in what a network learns."""
    return [number for number, c in enumerate(schema.classes, start=1) if c.lesion]


def lesions(labels: npt.NDArray[Any], numbers: Sequence[int]) -> list[Voxels]:
    """Voxels of every lesion in a label map (z, y, x); `numbers` are the labels of lesion classes."""
    pieces, count = connected_components(np.isin(labels, numbers))
    return [np.argwhere(pieces == number) for number in range(1, count + 1)]


def chances(found: Sequence[Voxels]) -> npt.NDArray[np.float64]:
    """How often each of several lesions is drawn: as 1 / diameter, 1 together.

    Examples
    --------
    >>> chances([np.zeros((1, 3)), np.zeros((27, 3))]).tolist()
    [0.75, 0.25]
    """
    weights = np.array([len(voxels) for voxels in found], np.float64) ** (-1 / 3)
    return np.asarray(weights / weights.sum())
