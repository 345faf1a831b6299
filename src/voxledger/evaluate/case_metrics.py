"""Every metric of one case: each class, each model and the ensemble of the models, before and after retraining."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy.typing as npt

from voxledger.casemap.job import Job, content
from voxledger.errors import CaseRefused
from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metric import measure
from voxledger.imaging.boxes import bounding_box, union
from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.soft import SoftPrediction, ensemble_box, ensemble_mean, open_soft
from voxledger.imaging.volume import read_label, require_same_grid
from voxledger.params import EvaluateParams
from voxledger.records.card import ENSEMBLE
from voxledger.schema import LabelSchema

THRESHOLD = 0.5
"""A voxel belongs to a class where its probability exceeds this."""


class Generation(StrEnum):
    """Which models of a round: those it began with, or those it trained."""

    BASE = "base"
    NEXT = "next"


@dataclass(frozen=True)
class Measured:
    """How one model of one generation does on one class of a case."""

    class_name: str
    generation: Generation
    model: str
    reference_ml: float
    values: dict[str, float]
    """By metric."""


def case_metrics(
    labels: npt.NDArray[Any],
    models: Mapping[Generation, Mapping[str, SoftPrediction]],
    schema: LabelSchema,
    classes: Sequence[str],
    params: EvaluateParams,
    ensembles: Collection[Generation] = tuple(Generation),
) -> list[Measured]:
    """Compare soft predictions with a reference label map (z, y, x), one class and one model at a time.

    Parameters
    ----------
    models
        Soft predictions by generation and model name, all on the grid of the labels.
    classes
        Classes that the reference knows; a class that it does not know cannot be judged.
    params
        What metrics may ask for, such as the tolerance of surface Dice in mm.
    ensembles
        Generations whose ensemble is judged as well: the mean of those models that predicted this case.

    Returns
    -------
    One row a class, generation and model that knows the class.
    """
    rows = []
    for name in classes:
        reference = schema.mask(labels, name)
        for generation, by_name in models.items():
            known = {m: soft for m, soft in by_name.items() if name in soft.classes}
            groups = {m: [soft] for m, soft in known.items()}
            if generation in ensembles and known:
                groups[ENSEMBLE] = list(known.values())
            # One voxel stands for nothing where neither has any.
            box = union([bounding_box(reference), ensemble_box(list(known.values()), name)]) or (slice(0, 1),) * 3
            for model, members in groups.items():
                prediction = ensemble_mean(members, name, box) > THRESHOLD
                grid = members[0].grid
                masks = compare(reference[box], prediction, grid.spacing, acquisition_axis(grid))
                values = {metric: float(value) for metric, value in measure(masks, params).items()}
                rows.append(Measured(name, generation, model, masks.reference_voxels * masks.voxel_ml, values))
    return rows


def _measuring(params: EvaluateParams) -> dict[str, Any]:
    """What metrics depend on; the rest draws the intervals."""
    return params.model_dump(mode="json", exclude={"bootstrap", "seed", "error_tolerance_mm", "looking_minutes"})


class Measure(Job[list[Measured]]):
    """Open the files of one case and measure it; writes no file of its own."""

    stage, algorithms = "evaluate", ("evaluate",)
    image_sha256: str = content()
    label: Path = content()
    predictions: dict[Generation, dict[str, Path]] = content()
    """By generation and model."""
    schema: LabelSchema = content()
    classes: tuple[str, ...] = content()
    """Those that the label knows."""
    ensembles: tuple[Generation, ...] = content()
    params: EvaluateParams = content(by=_measuring)
    metrics: dict[str, str] = content()
    """Package of every metric and its version; empty for our own."""

    def compute(self, folder: Path) -> list[Measured]:
        models = {
            generation: {m: open_soft(path) for m, path in sorted(paths.items())}
            for generation, paths in self.predictions.items()
        }
        opened = [soft for by_name in models.values() for soft in by_name.values()]
        for soft in opened:
            if soft.image_sha256 != self.image_sha256:
                raise CaseRefused(
                    f"the prediction of {self.name} by {soft.model_id} belongs to another image",
                    "run `dvc repro infer`",
                )
            require_same_grid(soft.grid, opened[0].grid, f"prediction of {self.name} by {soft.model_id}")
        labels = read_label(self.label, opened[0].grid)
        self.schema.check(labels, str(self.label))
        return case_metrics(labels, models, self.schema, self.classes, self.params, self.ensembles)
