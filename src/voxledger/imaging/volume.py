"""An image or label with its geometry: reading, writing, comparing grids, content hashes.

Arrays are ordered (z, y, x). `Grid.spacing` is in mm and in the same order; `Grid.origin` is a point in
LPS millimetres (x, y, z) and `Grid.direction` the 3×3 direction cosines row by row, both as in ITK.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.disk import replacing
from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.boxes import Box, absolute, bounding_box, shape_of
from voxledger.imaging.format import format_of, not_an_image

SPACING_TOLERANCE_MM = 1e-3
"""Two spacings are equal below this difference: NIfTI stores float32, NRRD and MHA decimal text."""
ORIGIN_TOLERANCE_MM = 1e-2
"""Two origins are equal below this distance in mm."""
DIRECTION_TOLERANCE = 1e-4
"""Two direction cosines are equal below this difference (0.006 degrees)."""

WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Suffixes of files that voxledger writes."""

_NIFTI_HEADER = 352
_LARGEST_ID = np.iinfo(np.uint32).max
"""Larger numbers are not those of classes, and some have no integer type."""
_WHOLE = "give whole numbers, one a class"


@dataclass(frozen=True)
class Grid:
    """Where voxels lie in the patient: shape (z, y, x), spacing in mm (z, y, x), origin and direction."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    def to_json(self) -> dict[str, Any]:
        # ITK says -0.0 for 0.0 in some readers; what is written and hashed must not.
        return {
            "shape": list(self.shape),
            "spacing": list(self.spacing),
            "origin": [v + 0.0 for v in self.origin],
            "direction": [v + 0.0 for v in self.direction],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Grid:
        z, y, x = (int(v) for v in values["shape"])
        sz, sy, sx = (float(v) for v in values["spacing"])
        ox, oy, oz = (float(v) for v in values["origin"])
        return cls((z, y, x), (sz, sy, sx), (ox, oy, oz), tuple(float(v) for v in values["direction"]))

    def cropped(self, box: Box) -> Grid:
        """The grid of the voxels in a box."""
        steps = np.multiply(self.spacing, [s.start for s in box])[::-1]
        x, y, z = np.asarray(self.origin) + np.reshape(self.direction, (3, 3)) @ steps
        return Grid(shape_of(box), self.spacing, (float(x), float(y), float(z)), self.direction)

    @classmethod
    def plain(cls, shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
        """An axis-aligned grid at the origin."""
        return cls(shape, spacing, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Volume:
    """An array (z, y, x) and the grid it lies on."""

    array: npt.NDArray[Any]
    grid: Grid

    def cropped(self, box: Box) -> Volume:
        """The part of it in a box, as a copy."""
        return Volume(np.ascontiguousarray(self.array[box]), self.grid.cropped(box))


def differences(a: Grid, b: Grid) -> list[str]:
    """Say in words how two grids differ; an empty list means that they are the same within the tolerances."""
    found = []
    if a.shape != b.shape:
        found.append(f"size {_xyz(a.shape)} against {_xyz(b.shape)} voxels")
    # Not `>`: what a damaged header makes NaN is within no tolerance.
    if not np.abs(np.subtract(a.spacing, b.spacing)).max() <= SPACING_TOLERANCE_MM:
        found.append(f"spacing {_xyz(a.spacing)} against {_xyz(b.spacing)} mm")
    if not np.linalg.norm(np.subtract(a.origin, b.origin)) <= ORIGIN_TOLERANCE_MM:
        found.append(f"origin {_numbers(a.origin)} against {_numbers(b.origin)} mm")
    if not np.abs(np.subtract(a.direction, b.direction)).max() <= DIRECTION_TOLERANCE:
        found.append(f"direction {_numbers(a.direction)} against {_numbers(b.direction)}")
    return found


def require_same_grid(label: Grid, image: Grid, what: str) -> None:
    """Raise `GridMismatch` naming `what` unless both grids are the same within the tolerances."""
    found = differences(label, image)
    if found:
        raise GridMismatch(
            f"{what} does not lie on the grid of its image: {'; '.join(found)}",
            "export the label again on the geometry of the image (in 3D Slicer: reference volume = the image)",
        )


def read(path: Path | str) -> Volume:
    """Read a 3-D scalar image. A file from outside goes through `voxledger.imaging.intact` first.

    Parameters
    ----------
    path
        A file of a format in `voxledger.imaging.formats`.

    Raises
    ------
    UnreadableImage
        The file is missing, damaged, not 3-D, has several values a voxel, or a format that is not known or refused.
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableImage(f"{path}: no such file", "check the path")
    form = format_of(path)
    if form.read is None:
        raise not_an_image(path, form)
    return form.read(path)


def read_grid(path: Path | str) -> Grid:
    """Read the geometry alone, without the voxels; of a file of more than three dimensions, that of the first three.

    Raises
    ------
    UnreadableImage
        The file is missing, damaged, has less than three dimensions, or a format that is not known or refused.
    """
    path = Path(path)
    form = format_of(path)
    if form.read_grid is None:
        raise not_an_image(path, form)
    return form.read_grid(path)


def read_label(path: Path | str, image: Grid | None = None) -> npt.NDArray[Any]:
    """Read a label map (z, y, x) in the smallest unsigned type, checked against the grid of its image.

    Float files whose values are whole numbers are accepted; anything else is refused, never rounded.
    """
    volume = read(path)
    if image is not None:
        require_same_grid(volume.grid, image, str(path))
    array = volume.array
    if array.dtype.kind not in "buif":
        raise UnreadableImage(f"{path} is not a label map: it holds {array.dtype} values", _WHOLE)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and np.array_equal(np.rint(array), array)):
        raise UnreadableImage(f"{path} is not a label map: it holds fractions, NaN or infinite values", _WHOLE)
    if array.size and array.min() < 0:
        raise UnreadableImage(f"{path} is not a label map: it holds negative values", "give ids from 0 up")
    if array.size and array.max() > _LARGEST_ID:
        raise UnreadableImage(f"{path} is not a label map: it holds {int(array.max())}, which no class has", _WHOLE)
    return smallest_unsigned(array)


def smallest_unsigned(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cast a label map to the smallest unsigned integer that holds its largest id."""
    largest = int(labels.max()) if labels.size else 0
    return labels.astype(np.min_scalar_type(largest), copy=False)


def write(path: Path | str, array: npt.NDArray[Any], grid: Grid) -> None:
    """Write an image or label map; the bytes depend on the content alone, and appear whole or not at all."""
    import SimpleITK as sitk

    if array.shape != grid.shape:
        raise ValueError(f"array of shape {array.shape} on a grid of shape {grid.shape}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = next((s for s in WRITTEN if path.name.endswith(s)), None)
    if suffix is None:
        raise ValueError(f"{path}: not one of {', '.join(WRITTEN)}")
    partial = path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}{suffix}")
    with replacing(path, partial, array.nbytes + _NIFTI_HEADER):
        sitk.WriteImage(image, str(partial), useCompression=path.name.endswith(".nii.gz"))
        if suffix in (".nii.gz", ".nii") and not _is_whole(partial, array.nbytes + _NIFTI_HEADER):
            raise RuntimeError(f"{path} was not written whole")


def _is_whole(path: Path, size: int) -> bool:
    """Whether a file unpacks to that many bytes: on a full disk ITK cuts NIfTI off without a word."""
    if not path.name.endswith(".gz"):
        return path.stat().st_size >= size
    try:
        with gzip.open(path, "rb") as stream:
            return sum(len(block) for block in iter(lambda: stream.read(1 << 20), b"")) >= size
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


def mask_sha256(mask: npt.NDArray[Any], grid: Grid, box: Box | None = None) -> str:
    """Hash of what a binary mask (z, y, x) says, not of how it was saved.

    Covers the voxels and the grid. Give the grid of the registered *image*, so that rounding in a label
    file's header cannot change the hash; and `box` where the mask is but a part of it, outside of which there is none.
    """
    digest = hashlib.sha256(json.dumps(grid.to_json(), sort_keys=True).encode())
    inside = bounding_box(mask)
    if inside is not None:
        sides = inside if box is None else absolute(inside, box)
        digest.update(repr([(s.start, s.stop) for s in sides]).encode())
        digest.update(np.packbits(mask[inside] != 0).tobytes())
    return digest.hexdigest()


def empty_sha256(grid: Grid) -> str:
    """`mask_sha256` of a mask without a voxel."""
    return mask_sha256(np.zeros((1, 1, 1), np.bool_), grid)


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _xyz(values: tuple[Any, ...]) -> str:
    return "×".join(f"{v:g}" for v in values[::-1])


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
