"""Reading a label that a reviewer saved: whole, on the grid of its image, in whole numbers; or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxledger.bundles.merge import LabelMap
from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.format import format_of
from voxledger.imaging.formats.seg_nrrd import REMEDY
from voxledger.imaging.intact import beginning, intact
from voxledger.imaging.volume import DIRECTION_TOLERANCE, Grid, differences, read_grid, read_label

SAVE_AS = "save it as labels/<case>.nii.gz with the image as reference volume, as README.md of the bundle says"

EXPORT_SEGMENTATION = f"{REMEDY}; {SAVE_AS}"


def read_returned_label(path: Path, image: Grid, most_bytes: int) -> LabelMap:
    """Read a returned label map (z, y, x), whatever type and compression the viewer chose.

    Parameters
    ----------
    image
        Grid of the image that it belongs to.
    most_bytes
        Bound on its uncompressed size.

    Raises
    ------
    UnreadableImage
        The file is damaged, larger than `most_bytes`, or no label map.
    GridMismatch
        It does not lie on the grid of its image; the message says whether it was cropped, padded, flipped or
        re-ordered.
    """
    # The grid first: a label on a much larger one exceeds `most_bytes`, and that would be no reason to act on.
    with _named(path, path):
        format_of(path)
    with beginning(path) as plain, _named(path, plain):
        grid = read_grid(plain)
    if differences(grid, image):
        raise GridMismatch(
            f"{path} {_how(grid, image)}: {'; '.join(_differences(grid, image))}",
            f"{SAVE_AS}; never flip, re-orient, crop, pad or resample it",
        )
    with intact(path, most_bytes) as plain, _named(path, plain):
        return read_label(plain)


@contextmanager
def _named(path: Path, plain: Path) -> Iterator[None]:
    """Let errors about the plain copy of a file name the file, and say how a label is saved."""
    try:
        yield
    except UnreadableImage as error:
        problem = error.problem.replace(str(plain), str(path))
        raise UnreadableImage(problem, f"{error.remedy}; {SAVE_AS}") from None


def _differences(grid: Grid, image: Grid) -> list[str]:
    """How two grids differ; size and spacing go together, as one needs both to see what a viewer did."""
    rest = differences(replace(grid, shape=image.shape, spacing=image.spacing), image)
    if len(differences(grid, image)) == len(rest):
        return rest
    return [f"it has {_extent(grid)}, its image {_extent(image)} (x × y × z)", *rest]


def _extent(grid: Grid) -> str:
    size, spacing = (" × ".join(f"{v:g}" for v in values[::-1]) for values in (grid.shape, grid.spacing))
    return f"{size} voxels of {spacing} mm"


def _how(grid: Grid, image: Grid) -> str:
    """In one phrase, what a viewer did to a label that is not on the grid of its image."""
    if grid.shape != image.shape and sorted(grid.shape) != sorted(image.shape):
        sizes = list(zip(grid.shape, image.shape, strict=True))
        if all(a <= b for a, b in sizes):
            return "was cropped"
        return "was padded" if all(a >= b for a, b in sizes) else "has another size than its image"
    old, new = np.reshape(image.direction, (3, 3)), np.reshape(grid.direction, (3, 3))
    if np.abs(old - new).max() > DIRECTION_TOLERANCE:
        turned = new.T @ old
        if np.allclose(np.abs(turned), np.eye(3), atol=1e-3):
            return "was flipped along " + ", ".join(a for a, c in zip("xyz", np.diag(turned), strict=True) if c < 0)
        if np.allclose(np.abs(turned).max(axis=0), 1, atol=1e-3):
            return "has its axes in another order"
        return "was turned"
    if grid.shape != image.shape:
        return "has its axes in another order"
    return "does not lie on the grid of its image"
