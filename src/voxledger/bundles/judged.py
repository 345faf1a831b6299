"""Attention against errors, counted: what was found of what reviewers changed, and what was pointed at for nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.components import connected_components

LARGE = 125
"""Voxels of a 5×5×5 cube, the smallest thing that survives the published opening of the attention maps."""


@dataclass(frozen=True)
class Counts:
    """Agreement of attention and errors; sums over cases by `+`."""

    errors: int = 0
    found: int = 0
    large_errors: int = 0
    large_found: int = 0
    regions: int = 0
    right: int = 0
    error_voxels: int = 0
    attention_voxels: int = 0
    both_voxels: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__))

    def metrics(self) -> dict[str, float | int | None]:
        """Shares and what they are shares of; None for a share of nothing."""
        return {
            "sensitivity": _share(self.found, self.errors),
            "sensitivity_large": _share(self.large_found, self.large_errors),
            "precision": _share(self.right, self.regions),
            "voxel_sensitivity": _share(self.both_voxels, self.error_voxels),
            "voxel_precision": _share(self.both_voxels, self.attention_voxels),
            "errors": self.errors,
            "large_errors": self.large_errors,
            "regions": self.regions,
        }


def judge(bits: npt.NDArray[np.uint8], changed: npt.NDArray[np.bool_], large: int = LARGE) -> Counts:
    """Compare attention with the errors of one class of one case.

    Parameters
    ----------
    bits
        Attention (z, y, x); any non-zero voxel counts.
    changed
        Voxels that the reviewer changed (z, y, x), or of them those that count; errors are their components.
    large
        Voxels from which an error counts as large.
    """
    attention = bits != 0
    field = bounding_box(attention | changed)
    if field is None:
        return Counts()
    attention, changed = attention[field], changed[field]
    errors, number = connected_components(changed)
    found = np.setdiff1d(np.unique(errors[attention]), [0])
    are_large = np.bincount(errors.reshape(-1), minlength=number + 1) >= large
    are_large[0] = False
    components, count = connected_components(attention)
    right = np.setdiff1d(np.unique(components[changed]), [0])
    return Counts(
        number,
        len(found),
        int(np.count_nonzero(are_large)),
        int(np.count_nonzero(are_large[found])),
        count,
        len(right),
        int(np.count_nonzero(changed)),
        int(np.count_nonzero(attention)),
        int(np.count_nonzero(attention & changed)),
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
