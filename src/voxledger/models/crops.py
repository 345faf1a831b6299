"""Patches of the cases that teach some classes, drawn anywhere: what a branch learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.models.centres import Voxels, centres
from voxledger.models.start import Lesson
from voxledger.models.training import Training
from voxledger.models.trunk import Trunk, padded
from voxledger.models.windows import SEEN


@dataclass(frozen=True)
class Crop:
    """One patch: image and labels (z, y, x)."""

    case_id: str
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]


@dataclass(frozen=True)
class _Case:
    case_id: str
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]
    of: dict[str, Voxels]
    """Some voxels of every class that it shows and teaches."""


class Crops:
    """Draws patches, of every class as often as of the next, and of its cases, too.

    Parameters
    ----------
    work
        Folder for the cases as the network sees them.
    """

    def __init__(self, training: Training, trunk: Trunk, lessons: Sequence[Lesson], work: Path) -> None:
        self._rng = np.random.default_rng(training.seed)
        self._trunk, self._names = trunk, [lesson.class_name for lesson in lessons]
        taught_in = {one.class_name: {*one.people, *one.model} for one in lessons}
        cases = []
        for case in training.cases:
            names = [name for name in self._names if case.case_id in taught_in[name]]
            painted = training.painted(case) if names else None
            if painted is None:
                continue
            image, labels = padded(*trunk.prepare(*painted), trunk.patch)
            paths = [work / f"{case.case_id}.{kind}.npy" for kind in ("image", "labels")]
            np.save(paths[0], image.astype(np.float32, copy=False))
            np.save(paths[1], labels.astype(np.int16))
            shown = {name: np.isin(labels, training.numbers_within(name)) for name in names}
            of = {name: centres(mask, [True], self._rng) for name, mask in shown.items()}
            mapped = np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r")
            cases.append(_Case(case.case_id, *mapped, {name: v for name, found in of.items() for v in found.values()}))
        self._cases = {name: [case for case in cases if case.case_id in taught_in[name]] for name in self._names}
        self._names = [name for name in self._names if self._cases[name]]

    def batch(self, size: int) -> list[Crop]:
        """So many patches, of light augmentation as that of full training."""
        return [self._draw() for _ in range(size)]

    def _draw(self) -> Crop:
        rng, patch = self._rng, self._trunk.patch
        name = self._names[rng.integers(len(self._names))]
        around = rng.random() < SEEN
        cases = [case for case in self._cases[name] if name in case.of] if around else []
        chosen = cases or self._cases[name]
        case = chosen[rng.integers(len(chosen))]
        shape = case.labels.shape
        centre = case.of[name][rng.integers(len(case.of[name]))] if cases else rng.integers(shape)
        starts = [int(np.clip(c - p // 2, 0, n - p)) for c, p, n in zip(centre, patch, shape, strict=True)]
        box = tuple(slice(start, start + p) for start, p in zip(starts, patch, strict=True))
        flip = tuple(axis for axis in self._trunk.mirror_axes if rng.random() < 0.5)
        scale, shift = rng.uniform(0.9, 1.1), rng.uniform(-0.1, 0.1)
        image = np.flip(np.asarray(case.image[box] * scale + shift, np.float32), flip)
        return Crop(case.case_id, image, np.flip(case.labels[box], flip))
