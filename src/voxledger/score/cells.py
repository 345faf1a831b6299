"""What learned attention knows of a small cell of the image: what the models say there, where in the mask it lies, what
the image shows.

A cell is a box of voxels with sides of about `CELL_MM`, counted from the corner of the image: about as large as what
people see as an error. A cell is told by sums over its voxels, so that each is read once, and by those of the 26 cells
around it. It is in question for a class where it holds a voxel in question: one where the mean of the models lies
between `SURE` and 1 − `SURE`, or on the other side than the label map that people are shown, as where the filter took
something away. Of all others nothing is said: there all models agree, and are certain.

Classes are streamed in slabs of slices inside the bounding box of what any model predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, label_boxes, parts, relative, shape_of, union
from voxledger.imaging.soft import SoftPrediction, asked, ensemble_box
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.score.attention import ClassAttention
from voxledger.score.entropy import binary, slabs

SURE = 0.05
CELL_MM = 4.0
"""Side of a cell, rounded to whole voxels, one at least."""
THICKEST_MM = 50.0
"""What is in question away from any border is as thick as this."""

FEATURES = (
    *("asked", "doubt", "against", "mean", "deviation", "entropy", "deviation_most", "entropy_most"),
    *("inconsistent", "uncertain", "overlapping"),
    *("mask", "border", "thickness_mm", "slice_mm", "slice_share", "slice_change", "end_mm"),
    *("intensity", "unlike_mask", "contrast", "across"),
    *("asked_near", "doubt_near", "against_near", "mean_near", "deviation_near", "entropy_near", "inconsistent_near"),
    *("mask_near", "border_near", "intensity_near"),
    *("class_ml", "class_doubt", "class_agreement", "class"),
)
"""In their order. `asked` is the share of voxels in question, of which mean, criteria and intensity are told; `doubt`
that of a mean from 0.1 to 0.9, `against` that of the wrong side; `border` mm² of the mask's border by mm³,
`thickness_mm` how deep around the border voxels are in question. `slice_mm` is the side of a square as large as the
mask in the middle slice, `slice_share` of that of its largest slice, `end_mm` how far the mask still goes across the
slices. Intensities are in units of the spread of the image, its 5th to 95th percentile, from its median;
`unlike_mask` in standard deviations of the mask, from its mean; `across` the mean of what is mask less that of what
is not. What is `near` is of the 27 cells around. `class_doubt` is the mean of entropy over what is predicted,
`class_agreement` what all models claim of what any does."""


@dataclass(frozen=True)
class Cells:
    """Cells in question of a class, and the voxels in question in them."""

    features: npt.NDArray[np.float32]
    """(n, `FEATURES`)."""
    box: Box
    """Of the image: what the voxels lie in."""
    _asked: npt.NDArray[np.uint8]
    """Voxels in question of the box, eight a byte along x."""
    _rows: npt.NDArray[np.int32]
    """Row of every cell that the box touches, or −1; rows go up with the place."""
    _size: tuple[int, int, int]

    @property
    def asked(self) -> npt.NDArray[np.float32]:
        """(n,): share of the voxels of every cell that is in question."""
        return self.features[:, _ASKED_SHARE]

    @property
    def places(self) -> npt.NDArray[np.int32]:
        """(n, 3): where every cell lies on the grid of cells."""
        return np.argwhere(self._rows >= 0).astype(np.int32)

    def voxels(self, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Voxels in question (m, 3) of the chosen cells (n,) by their index in the image, and the row of each."""
        from voxledger.score import cell_kernels

        corner = tuple(s.start for s in self.box)
        found, rows = cell_kernels.of_cells(self._asked, self.box[2].stop, self._rows, self._size, corner, chosen)
        return found, rows

    def painted(self, level: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The level of its cell (n,) at every voxel in question of the box (z, y, x), 0 elsewhere."""
        from voxledger.score import cell_kernels

        found = np.zeros(shape_of(self.box), np.uint8)
        corner = tuple(s.start for s in self.box)
        cell_kernels.paint(self._asked, self._rows, self._size, corner, level, found)
        return found

    def touching(self, box: Box) -> npt.NDArray[np.bool_]:
        """Which cells (n,) share a voxel with a box of the image."""
        found = np.zeros(len(self.features) + 1, np.bool_)
        first = [s.start // n for s, n in zip(self.box, self._size, strict=True)]
        sides = (
            slice(max(s.start // n - f, 0), max(-(-s.stop // n) - f, 0))
            for s, n, f in zip(box, self._size, first, strict=True)
        )
        found[self._rows[tuple(sides)]] = True
        return found[:-1]


class CaseCells:
    """Cells in question of one case.

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
        self.size = cell_size(self.grid)

    def of(self, published: ClassAttention, number: int) -> Cells | None:
        """Cells of a class in question; None where no model knows the class, or there are none.

        Parameters
        ----------
        published
            What the published criteria find of the class in the same predictions.
        number
            The class as a feature.
        """
        name = published.name
        knowing = [self._predictions[i] for i in asked(self._predictions, name)]
        box = union([ensemble_box(self._predictions, name), self.mask_box(name)]) if knowing else None
        if box is None:
            return None
        sums, voxels = self._read(name, knowing, box, published)
        where = np.nonzero(sums[..., _ASKED])
        if not len(where[0]):
            return None
        rows = np.full(sums.shape[:3], -1, np.int32)
        rows[where] = np.arange(len(where[0]), dtype=np.int32)
        return Cells(self._features(sums, where, box, published, number), box, voxels, rows, self.size)

    def mask_box(self, name: str) -> Box | None:
        """The box around the class in the label map."""
        return union(self._boxes.get(i) for i in self.schema.ids_of(name))

    def own(self, name: str) -> npt.NDArray[np.bool_]:
        """By id in the label map: whether it counts as the class."""
        own = np.zeros(max([*self._boxes, *(c.id for c in self.schema.classes)]) + 1, np.bool_)
        own[self.schema.ids_of(name)] = True
        return own

    def _read(
        self, name: str, knowing: Sequence[SoftPrediction], box: Box, published: ClassAttention
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Sums by cell (z, y, x, `_SUMS`), and voxels in question of the box, eight a byte."""
        from voxledger.score import cell_kernels, kernels

        own, first = self.own(name), [s.start // n for s, n in zip(box, self.size, strict=True)]
        counts = (-(-s.stop // n) - f for s, n, f in zip(box, self.size, first, strict=True))
        sums = np.zeros((*counts, _SUMS), np.float32)
        rows = np.zeros((*shape_of(box)[:2], -(-shape_of(box)[2] // 8)), np.uint8)
        flagged = published.box or (slice(0, 0), slice(0, 0), slice(0, 0))
        criteria = published.bits if published.box else np.zeros((0, 0, 0), np.uint8)
        for z in slabs(box[0].start, box[0].stop):
            slab = (z, box[1], box[2])
            found = np.zeros(shape_of(slab), np.uint8)
            for part, there in parts(slab, [p.extent for p in knowing]):
                p = np.empty((len(there), *shape_of(part)), np.uint16)
                for values, i in zip(p, there, strict=True):
                    values[...] = knowing[i].read(name, part).view(np.uint16)
                own_part = np.zeros(shape_of(part), np.uint8)
                cell_kernels.add_part(
                    p,
                    _values(),
                    (self.labels, own, self.image, criteria),
                    tuple(s.start for s in part),
                    tuple(s.start for s in flagged),
                    self.size,
                    tuple(first),
                    (self.median, self.spread, SURE),
                    _faces(self.grid),
                    sums,
                    own_part,
                )
                found[relative(part, slab)] = own_part
            kernels.pack(rows[z.start - box[0].start : z.stop - box[0].start], found, 1)
        return sums, rows

    def _features(
        self,
        sums: npt.NDArray[np.float32],
        where: tuple[npt.NDArray[np.intp], ...],
        box: Box,
        published: ClassAttention,
        number: int,
    ) -> npt.NDArray[np.float32]:
        """Features of the cells in question (n, `FEATURES`)."""
        grid, own = self.grid, self.own(published.name)
        mm3 = float(np.prod(grid.spacing))
        here = {name: sums[..., i][where].astype(np.float64) for i, name in enumerate(_SUMMED)}
        near = {name: _around(sums[..., i])[where] for i, name in enumerate(_SUMMED) if name in _NEAR}
        count, all_near = here["asked"], near["voxels"]
        mean, spread, areas = self._of_mask(published.name, own)
        intensity = here["intensity"] / count
        outside = here["voxels"] - here["mask"]
        across = here["of_mask"] / np.maximum(here["mask"], 1) - here["of_rest"] / np.maximum(outside, 1)
        slices = _of_slices(areas, grid)
        middle = np.clip(
            (where[0] + box[0].start // self.size[0]) * self.size[0] + self.size[0] // 2, 0, grid.shape[0] - 1
        )
        table = {
            "asked": count / here["voxels"],
            "doubt": here["doubt"] / here["voxels"],
            "against": here["against"] / here["voxels"],
            **{name: here[name] / count for name in ("mean", "deviation", "entropy")},
            **{name: here[name] for name in ("deviation_most", "entropy_most")},
            **{name: here[name] / count for name in ("inconsistent", "uncertain", "overlapping")},
            "mask": here["mask"] / here["voxels"],
            "border": here["border"] / (here["voxels"] * mm3),
            "thickness_mm": np.minimum(near["asked"] * mm3 / np.maximum(near["border"], 1e-6), THICKEST_MM),
            **dict(zip(("slice_mm", "slice_share", "slice_change", "end_mm"), slices[middle].T, strict=True)),
            "intensity": intensity,
            "unlike_mask": (intensity - mean) / spread,
            "contrast": np.sqrt(np.maximum(here["squares"] / count - intensity**2, 0)),
            "across": np.where((here["mask"] > 0) & (outside > 0), across, 0),
            **{f"{name}_near": near[name] / all_near for name in ("asked", "doubt", "against")},
            **{f"{name}_near": near[name] / near["asked"] for name in ("mean", "deviation", "entropy", "inconsistent")},
            "mask_near": near["mask"] / all_near,
            "border_near": near["border"] / (all_near * mm3),
            "intensity_near": near["intensity"] / near["asked"],
        }
        of_class = dict(zip(FEATURES[-4:], self._of_class(areas, published, number), strict=True))
        features = np.empty((len(count), len(FEATURES)), np.float32)
        for column, name in enumerate(FEATURES):
            features[:, column] = of_class[name] if name in of_class else table[name]
        return features

    def _of_mask(self, name: str, own: npt.NDArray[np.bool_]) -> tuple[float, float, npt.NDArray[np.int64]]:
        """Mean and standard deviation of the mask's intensities, and its voxels in every slice."""
        from voxledger.score import cell_kernels

        box, areas = self.mask_box(name), np.zeros(self.grid.shape[0], np.int64)
        if box is None:
            return 0.0, 1e-3, areas
        areas[box[0]], total, squares = cell_kernels.of_slices(
            self.labels[box], own, self.image[box], self.median, self.spread
        )
        mean = total / int(areas.sum())
        return mean, max(float(np.sqrt(max(squares / int(areas.sum()) - mean**2, 0.0))), 1e-3), areas

    def _of_class(self, areas: npt.NDArray[np.int64], published: ClassAttention, number: int) -> tuple[float, ...]:
        claims, every = published.votes, len(published.votes) // 2 - 1
        any_claim = sum(int(n) for claim, n in enumerate(claims) if claim & every)
        all_claim = sum(int(n) for claim, n in enumerate(claims) if claim & every == every)
        return (
            float(np.log1p(int(areas.sum()) * self.grid.voxel_ml)),
            published.entropy / max(published.predicted, 1),
            all_claim / any_claim if any_claim else 1.0,
            float(number),
        )


_SUMMED = (
    *("voxels", "asked", "doubt", "against", "mean", "deviation", "entropy", "deviation_most", "entropy_most"),
    *("inconsistent", "uncertain", "overlapping", "mask", "border", "intensity", "squares", "of_mask", "of_rest"),
)
"""What is known of a cell, in the order of `cell_kernels.add_part`; the two `most` are largest values."""
_SUMS, _ASKED = len(_SUMMED), _SUMMED.index("asked")
_ASKED_SHARE = FEATURES.index("asked")
_NEAR = frozenset(
    (
        *("voxels", "asked", "doubt", "against", "mean", "deviation", "entropy", "inconsistent"),
        *("mask", "border", "intensity"),
    )
)


def cell_size(grid: Grid) -> tuple[int, int, int]:
    """Voxels of a cell along (z, y, x).

    Examples
    --------
    >>> cell_size(Grid.plain((9, 9, 9), (5.0, 0.8, 1.5)))
    (1, 5, 3)
    """
    z, y, x = (max(1, int(CELL_MM / s + 0.5)) for s in grid.spacing)
    return z, y, x


def _around(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Sums over the 27 cells around each, itself included (z, y, x)."""
    found = values.astype(np.float64)
    for axis in range(3):
        padded = np.pad(found, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        n = found.shape[axis]
        found = np.sum([np.take(padded, range(i, i + n), axis) for i in range(3)], axis=0)
    return found


def _of_slices(areas: npt.NDArray[np.int64], grid: Grid) -> npt.NDArray[np.float32]:
    """By slice the four features from `slice_mm` to `end_mm`."""
    largest = max(int(areas.max(initial=0)), 1)
    side = np.sqrt(areas * (grid.spacing[1] * grid.spacing[2]))
    beside = np.abs(np.gradient(areas.astype(np.float64))) if len(areas) > 1 else np.zeros(len(areas))
    filled, z = np.flatnonzero(areas), np.arange(len(areas))
    ends = np.minimum(z - filled[0], filled[-1] - z) if filled.size else np.zeros(len(areas))
    return np.stack([side, areas / largest, beside / largest, ends * grid.spacing[0]], axis=1).astype(np.float32)


def _faces(grid: Grid) -> tuple[float, float, float]:
    """Area in mm² of the side of a voxel across z, y, x."""
    z, y, x = grid.spacing
    return y * x, z * x, z * y


@cache
def _values() -> npt.NDArray[np.float32]:
    """By bit pattern of a float16 from 0 to 1: its value, and its binary entropy in nats."""
    p = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.array([[v, binary(v)] for v in p.tolist()], np.float32)
