"""Two masks side by side, with the geometry of their surfaces computed once for every metric.

Surfaces are those of Nikolov et al. 2018 (arXiv:1809.04430): a 2×2×2 neighbourhood of voxels that is neither
all inside nor all outside holds a surface element at its centre, whose area in mm² comes from a marching-cubes
table. So a distance is one between surfaces, and an area counts as much as it is large, whatever the spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Surfaces:
    """Surface elements of two masks: distance in mm to the other surface (inf where it has none), area in mm²."""

    reference_mm: Floats
    reference_mm2: Floats
    prediction_mm: Floats
    prediction_mm2: Floats


@dataclass(frozen=True)
class Comparison:
    """A reference and a predicted mask (z, y, x), cut to their joint bounding box; spacing in mm (z, y, x)."""

    reference: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    axis: int = 0
    """The array axis across the slices that people draw in."""

    @cached_property
    def reference_voxels(self) -> int:
        return int(np.count_nonzero(self.reference))

    @cached_property
    def prediction_voxels(self) -> int:
        return int(np.count_nonzero(self.prediction))

    @cached_property
    def shared_voxels(self) -> int:
        return int(np.count_nonzero(self.reference & self.prediction))

    @property
    def both_empty(self) -> bool:
        return self.reference_voxels == 0 and self.prediction_voxels == 0

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @cached_property
    def surfaces(self) -> Surfaces:
        from scipy.spatial import KDTree

        points, areas = zip(
            *(_surface(mask, self.spacing_mm) for mask in (self.reference, self.prediction)), strict=True
        )
        trees = [KDTree(p, leafsize=32) if len(p) else None for p in points]
        to_other = [
            np.full(len(p), np.inf) if other is None else np.asarray(other.query(p)[0], np.float64).reshape(len(p))
            for p, other in zip(points, trees[::-1], strict=True)
        ]
        return Surfaces(to_other[0], areas[0], to_other[1], areas[1])


def compare(
    reference: npt.NDArray[Any], prediction: npt.NDArray[Any], spacing_mm: Sequence[float], axis: int = 0
) -> Comparison:
    """Put two masks of the same shape (z, y, x) side by side; `spacing_mm` is (z, y, x).

    `axis` is the array axis across the slices that people draw in.

    Raises
    ------
    ValueError
        The masks are not boolean, not 3-D, of different shapes, or a spacing is not positive.
    """
    for name, mask in (("reference", reference), ("prediction", prediction)):
        if mask.dtype != np.bool_ or mask.ndim != 3:
            raise ValueError(f"{name} must be a 3-D boolean array, not {mask.ndim}-D of {mask.dtype}")
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has shape {reference.shape}, prediction {prediction.shape}")
    if len(spacing_mm) != 3 or min(spacing_mm) <= 0:
        raise ValueError(f"spacing_mm must be three positive numbers, not {spacing_mm}")
    z, y, x = (float(s) for s in spacing_mm)
    box = bounding_box(reference | prediction) or (slice(0, 0),) * 3
    return Comparison(reference[box], prediction[box], (z, y, x), axis)


def _surface(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> tuple[Floats, Floats]:
    """Centres in mm (n, 3) and areas in mm² (n,) of a mask's surface elements."""
    area_of, weights = _area_table(spacing_mm)
    padded = np.pad(mask, 1).view(np.uint8)
    code = np.zeros(tuple(n + 1 for n in mask.shape), np.uint8)
    for (z, y, x), weight in np.ndenumerate(weights):
        corner = padded[z : z + code.shape[0], y : y + code.shape[1], x : x + code.shape[2]]
        code += corner * weight
    here = np.nonzero((code != 0) & (code != 255))
    return np.stack(here, axis=1) * np.asarray(spacing_mm), area_of[code[here]]


@lru_cache(maxsize=16)
def _area_table(spacing_mm: tuple[float, float, float]) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Area in mm² of each of the 256 neighbourhoods, and the weight (2, 2, 2) of each voxel in their code."""
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    areas, kernel = create_table_neighbour_code_to_surface_area(spacing_mm)
    return areas.numpy().astype(np.float64), kernel.numpy().reshape(2, 2, 2).astype(np.uint8)
