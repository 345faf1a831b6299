"""Windows of cases that a trunk ran over, as the head of a class, or a branch, learns from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.models.training import Training
from voxledger.models.trunk import FEATURES, LABELS, Kept

SEEN = 0.67
"""Share of parts, and of patches, that are laid around a voxel of the class; others lie anywhere."""
_VOXELS = 2000
"""Voxels of a class in a window that parts may be laid around."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Window:
    """One window of a case as the head of a class learns from it."""

    case_id: str
    kept: Path
    shapes: tuple[tuple[int, int, int, int], ...]
    """Of what `kept` holds, as `trunk.Kept` says."""
    spoken: tuple[str, ...]
    """Classes of which the network says something, as the last of these."""
    labels: Path
    mask: Mask
    voxels: npt.NDArray[np.intp]
    """Some voxels of the class, (number, 3)."""

    @property
    def scales(self) -> int:
        """How much of what is kept, from the first on, is the image and the features."""
        return len(self.shapes) - len(self.spoken)

    def part(self, *numbers: int) -> list[npt.NDArray[np.float16]]:
        """Some of what is kept, (channel, z, y, x) each; of these only what is used is read."""
        values = np.load(self.kept, mmap_mode="r")
        ends = [0, *np.cumsum([math.prod(shape) for shape in self.shapes]).tolist()]
        return [values[ends[n] : ends[n + 1]].reshape(self.shapes[n]) for n in numbers]

    def said(self, name: str) -> npt.NDArray[np.float16] | None:
        """What the network says of a class, as logits (1, z, y, x); None where it says nothing."""
        return self.part(self.scales + self.spoken.index(name))[0] if name in self.spoken else None

    def mask_of(self, training: Training, name: str) -> Mask:
        """Another class (z, y, x)."""
        return np.isin(np.load(self.labels), training.numbers_within(name))


@dataclass(frozen=True)
class Ran:
    """One window of a case that a trunk ran over."""

    case_id: str
    kept: Kept
    folder: Path
    """Of its files."""
    spoken: tuple[str, ...]
    """See `Window`."""


def windows_of(training: Training, name: str, ran: Sequence[Ran]) -> list[Window]:
    """What is kept of some windows, for a class."""
    found = []
    numbers, rng = training.numbers_within(name), np.random.default_rng(training.seed)
    for one in ran:
        labels = one.folder / LABELS
        mask = np.isin(np.load(labels), numbers)
        voxels = np.argwhere(mask)
        if len(voxels) > _VOXELS:
            voxels = voxels[rng.choice(len(voxels), _VOXELS, replace=False)]
        found.append(Window(one.case_id, one.folder / FEATURES, one.kept.shapes, one.spoken, labels, mask, voxels))
    return found


class Drawn:
    """Draws windows: most of them hold the class."""

    def __init__(self, windows: Sequence[Window], rng: np.random.Generator) -> None:
        self._windows, self._holding, self._rng = windows, [w for w in windows if len(w.voxels)], rng

    def draw(self) -> tuple[Window, bool]:
        """A window, and whether it was drawn for the class in it."""
        around = bool(self._holding) and self._rng.random() < SEEN
        windows = self._holding if around else self._windows
        return windows[int(self._rng.integers(len(windows)))], around


class Parts:
    """Draws batches of parts of windows, half as long as these where the scales of the features allow it."""

    def __init__(self, windows: Sequence[Window], name: str, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._drawn, self._name = Drawn(windows, self._rng), name
        shapes = np.array([shape[1:] for shape in windows[0].shapes[: windows[0].scales]])
        coarsest = shapes.min(0)
        self._cells = np.where((shapes % coarsest == 0).all(0), coarsest, 1)
        """Into how many cells, of whole voxels at every scale, each axis is cut."""
        self._taken = -(-self._cells // 2)
        self.voxels = int(np.prod(shapes[0] // self._cells * self._taken))
        """Of a part."""

    def batch(self, size: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Features of every scale; what the network says, if it does; and the wanted mask, all float32."""
        drawn = [self._draw() for _ in range(size)]
        features = [np.stack(scale) for scale in zip(*(d[0] for d in drawn), strict=True)]
        said = [np.stack([d[1] for d in drawn if d[1] is not None])] if drawn[0][1] is not None else []
        return features, said, [np.stack([d[2] for d in drawn])]

    def _draw(self) -> tuple[list[Any], Any, Any]:
        window, around = self._drawn.draw()
        size = np.array(window.mask.shape)
        centre = window.voxels[self._rng.integers(len(window.voxels))] if around else self._rng.integers(size)
        cell = centre * self._cells // size
        first = np.clip(cell - self._rng.integers(self._taken), 0, self._cells - self._taken)

        def cut(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            long = np.array(values.shape[-3:]) // self._cells
            z, y, x = (slice(a * n, (a + t) * n) for a, t, n in zip(first, self._taken, long, strict=True))
            return np.asarray(values[..., z, y, x], np.float32)

        said = window.said(self._name)
        features = [cut(one) for one in window.part(*range(window.scales))]
        return features, None if said is None else cut(said), cut(window.mask)[None]
