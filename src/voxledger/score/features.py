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

from voxledger.casemap import Task, casemap, key_of
from voxledger.imaging.volume import Grid, file_sha256
from voxledger.params import MachineParams
from voxledger.records.cases import Case

ALGORITHM_VERSION = 1
PERCENTILES = (5, 25, 50, 75, 95, 99)


def features(image: npt.NDArray[Any], grid: Grid) -> tuple[float, ...]:
    """Percentiles of the image (z, y, x), logarithms of its spacing and of its extent in mm."""
    levels = [float(v) for v in np.percentile(image, PERCENTILES)]
    spacing = np.array(grid.spacing)
    extent = spacing * np.array(grid.shape)
    return (*levels, *(float(v) for v in np.log(spacing)), *(float(v) for v in np.log(extent)))


def features_of(cases: Sequence[Case], machine: MachineParams) -> dict[str, tuple[float, ...]]:
    """Features of the images of some cases, remembered case by case."""
    tasks = [
        Task(c.case_id, key_of("features", ALGORITHM_VERSION, image=file_sha256(c.image)), {"image": c.image})
        for c in cases
    ]
    infos = casemap("features", _features_of_case, tasks, Path(".memo"), workers=machine.worker_count)
    return {task.case_id: tuple(info["features"]) for task, info in zip(tasks, infos, strict=True)}


def _features_of_case(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    from voxledger.imaging import volume

    found = volume.read(payload["image"])
    return {"features": [round(v, 6) for v in features(found.array, found.grid)]}
