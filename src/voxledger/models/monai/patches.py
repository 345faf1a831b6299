"""Patches of the cases of a cohort: preprocessed cases on disk, read where a patch lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import grown
from voxledger.imaging.volume import Volume
from voxledger.models.centres import Voxels, centres, chances, lesion_numbers, lesions
from voxledger.models.coarse import comes_back
from voxledger.models.monai.augment import REACH, TURNED, strong
from voxledger.models.monai.network import from_elsewhere, patch_of, preprocess, resample, working_shape
from voxledger.models.monai.transforms import Preparation
from voxledger.models.training import Training

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class _Case:
    """One case at the working spacing (z, y, x), and where its patches may be centred."""

    image: Image
    labels: Labels
    centres: list[Voxels]
    """Voxels of every class, the background included."""


def prepared(image: Volume, labels: Labels, plans: dict[str, Any]) -> tuple[Image, Labels]:
    """Image and labels as the network sees them; their axes are those of the patch."""
    if from_elsewhere(plans):
        preparation = Preparation(plans["transforms"])
        return preparation.image(image.array, image.grid)[0].numpy(), preparation.labels(labels, image.grid)
    shape = working_shape(image.array.shape, image.grid.spacing, plans)
    values = preprocess(image.array, image.grid.spacing, plans)
    return values, resample(labels, shape, nearest=True).astype(np.int16)


class Patches:
    """Draws batches of patches.

    Parameters
    ----------
    training
        What to train on. Patches are centred on a class, or the background, drawn by chance of a case drawn by chance;
        `lesion_share` of them on a lesion of the cohort, with a weight of 1 / diameter.
    plans
        Working spacing and patch.
    work
        Folder for the preprocessed cases.
    """

    def __init__(self, training: Training, plans: dict[str, Any], work: Path) -> None:
        self._rng = np.random.default_rng(training.seed)
        self._patch = patch_of(plans)
        self._ignore, self._share = training.ignore, training.model.lesion_share
        self._augment = strong(self._patch, training.seed) if training.model.augmentation == "strong" else None
        self.learned: set[int] = set()
        """Labels that occur in any case."""
        self.come_back: dict[int, list[float]] = {}
        """By label and case, what of a class is left at the working spacing, see `comes_back`."""
        self._cases: list[_Case] = []
        self._lesions: list[tuple[_Case, Voxels]] = []
        for case, image, labels in training.load_all():
            present = set(np.unique(labels).tolist())
            self.learned |= present
            values, classes = prepared(image, labels, plans)
            if not from_elsewhere(plans):
                for number in present - {0, self._ignore}:
                    self.come_back.setdefault(number, []).append(comes_back(labels, classes, number))
            lacking = [max(0, p - n) for p, n in zip(self._patch, values.shape, strict=True)]
            pads = [(n // 2, n - n // 2) for n in lacking]
            values, classes = np.pad(values, pads), np.pad(classes, pads)
            paths = [work / f"{case.case_id}.{kind}.npy" for kind in ("image", "labels")]
            np.save(paths[0], values)
            np.save(paths[1], classes)
            mapped = np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r")
            known = [c for c in np.unique(classes).tolist() if c != self._ignore]
            self._cases.append(_Case(*mapped, list(centres(classes, known, self._rng).values())))
            if self._share:
                found = lesions(classes, lesion_numbers(training.schema))
                self._lesions += [(self._cases[-1], voxels) for voxels in found]
        self._chances = chances([voxels for _, voxels in self._lesions])

    def batch(self, size: int) -> tuple[Any, Any]:
        """Images (batch, 1, z, y, x) and labels (batch, z, y, x)."""
        import torch

        drawn = [self._draw() for _ in range(size)]
        return torch.from_numpy(np.stack([d[0] for d in drawn])[:, None]), torch.from_numpy(
            np.stack([d[1] for d in drawn])
        )

    def _draw(self) -> tuple[Image, npt.NDArray[np.int64]]:
        case, centre = self._place()
        shape = case.image.shape
        starts = [int(np.clip(c - p // 2, 0, n - p)) for c, p, n in zip(centre, self._patch, shape, strict=True)]
        z, y, x = (slice(start, start + p) for start, p in zip(starts, self._patch, strict=True))
        if self._augment is not None:
            turned = bool(self._rng.random() < TURNED)
            box = grown((z, y, x), [round(REACH * p) for p in self._patch], shape) if turned else (z, y, x)
            return self._augment(case.image[box], case.labels[box], turned)
        # Light augmentation of brightness and contrast; organs have sides, so nothing is mirrored.
        scale, shift = self._rng.uniform(0.9, 1.1), self._rng.uniform(-0.1, 0.1)
        return np.asarray(case.image[z, y, x] * scale + shift, np.float32), np.asarray(case.labels[z, y, x], np.int64)

    def _place(self) -> tuple[_Case, Voxels]:
        """The case and the voxel that a patch is centred on."""
        if self._lesions and self._rng.random() < self._share:
            case, voxels = self._lesions[self._rng.choice(len(self._lesions), p=self._chances)]
        else:
            case = self._cases[self._rng.integers(len(self._cases))]
            voxels = case.centres[self._rng.integers(len(case.centres))]
        return case, voxels[self._rng.integers(len(voxels))]
