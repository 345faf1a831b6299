"""What a class looks like in an image, and in the cases that people stand behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.merge import Mask
from voxledger.casemap.job import Job, content
from voxledger.imaging.boxes import Box, grown
from voxledger.imaging.volume import read, read_label
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
        image, labels = read(self.image).array, read_label(self.labels)
        scale, boxes, found = scale_of(image), ClassBoxes(self.label_schema), {}
        for name in self.classes:
            box = boxes.box(name, labels)
            if box is not None:
                field = field_of(box, labels.shape)
                found[name] = look_at(image[field], self.label_schema.mask(labels[field], name), scale)
        return found


@dataclass(frozen=True)
class Scale:
    """What intensities of an image are compared in: `low` is 0 and `high` is 1."""

    low: float
    high: float
    unit: str


def scale_of(image: npt.NDArray[Any]) -> Scale:
    """HU of a CT, otherwise the range of the image (z, y, x), of which some slices are enough."""
    sample = image[:: max(1, len(image) // 64), ::2, ::2]
    if sample.min() < AIR:
        return Scale(0.0, 1.0, "HU")
    low, high = np.percentile(sample, [5, 95])
    return Scale(float(low), max(float(high), float(low) + 1e-6), "of the range of the image")


def field_of(box: Box, shape: tuple[int, ...]) -> Box:
    """The box around a class with the voxels beside it that `look_at` looks at, too."""
    return grown(box, NEAR + 2, shape)


def look_at(image: npt.NDArray[Any], mask: Mask, scale: Scale) -> Seen:
    """What a class looks like.

    Parameters
    ----------
    image, mask
        The field (z, y, x) around a class, see `field_of`; the mask has a voxel.
    """
    from scipy.ndimage import binary_dilation, binary_erosion, gaussian_gradient_magnitude

    values = image.astype(np.float32)
    gradient = gaussian_gradient_magnitude(values, 1.0)
    border = mask & ~binary_erosion(mask)
    near = gradient[binary_dilation(border, iterations=NEAR)].mean()
    contrast = float(gradient[border].mean() / near) if near > 0 else 1.0
    return Seen((float(values[mask].mean()) - scale.low) / (scale.high - scale.low), contrast, scale.unit)


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
