"""What an image looks like in a few numbers, for choosing a batch that is not twenty near-copies.

Intensity percentiles tell modality, contrast phase and scanner apart; spacing tells protocols apart; extent
tells which part of the body is shown, and how large the patient is. None needs a model, so near-copies are
found before anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.imaging.volume import Grid
from voxledger.layout import MEMO
from voxledger.params import MachineParams
from voxledger.records.cases import Case

PERCENTILES = (5, 25, 50, 75, 95, 99)


def features(image: npt.NDArray[Any], grid: Grid) -> tuple[float, ...]:
    """Percentiles of the image (z, y, x), logarithms of its spacing and of its extent in mm."""
    levels = [float(v) for v in np.percentile(image, PERCENTILES)]
    spacing = np.array(grid.spacing)
    extent = spacing * np.array(grid.shape)
    return (*levels, *(float(v) for v in np.log(spacing)), *(float(v) for v in np.log(extent)))


def features_of(cases: Sequence[Case], machine: MachineParams) -> dict[str, tuple[float, ...]]:
    """Features of the images of some cases, remembered case by case."""
    jobs = [Features(name=c.case_id, image=Path(c.image)) for c in cases]
    found = casemap(jobs, MEMO, machine)
    return {job.name: features for job, features in zip(jobs, found, strict=True)}


class Features(Job[tuple[float, ...]]):
    """The features of one image."""

    stage, algorithms = "features", ("features",)
    image: Path = content()

    def compute(self, folder: Path) -> tuple[float, ...]:
        from voxledger.imaging import volume

        found = volume.read(self.image)
        return tuple(round(v, 6) for v in features(found.array, found.grid))
