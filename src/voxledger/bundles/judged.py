"""Attention against errors, counted: what was found of what reviewers changed, and what was pointed at for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.bundles.taxonomy import Region
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


def judge(
    bits: npt.NDArray[np.uint8], changed: npt.NDArray[np.bool_], errors: Sequence[Region], large: int = LARGE
) -> Counts:
    """Compare attention with errors of one class of one case.

    Parameters
    ----------
    bits
        Attention (z, y, x); any non-zero voxel counts.
    changed
        Voxels that the reviewer changed (z, y, x).
    errors
        The components of `changed`, with boxes in the same coordinates.
    large
        Voxels from which an error counts as large.
    """
    attention = bits != 0
    found = [bool((attention[e.box] & e.mask).any()) for e in errors]
    are_large = [e.voxels >= large for e in errors]
    components, count = connected_components(attention)
    right = np.setdiff1d(np.unique(components[changed]), [0])
    return Counts(
        len(errors),
        sum(found),
        sum(are_large),
        sum(f and is_large for f, is_large in zip(found, are_large, strict=True)),
        count,
        len(right),
        int(np.count_nonzero(changed)),
        int(np.count_nonzero(attention)),
        int(np.count_nonzero(attention & changed)),
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
