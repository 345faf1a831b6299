"""What a class looks like in an image, and in the cases that people stand behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.merge import Mask
from voxledger.casemap.job import Job, content
from voxledger.imaging.boxes import Box, bounding_box, grown
from voxledger.imaging.volume import read
from voxledger.schema import LabelSchema

AIR = -500
"""An image with values below is a CT in Hounsfield units, which are compared as they are; others are scaled."""
NEAR = 3
"""Voxels around a border in which the image is compared with the border itself."""
LEAST_CASES = 8
"""Fewer trusted cases say little of how much a class varies."""
LEAST_DEVIATION_HU, LEAST_DEVIATION = 10.0, 0.03
"""A standard deviation that is smaller is chance: scanners and contrast phases differ by more."""


@dataclass(frozen=True)
class Seen:
    """One class in one image."""

    mean: float
    """Mean intensity: HU, or scaled so that the 5th and the 95th percentile of the image are 0 and 1."""
    contrast: float
    """Mean gradient along the border over the mean within `NEAR` voxels of it."""
    unit: str


@dataclass(frozen=True)
class Look:
    """One class over several cases."""

    cases: int
    mean: float
    mean_deviation: float
    contrast: float
    contrast_deviation: float
    unit: str


class LookAtCase(Job[dict[str, Seen]]):
    """Looks at the trusted classes of one case; those without a voxel are left out."""

    stage, algorithms = "gate", ("gate",)
    image: Path = content()
    labels: Path = content()
    classes: tuple[str, ...] = content()
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> dict[str, Seen]:
        image, labels = read(self.image).array, read(self.labels).array
        found = {}
        for name in self.classes:
            mask = self.label_schema.mask(labels, name)
            box = bounding_box(mask)
            if box is not None:
                found[name] = look_at(image, mask, box)
        return found


def look_at(image: npt.NDArray[Any], mask: Mask, box: Box) -> Seen:
    """What a class looks like.

    Parameters
    ----------
    image, mask
        On the same grid (z, y, x); the mask has a voxel.
    box
        That holds all of it.
    """
    from scipy.ndimage import binary_dilation, binary_erosion, gaussian_gradient_magnitude

    field = grown(box, NEAR + 2, mask.shape)
    inside, values = mask[field], image[field].astype(np.float32)
    gradient = gaussian_gradient_magnitude(values, 1.0)
    border = inside & ~binary_erosion(inside)
    near = gradient[binary_dilation(border, iterations=NEAR)].mean()
    contrast = float(gradient[border].mean() / near) if near > 0 else 1.0
    mean = float(values[inside].mean())
    sample = image[:: max(1, len(image) // 64), ::2, ::2]
    if sample.min() < AIR:
        return Seen(mean, contrast, "HU")
    low, high = np.percentile(sample, [5, 95])
    return Seen((mean - float(low)) / max(float(high - low), 1e-6), contrast, "of the range of the image")


def looks(cases: Iterable[Mapping[str, Seen]]) -> dict[str, Look]:
    """Mean and standard deviation by class, of those that enough cases have."""
    by_class: dict[tuple[str, str], list[Seen]] = {}
    for case in cases:
        for name, seen in case.items():
            by_class.setdefault((name, seen.unit), []).append(seen)
    found: dict[str, Look] = {}
    for (name, unit), seen_in in by_class.items():
        if len(seen_in) >= max(LEAST_CASES, found[name].cases if name in found else 0):
            means, contrasts = np.array([s.mean for s in seen_in]), np.array([s.contrast for s in seen_in])
            least = LEAST_DEVIATION_HU if unit == "HU" else LEAST_DEVIATION
            found[name] = Look(
                len(seen_in),
                float(means.mean()),
                max(float(means.std(ddof=1)), least),
                float(contrasts.mean()),
                max(float(contrasts.std(ddof=1)), LEAST_DEVIATION),
                unit,
            )
    return found
