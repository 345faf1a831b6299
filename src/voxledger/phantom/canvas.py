"""Draws shapes into a material map; a voxel once given to an organ stays with it, so organs never overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, grown, union, view
from voxledger.phantom.fields import Axes, Floats, random_field
from voxledger.phantom.materials import Material
from voxledger.phantom.shapes import Shape, box_of, crop


class Canvas:
    """A material map (z, y, x) with the patient coordinates in mm of its planes, rows and columns."""

    def __init__(self, axes: Axes, rng: np.random.Generator) -> None:
        self.axes = axes
        self.rng = rng
        self.material = np.zeros(tuple(a.size for a in axes), np.uint8)
        self._kept_free = np.zeros(self.material.shape, bool)

    def levels(self, shapes: Sequence[Shape], bump_mm: float, lattice_mm: float = 28.0) -> tuple[Box, Axes, Floats]:
        """Level of a smooth union of shapes whose surface is pushed in and out by about `bump_mm`.

        Returns the box, its coordinates, and the level (z, y, x).
        """
        box = union(box_of(s, self.axes, 3 * bump_mm + 2) for s in shapes)
        assert box is not None, "levels needs a shape"
        axes = crop(self.axes, box)
        level = shapes[0].level(axes)
        for shape in shapes[1:]:
            other = shape.level(axes)
            h = np.maximum(12.0 - np.abs(level - other), 0) / 12.0
            level = np.minimum(level, other) - 3.0 * h**2
        if bump_mm > 0:
            level = level + bump_mm * random_field(self.rng, axes, lattice_mm)
        return box, axes, level

    def free(self, box: Box, over: Sequence[Material] = (Material.FAT,)) -> npt.NDArray[np.bool_]:
        """Voxels of a box that may be drawn on."""
        return np.isin(self.material[box], over) & ~self._kept_free[box]

    def keep_free(self, box: Box, mask: npt.NDArray[np.bool_]) -> None:
        """Nothing may be drawn on these voxels of a box any more: the fat between organs."""
        self._kept_free[box] |= mask

    def fill(self, box: Box, mask: npt.NDArray[np.bool_], material: Material) -> None:
        """Give voxels of a box a material."""
        self.material[box][mask] = material

    def fill_largest(self, box: Box, mask: npt.NDArray[np.bool_], material: Material) -> npt.NDArray[np.bool_]:
        """Fill only the largest piece (26 neighbours) of the mask, and return it: others may have cut it up."""
        import cc3d

        if mask.any():
            mask = np.asarray(cc3d.largest_k(mask, k=1, connectivity=26) > 0)
        self.fill(box, mask, material)
        return mask

    def beside(self, box: Box, material: Material) -> npt.NDArray[np.bool_]:
        """Voxels of a box that are, or touch (26 neighbours), a material."""
        from scipy.ndimage import binary_dilation

        wide = grown(box, 1, self.material.shape)
        near = binary_dilation(self.material[wide] == material, np.ones((3, 3, 3), bool))
        return np.asarray(view(near, wide, box))
