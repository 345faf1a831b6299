"""What learned attention knows of a voxel: what the models say, where in the mask it lies, what the image shows there.

Voxels of a class are in question where the mean of the models lies between `SURE` and 1 − `SURE`, or on the other side
than the label map that people are shown, as where the filter took something away. Of all others nothing is said: there
all models agree, and are certain.

Classes are streamed in slabs of slices inside the bounding box of what any model predicts. A class needs the
probabilities of three slabs, and of the image and the label map nothing but what they are held in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from voxledger.imaging.attention_file import PUBLISHED
from voxledger.imaging.boxes import Box, grown, label_boxes, parts, shape_of, union, view
from voxledger.imaging.soft import SoftPrediction, asked, ensemble_box
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.score.attention import ClassAttention
from voxledger.score.entropy import binary, slabs

SURE = 0.02
REACH_MM = 5.0
"""Distances to the border are told up to here."""
MOST_OFFSETS = 1500
"""Voxels around one in which the border is looked for: with small voxels fewer mm."""

FEATURES = (
    *("mean", "deviation", "entropy", "inconsistent", "uncertain", "overlapping"),
    *("mean_near", "deviation_near", "mean_gradient", "doubt_near"),
    *("border_mm", "mask_near", "slice_mm", "slice_share", "slice_change", "end_mm"),
    *("intensity", "unlike_mask", "intensity_gradient", "contrast"),
    *("class_ml", "class_doubt", "class_agreement", "class"),
)
"""In their order. Intensities are in units of the spread of the image, its 5th to 95th percentile, from its median;
`unlike_mask` in standard deviations of the mask, from its mean. `slice_mm` is the side of a square as large as the mask
in the slice, `slice_share` of that of its largest slice, `end_mm` how far the mask still goes across the slices;
`class_doubt` the mean of entropy over what is predicted, `class_agreement` what all models claim of what any does."""


@dataclass(frozen=True)
class Slab:
    """Voxels in question of some slices."""

    voxels: npt.NDArray[np.int32]
    """(n, 3): z, y, x in the image."""
    features: npt.NDArray[np.float32]
    """(n, `FEATURES`)."""


class CaseVoxels:
    """Voxels in question of one case.

    Parameters
    ----------
    predictions
        Soft predictions on one grid.
    labels
        The label map that people are shown (z, y, x).
    image
        Intensities (z, y, x).
    """

    def __init__(
        self,
        predictions: Sequence[SoftPrediction],
        labels: npt.NDArray[np.unsignedinteger],
        image: npt.NDArray[np.number],
        schema: LabelSchema,
    ) -> None:
        self._predictions, self.schema = predictions, schema
        self.labels, self.image, self.grid = labels, image, predictions[0].grid
        self._boxes = label_boxes(labels)
        sample = image[tuple(slice(None, None, max(1, n // 64)) for n in image.shape)]
        low, self.median, high = (float(v) for v in np.percentile(sample, (5, 50, 95)))
        self.spread = max(high - low, 1e-6)

    def slabs(self, published: ClassAttention, number: int) -> Iterator[Slab]:
        """Voxels of a class in question, from the lowest slice up; none where no model knows the class.

        Parameters
        ----------
        published
            What the published criteria find of the class in the same predictions.
        number
            The class as a feature.
        """
        from voxledger.score import voxel_kernels

        name = published.name
        knowing = [self._predictions[i] for i in asked(self._predictions, name)]
        box = union([ensemble_box(self._predictions, name), self.mask_box(name)]) if knowing else None
        if box is None:
            return
        own = self.own(name)
        of_class, (y, x) = _OfClass(self, own, published, number), grown(box, voxel_kernels.NEAR, self.grid.shape)[1:]
        for z, start, (mean, deviation, entropy) in _windows(knowing, name, (box[0], y, x)):
            corner = (start, y.start, x.start)
            voxels = voxel_kernels.doubtful(mean, self.labels, own, corner, z.start, z.stop, SURE)
            if len(voxels):
                features = np.zeros((len(voxels), len(FEATURES)), np.float32)
                for column, values in enumerate((mean, deviation, entropy)):
                    voxel_kernels.gathered(voxels, values, corner, features[:, column])
                voxel_kernels.around(voxels, mean, deviation, corner, self.grid.spacing, features[:, 6:10])
                of_class.fill(voxels, features)
                yield Slab(voxels, features)

    def mask_box(self, name: str) -> Box | None:
        """The box around the class in the label map."""
        return union(self._boxes.get(i) for i in self.schema.ids_of(name))

    def own(self, name: str) -> npt.NDArray[np.bool_]:
        """By id in the label map: whether it counts as the class."""
        own = np.zeros(max([*self._boxes, *(c.id for c in self.schema.classes)]) + 1, np.bool_)
        own[self.schema.ids_of(name)] = True
        return own


def _windows(
    knowing: Sequence[SoftPrediction], name: str, box: Box
) -> Iterator[tuple[slice, int, tuple[npt.NDArray[np.float32], ...]]]:
    """Slices of a box in slabs, and `_moments` of these and of as many slices around as a neighbourhood has.

    Gives the slices, the first slice of the moments, and these. No slice is read twice.
    """
    from voxledger.score.voxel_kernels import NEAR

    ranges = list(slabs(box[0].start, box[0].stop))
    held: dict[int, tuple[npt.NDArray[np.float32], ...]] = {}
    for number, z in enumerate(ranges):
        for ahead in (number, number + 1):
            if ahead < len(ranges) and ahead not in held:
                held[ahead] = _moments(knowing, name, (ranges[ahead], box[1], box[2]))
        held.pop(number - 2, None)
        before, after = held.get(number - 1), held.get(number + 1)
        tail = min(NEAR, len(before[0])) if before else 0
        window = [
            np.concatenate(
                [
                    *([before[i][len(before[i]) - tail :]] if before else []),
                    held[number][i],
                    *([after[i][:NEAR]] if after else []),
                ]
            )
            for i in range(3)
        ]
        yield z, z.start - tail, tuple(window)


def _moments(knowing: Sequence[SoftPrediction], name: str, box: Box) -> tuple[npt.NDArray[np.float32], ...]:
    """Mean, standard deviation and mean entropy of the models that have a say (z, y, x)."""
    from voxledger.score import voxel_kernels

    mean, deviation, entropy = (np.zeros(shape_of(box), np.float32) for _ in range(3))
    for part, there in parts(box, [p.extent for p in knowing]):
        found = [view(values, box, part) for values in (mean, deviation, entropy)]
        for i in there:
            voxel_kernels.add_moments(knowing[i].read(name, part).view(np.uint16), _values(), *found)
        if len(there) > 1:
            for values in found:
                values /= np.float32(len(there))
    np.sqrt(np.maximum(deviation - mean * mean, 0), out=deviation)
    return mean, deviation, entropy


class _OfClass:
    """What is the same for all voxels of a class, or for those of a slice."""

    def __init__(self, case: CaseVoxels, own: npt.NDArray[np.bool_], published: ClassAttention, number: int) -> None:
        from voxledger.score import voxel_kernels

        self._case, self._own, self._published, grid = case, own, published, case.grid
        box = case.mask_box(published.name)
        areas, total, squares = np.zeros(grid.shape[0], np.int64), 0.0, 0.0
        if box is not None:
            areas[box[0]], total, squares = voxel_kernels.of_slices(case.labels[box], own, case.image[box])
        count = max(int(areas.sum()), 1)
        self._mean = total / count if areas.any() else case.median
        self._std = max(float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))), 1e-3 * case.spread)
        self._of_slice = _of_slices(areas, grid)
        self._offsets = _offsets(grid.spacing)
        claims, every = published.votes, len(published.votes) // 2 - 1
        any_claim = sum(int(n) for claim, n in enumerate(claims) if claim & every)
        all_claim = sum(int(n) for claim, n in enumerate(claims) if claim & every == every)
        self._of_all = (
            np.log1p(int(areas.sum()) * grid.voxel_ml),
            published.entropy / max(published.predicted, 1),
            all_claim / any_claim if any_claim else 1.0,
            number,
        )

    def fill(self, voxels: npt.NDArray[np.int32], features: npt.NDArray[np.float32]) -> None:
        """Fill in what does not come from the probabilities of the class alone."""
        from voxledger.score import voxel_kernels

        case, published = self._case, self._published
        if published.box is not None:
            corner = (published.box[0].start, published.box[1].start, published.box[2].start)
            for column, criterion in enumerate(PUBLISHED, start=3):
                bit = (published.bits & np.uint8(criterion)) != 0
                voxel_kernels.gathered(voxels, bit, corner, features[:, column])
        voxel_kernels.placed(voxels, case.labels, self._own, *self._offsets, features[:, 10:12])
        features[:, 12:16] = self._of_slice[voxels[:, 0]]
        shown = np.empty((len(voxels), 3), np.float32)
        voxel_kernels.looks(voxels, case.image, case.grid.spacing, shown)
        features[:, 16] = (shown[:, 0] - case.median) / case.spread
        features[:, 17] = (shown[:, 0] - self._mean) / self._std
        features[:, 18:20] = shown[:, 1:] / case.spread
        features[:, 20:] = self._of_all


def _of_slices(areas: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.float32]:
    """By slice the four features from `slice_mm` to `end_mm`."""
    largest = max(int(areas.max(initial=0)), 1)
    side = np.sqrt(areas * (grid.spacing[1] * grid.spacing[2]))
    beside = np.abs(np.gradient(areas.astype(np.float64))) if len(areas) > 1 else np.zeros(len(areas))
    filled, z = np.flatnonzero(areas), np.arange(len(areas))
    ends = np.minimum(z - filled[0], filled[-1] - z) if filled.size else np.zeros(len(areas))
    return np.stack([side, areas / largest, beside / largest, ends * grid.spacing[0]], axis=1).astype(np.float32)


@cache
def _values() -> npt.NDArray[np.float32]:
    """By bit pattern of a float16 from 0 to 1: its value, and its binary entropy in nats."""
    p = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.array([[v, binary(v)] for v in p.tolist()], np.float32)


@cache
def _offsets(spacing: tuple[float, float, float]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Offsets (n, 3) of the voxels within `REACH_MM`, the nearest first, and how far they are in mm."""
    sides = [np.arange(-n, n + 1) for n in (max(1, int(REACH_MM / s)) for s in spacing)]
    offsets = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.sqrt(((offsets * np.array(spacing)) ** 2).sum(axis=1))
    order = np.lexsort((*offsets.T, np.round(distances, 6)))[1 : MOST_OFFSETS + 1]
    order = order[distances[order] <= max(REACH_MM, *spacing)]
    return offsets[order].astype(np.int32), distances[order].astype(np.float32)
