"""What the network is trained on: patches around prompts, of the objects that people stand behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, absolute, bounding_box
from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid
from voxledger.models.nninteractive.draw import correction, corrupted, first_prompts
from voxledger.models.nninteractive.images import normalised
from voxledger.models.nninteractive.marks import ball_of, centre_of, cut, encode, guessed, patch_around
from voxledger.models.training import Training
from voxledger.weak.prompt import Prompt

LEAST = 20
"""Voxels that an object needs to be learned from."""
PIECE = 0.1
"""Share of the largest piece of a class, lesions apart, that another needs to be an object of its own."""
CORRUPTED = 0.15
"""Share of samples that begin with a mask that a poor network might have found, and a point in its largest error."""
ROLLOUT = 0.4
"""Share of the others that go on from what the network itself finds, likewise."""
CLICKS = 3
"""Most points of such a rollout."""

Array = npt.NDArray[np.float32]
Predict = Callable[[Array], npt.NDArray[np.bool_]]
"""What the network takes for the object (z, y, x), by its inputs (channel, z, y, x)."""


@dataclass(frozen=True, eq=False)
class Object:
    """One object of a case."""

    image: Array
    """Intensities (z, y, x) as the network sees them."""
    grid: Grid
    """Of the image."""
    box: Box
    mask: npt.NDArray[np.bool_]
    """The object (z, y, x) in its box."""

    @property
    def start(self) -> tuple[int, int, int]:
        """Lowest corner of the box."""
        z, y, x = (s.start for s in self.box)
        return z, y, x


class Samples:
    """Draws batches: classes in turn by chance, an object of one by chance, prompts, and a patch around the last.

    Parameters
    ----------
    training
        Cases, classes and seed.
    patch
        In voxels (z, y, x).
    radius
        Of a point, in voxels.
    clip
        Bounds of the intensities.
    work
        Folder for the images as the network sees them.

    Raises
    ------
    VoxledgerError
        No class that people stand behind has an object.
    """

    def __init__(
        self,
        training: Training,
        patch: Sequence[int],
        radius: float,
        clip: tuple[float, float] | None,
        work: Path,
    ) -> None:
        self._rng = np.random.default_rng(training.seed)
        self._patch, self._ball = tuple(patch), ball_of(radius)
        by_class: dict[str, list[Object]] = {}
        for case in training.cases:
            image, masks = training.trusted(case)
            seen = normalised(image.array, clip)
            if seen is None:
                continue
            path = work / f"{case.case_id}.npy"
            np.save(path, seen)
            shown = np.load(path, mmap_mode="r")
            for name, mask in masks:
                lesion = training.labels[name].lesion
                by_class.setdefault(name, []).extend(
                    Object(shown, image.grid, *found) for found in _objects(mask, lesion)
                )
        self._classes = [found for found in by_class.values() if found]
        if not self._classes:
            raise VoxledgerError(
                f"no class that people stand behind has an object of at least {LEAST} voxels",
                "review cases, or add labelled ones: `voxledger cases add FOLDER --labels FOLDER`",
            )

    def batch(self, size: int, predict: Predict) -> tuple[Any, Any]:
        """Inputs (batch, channel, z, y, x) and labels (batch, z, y, x), 1 where the object is."""
        import torch

        drawn = [self._draw(predict) for _ in range(size)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))

    def _draw(self, predict: Predict) -> tuple[Array, npt.NDArray[np.int64]]:
        rng = self._rng
        objects = self._classes[rng.integers(len(self._classes))]
        chosen = objects[rng.integers(len(objects))]
        prompts = first_prompts(chosen.mask, chosen.start, chosen.grid, rng)
        before: tuple[Box, npt.NDArray[np.bool_]] | None = None
        if rng.random() < CORRUPTED:
            before = chosen.box, corrupted(chosen.mask, rng)
            click = correction(chosen.mask, before[1], chosen.start, rng)
            prompts = prompts if click is None else [click]
        elif rng.random() < ROLLOUT:
            for _ in range(int(rng.integers(1, CLICKS + 1))):
                box, inputs, truth = self._sample(chosen, prompts, before)
                found = predict(inputs)
                click = correction(truth, found, tuple(s.start for s in box), rng)
                before = box, found
                if click is None:
                    break
                prompts = [*prompts, click]
        _, inputs, truth = self._sample(chosen, prompts, before)
        return self._changed(inputs), truth.astype(np.int64)

    def _sample(
        self, chosen: Object, prompts: Sequence[Prompt], before: tuple[Box, npt.NDArray[np.bool_]] | None
    ) -> tuple[Box, Array, npt.NDArray[np.bool_]]:
        """The box of the patch, what the network gets, and what of the object lies in it."""
        together = all(p.kind == "lasso" for p in prompts)
        box = patch_around(centre_of(prompts if together else prompts[-1:]), self._patch)
        previous = guessed(prompts, box) if before is None else cut(before[1], box, [s.start for s in before[0]])
        inputs = np.concatenate(
            [cut(chosen.image, box)[None], previous[None], encode(prompts, box, self._ball, chosen.image.shape)]
        )
        return box, inputs.astype(np.float32, copy=False), cut(chosen.mask, box, chosen.start)

    def _changed(self, inputs: Array) -> Array:
        """Light augmentation of brightness and contrast; organs have sides, so nothing is mirrored."""
        inputs[0] = inputs[0] * self._rng.uniform(0.9, 1.1) + self._rng.uniform(-0.1, 0.1)
        return inputs


def _objects(mask: npt.NDArray[np.bool_], lesion: bool) -> list[tuple[Box, npt.NDArray[np.bool_]]]:
    """Objects of a class in a case: every lesion; of other classes the large pieces."""
    around = bounding_box(mask)
    if around is None:
        return []
    pieces, count = connected_components(mask[around])
    voxels = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    least = max(LEAST, 0 if lesion else PIECE * voxels.max())
    found = []
    for number in np.flatnonzero(voxels >= least) + 1:
        own = pieces == number
        box = bounding_box(own)
        assert box is not None
        found.append((absolute(box, around), np.ascontiguousarray(own[box])))
    return found
