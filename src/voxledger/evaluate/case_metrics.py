"""Every metric of one case: each class, each model and the ensemble of the models, before and after retraining."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy.typing as npt

from voxledger.errors import CaseRefused
from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metric import measure
from voxledger.imaging.boxes import bounding_box, union
from voxledger.imaging.soft import SoftPrediction, ensemble_box, ensemble_mean, open_soft
from voxledger.imaging.volume import read_label, require_same_grid
from voxledger.params import EvaluateParams
from voxledger.records.card import ENSEMBLE
from voxledger.schema import LabelSchema

ALGORITHM_VERSION = 1
"""Raise it whenever the numbers change for the same input."""

THRESHOLD = 0.5
"""A voxel belongs to a class where its probability exceeds this."""


class Generation(StrEnum):
    """Which models of a round: those it began with, or those it trained."""

    BASE = "base"
    NEXT = "next"


def case_metrics(
    labels: npt.NDArray[Any],
    models: Mapping[Generation, Mapping[str, SoftPrediction]],
    schema: LabelSchema,
    classes: Sequence[str],
    params: EvaluateParams,
    ensembles: Collection[Generation] = tuple(Generation),
) -> list[dict[str, Any]]:
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
    One row a class, generation and model that knows the class: `class`, `generation`, `model`,
    `reference_ml`, and `values`, the metrics by name.
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
                masks = compare(reference[box], prediction, members[0].grid.spacing)
                rows.append(
                    {
                        "class": name,
                        "generation": generation.value,
                        "model": model,
                        "reference_ml": masks.reference_voxels * masks.voxel_ml,
                        "values": measure(masks, params),
                    }
                )
    return rows


def compute(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The work of `casemap`: open the files of one case and measure it; writes no file of its own."""
    models = {
        Generation(generation): {m: open_soft(path) for m, path in sorted(paths.items())}
        for generation, paths in payload["predictions"].items()
    }
    opened = [soft for by_name in models.values() for soft in by_name.values()]
    for soft in opened:
        if soft.image_sha256 != payload["image_sha256"]:
            raise CaseRefused(
                f"the prediction of {payload['case_id']} by {soft.model_id} belongs to another image",
                "run `dvc repro infer`",
            )
        require_same_grid(soft.grid, opened[0].grid, f"prediction of {payload['case_id']} by {soft.model_id}")
    labels = read_label(payload["label"], opened[0].grid)
    schema: LabelSchema = payload["schema"]
    schema.check(labels, payload["label"])
    ensembles = [Generation(g) for g in payload["ensembles"]]
    return {"rows": case_metrics(labels, models, schema, payload["classes"], payload["evaluate"], ensembles)}
