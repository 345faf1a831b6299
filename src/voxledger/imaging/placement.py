"""Where the voxels of one grid lie in another: the same voxels in another order or extent, or other ones.

A viewer that flips, re-orders, crops or pads an image keeps its voxels: their values are put back by geometry, and
nothing is lost. A grid of other voxels has to be resampled, which changes borders: that is only done if asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box
from voxledger.imaging.volume import Grid

SAME_VOXEL = 0.05
"""Centres of voxels of two grids are the same up to this share of a voxel: headers store float32 or decimal text."""
_COSINE = 1e-3
"""Two axes are parallel up to this difference of direction cosines (0.06 degrees)."""


@dataclass(frozen=True)
class Placement:
    """How a grid of the same voxels lies in that of an image; all by axis of the image, (z, y, x)."""

    axes: tuple[int, int, int]
    """Which axis of the label runs along each axis of the image."""
    flipped: tuple[bool, bool, bool]
    start: tuple[int, int, int]
    """Voxel of the image at which the label begins once its axes are in order; negative where it was padded."""
    shape: tuple[int, int, int]
    """Of the label, once its axes are in order."""
    image: tuple[int, int, int]
    """Shape of the image."""

    @property
    def steps(self) -> list[str]:
        """What was done to the grid, in words; nothing where it is that of the image."""
        found = ["has its axes in another order"] if self.axes != (0, 1, 2) else []
        if any(self.flipped):
            found.append("was flipped along " + ", ".join("zyx"[a] for a in (2, 1, 0) if self.flipped[a]))
        found += ["was cropped"] if self.is_cropped else []
        found += ["was padded"] if any(s < 0 or s + n > m for s, n, m in self._sides) else []
        return found

    @property
    def is_cropped(self) -> bool:
        """Whether voxels of the image lie outside of it."""
        return any(s > 0 or s + n < m for s, n, m in self._sides)

    @property
    def inside(self) -> Box:
        """The part of the image that it covers."""
        z, y, x = (slice(max(s, 0), min(s + n, m)) for s, n, m in self._sides)
        return z, y, x

    @property
    def _sides(self) -> list[tuple[int, int, int]]:
        return list(zip(self.start, self.shape, self.image, strict=True))

    def cut(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The voxels of `inside`, in the order of the image; a view."""
        z, y, x = (slice(i.start - s, i.stop - s) for i, s in zip(self.inside, self.start, strict=True))
        return self.ordered(labels)[z, y, x]

    def to_image(self, box: Box) -> Box:
        """A box of the label in the coordinates of the image, in which its sides may be negative."""
        sides = []
        for axis, flipped, start, size in zip(self.axes, self.flipped, self.start, self.shape, strict=True):
            side = box[axis]
            first = size - side.stop if flipped else side.start
            sides.append(slice(start + first, start + first + side.stop - side.start))
        z, y, x = sides
        return z, y, x

    def beyond(self, labels: npt.NDArray[Any]) -> int:
        """Voxels that are not 0 and lie outside of the image."""
        return int(np.count_nonzero(labels)) - int(np.count_nonzero(self.cut(labels)))

    def ordered(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The label, or a box of it, with its axes as those of the image; a view."""
        return np.flip(labels.transpose(self.axes), tuple(a for a in range(3) if self.flipped[a]))


def placement(label: Grid, image: Grid) -> Placement | None:
    """Where a label lies in its image; None where its voxels are not those of the image, or none of them is.

    A grid of the size of the image that begins elsewhere is none either: that is a lost origin, and not a crop.

    Examples
    --------
    >>> image = Grid.plain((4, 5, 6))
    >>> placement(Grid((4, 5, 6), image.spacing, (5.0, 0.0, 0.0), (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)), image).steps
    ['was flipped along x']
    >>> placement(Grid((2, 5, 6), image.spacing, (0.0, 0.0, 1.0), image.direction), image).start
    (1, 0, 0)
    >>> placement(Grid((4, 5, 6), image.spacing, (2.0, 0.0, 0.0), image.direction), image) is None
    True
    """
    found = _mapping(label, image)
    if found is None:
        return None
    linear, offset = found
    turned = np.rint(linear)
    if not _is_signed_permutation(turned):
        return None
    last = np.array(label.shape) - 1.0
    corners = np.array(np.meshgrid(*((0.0, n) for n in last))).reshape(3, -1)
    # Not `>`: what a damaged header makes NaN is within no tolerance.
    if not np.abs((linear - turned) @ corners + (offset - np.rint(offset))[:, None]).max() <= SAME_VOXEL:
        return None
    axes = [int(a) for a in np.abs(turned).argmax(axis=1)]
    flipped = [bool(turned[row, a] < 0) for row, a in enumerate(axes)]
    start = [int(np.rint(o)) - (label.shape[a] - 1) * f for o, a, f in zip(offset, axes, flipped, strict=True)]
    shape = [label.shape[a] for a in axes]
    outside = any(s >= m or s + n <= 0 for s, n, m in zip(start, shape, image.shape, strict=True))
    if outside or (tuple(shape) == image.shape and any(start)):
        return None
    return Placement(_triple(axes), _triple(flipped), _triple(start), _triple(shape), image.shape)


def mismatch(label: Grid, image: Grid) -> str:
    """In one phrase, why a label has no `placement` in its image."""
    found = _mapping(label, image)
    if found is None:
        return "has a geometry that makes no sense"
    linear, offset = found
    cosines = linear * np.array(image.spacing)[:, None] / np.array(label.spacing)
    if not np.allclose(np.abs(cosines), np.abs(np.rint(cosines)), atol=_COSINE):
        return "was turned"
    sizes = np.abs(linear).sum(axis=0)
    if not np.abs((sizes - 1) * (np.array(label.shape) - 1)).max() <= SAME_VOXEL:
        return "was resampled"
    moved = np.abs(offset - np.rint(offset)).max()
    if not moved <= SAME_VOXEL:
        return "was shifted by part of a voxel"
    return "was shifted"


def resampled(labels: npt.NDArray[Any], label: Grid, image: Grid) -> npt.NDArray[Any]:
    """A label map (z, y, x) on the grid of an image: every voxel gets the value of the nearest one; 0 outside."""
    import SimpleITK as sitk

    source = sitk.GetImageFromArray(labels)
    source.SetSpacing(label.spacing[::-1])
    source.SetOrigin(label.origin)
    source.SetDirection(label.direction)
    filter_ = sitk.ResampleImageFilter()
    filter_.SetSize(image.shape[::-1])
    filter_.SetOutputSpacing(image.spacing[::-1])
    filter_.SetOutputOrigin(image.origin)
    filter_.SetOutputDirection(image.direction)
    filter_.SetInterpolator(sitk.sitkNearestNeighbor)
    return np.asarray(sitk.GetArrayFromImage(filter_.Execute(source)))


def _mapping(label: Grid, image: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Matrix and offset that lead from a voxel (z, y, x) of the label to one of the image; None where there is none."""
    try:
        into = np.linalg.inv(_axes(image))
    except np.linalg.LinAlgError:
        return None
    linear = into @ _axes(label)
    offset = into @ (np.array(label.origin) - np.array(image.origin))
    finite = np.isfinite(linear).all() and np.isfinite(offset).all()
    return (linear, offset) if finite and abs(np.linalg.det(linear)) > 0 else None


def _axes(grid: Grid) -> npt.NDArray[np.float64]:
    """Steps in mm (LPS) along z, y and x, one a column."""
    directions: npt.NDArray[np.float64] = np.reshape(np.array(grid.direction, np.float64), (3, 3))
    return np.asarray(directions[:, ::-1] * np.array(grid.spacing), np.float64)


def _is_signed_permutation(matrix: npt.NDArray[np.float64]) -> bool:
    ones = np.abs(matrix)
    return bool(np.isin(ones, (0, 1)).all() and (ones.sum(axis=0) == 1).all() and (ones.sum(axis=1) == 1).all())


def _triple(values: Any) -> Any:
    one, two, three = values
    return one, two, three
