"""One image under clicks: every click is answered at once, in the patch around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Volume
from voxledger.models.channels import Array
from voxledger.models.clicks.guidance import guidance
from voxledger.models.clicks.predict import load, predict
from voxledger.models.dataset import outputs
from voxledger.models.interaction import Click, Labels
from voxledger.models.model import Model
from voxledger.models.monai.network import preprocess, resample
from voxledger.params import InferParams


@dataclass(frozen=True)
class Answer:
    """What the network says after some clicks; numbers of classes are those of its outputs."""

    labels: Labels
    """On the grid of the image (z, y, x)."""
    clicks: tuple[Click, ...]
    """So far, at voxels of the image."""
    working: Labels
    """The same labels at the working spacing."""


class Session:
    """The network in front of one image.

    Parameters
    ----------
    model
        A model of the backend `clicks`, its files checked against its id.
    image
        Intensities (z, y, x) on their grid, CT in HU.
    device
        `cpu` or `cuda`.
    """

    def __init__(self, model: Model, image: Volume, device: str) -> None:
        self._network, plans, dataset = load(model.folder, model.card.id, device)
        self._device, self._count = device, len(outputs(dataset))
        self._model, self._volume = model, image
        values = preprocess(image.array, image.grid.spacing, plans)
        self._inside = values.shape
        lacking = [max(0, p - n) for p, n in zip(plans["patch"], values.shape, strict=True)]
        self._image = np.pad(values, [(n // 2, n - n // 2) for n in lacking])
        self._offset = [n // 2 for n in lacking]
        self._patch, self._shape = list(plans["patch"]), image.array.shape

    def automatic(self, params: InferParams) -> Labels:
        """What the network says without clicks, a label map (z, y, x) on the grid of the image."""
        found = predict(self._model.folder, self._model.card.id, self._volume, params, self._device)
        return _most_likely(found.probability(number) for number in range(self._count))

    def start(self, labels: Labels) -> Answer:
        """Begin with a label map (z, y, x) on the grid of the image, such as the network's own prediction."""
        working = np.pad(
            resample(labels, self._inside, nearest=True).astype(np.int16),
            [(o, n - m - o) for o, n, m in zip(self._offset, self._image.shape, self._inside, strict=True)],
        )
        return Answer(np.asarray(labels), (), working)

    def click(self, answer: Answer, click: Click) -> Answer:
        """The next answer; what lies outside of the patch around the click stays as it was."""
        import torch

        clicks = (*answer.clicks, click)
        placed = [replace(one, voxel=self._placed(one.voxel)) for one in clicks]
        starts = [
            int(np.clip(v - p // 2, 0, n - p))
            for v, p, n in zip(placed[-1].voxel, self._patch, self._image.shape, strict=True)
        ]
        z, y, x = (slice(start, start + p) for start, p in zip(starts, self._patch, strict=True))
        moved = [replace(c, voxel=_less(c.voxel, starts)) for c in placed]
        seen = guidance(answer.working[z, y, x], moved, self._count - 1)
        with torch.inference_mode():
            logits = self._network(
                torch.from_numpy(self._image[z, y, x].copy())[None, None].to(self._device),
                torch.from_numpy(seen)[None].to(self._device),
            )
        working = answer.working.copy()
        working[z, y, x] = logits[0].argmax(0).cpu().numpy()
        return Answer(self._on_image(answer, working), clicks, working)

    def _placed(self, voxel: Sequence[int]) -> tuple[int, int, int]:
        """A voxel of the image at the working spacing."""
        z, y, x = (
            min(int((v + 0.5) * n / m), n - 1) + o
            for v, n, m, o in zip(voxel, self._inside, self._shape, self._offset, strict=True)
        )
        return z, y, x

    def _on_image(self, before: Answer, working: Labels) -> Labels:
        """The answer on the grid of the image: where nothing changed at the working spacing, every voxel stays."""
        inside = tuple(slice(o, o + n) for o, n in zip(self._offset, self._inside, strict=True))
        now, changed = working[inside], working[inside] != before.working[inside]
        if self._inside == self._shape:
            return np.where(changed, now, before.labels).astype(before.labels.dtype)
        found = _most_likely(resample(now == number, self._shape) for number in range(self._count))
        near = resample(changed, self._shape) > 0
        painted: npt.NDArray[Any] = np.where(near, found, before.labels)
        return painted.astype(before.labels.dtype)


def _most_likely(shares: Iterable[Array]) -> npt.NDArray[np.int16]:
    """The number (z, y, x) of the largest of several arrays, the first of equal ones; one in memory at a time."""
    most, found = np.full((), -1.0, np.float32), np.zeros((), np.int16)
    for number, share in enumerate(shares):
        found = np.where(share > most, np.int16(number), found)
        most = np.maximum(most, share)
    return found


def _less(voxel: Sequence[int], starts: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = (v - start for v, start in zip(voxel, starts, strict=True))
    return z, y, x
