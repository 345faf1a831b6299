"""Objects that were predicted from weak labels, checked against what was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxledger.casemap.job import Job, content, place
from voxledger.casemap.run import casemap
from voxledger.models.backend import backend_of
from voxledger.params import InferParams, MachineParams
from voxledger.records.card import read_card
from voxledger.records.predicted import Predicted
from voxledger.registry import WEAK_CHECKS
from voxledger.schema import LabelSchema
from voxledger.weak.check import Bounds, Marked, bounds_of, checked, own_parts
from voxledger.weak.decisions import WeakDecision
from voxledger.weak.store import read_weak

THRESHOLD = 0.5
"""Probability above which a voxel is of the object."""


def check_weak(
    rows: Sequence[Predicted],
    predictions: Path,
    models_dir: Path,
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
) -> list[WeakDecision]:
    """Check every object that a model was told of, by model, case and class.

    Parameters
    ----------
    rows
        Who predicted what; those that were predicted from weak labels are checked.
    predictions
        The folder that holds the predictions.
    models_dir
        The folder that holds the models.

    Raises
    ------
    CasesFailed
        Names every case of which the weak label or the prediction cannot be read.
    """
    jobs = [
        CheckWeak(
            name=f"{row.case_id} ({row.model})",
            case_id=row.case_id,
            model=row.model,
            model_id=row.model_id,
            folder=models_dir / row.model,
            weak=row.weak,
            prediction=predictions / row.file,
            classes=row.classes,
            schema=schema,
            bounds=bounds_of(params.bounds),
            packages={name: origin for name in WEAK_CHECKS.names() if (origin := WEAK_CHECKS.origin(name))},
        )
        for row in rows
        if row.weak
    ]
    return [decision for found in casemap(jobs, predictions, machine) for decision in found]


class CheckWeak(Job[list[WeakDecision]]):
    """What the checks say of the objects of one case."""

    stage, algorithms = "weak", ("weak",)
    case_id: str = content()
    model: str = content()
    model_id: str = content()
    folder: Path = place()
    """Of the model."""
    weak: tuple[tuple[str, str], ...] = content()
    """Class and weak label of every object, as in `Predicted`."""
    prediction: Path = content()
    classes: tuple[str, ...] = content()
    """Classes that are in it."""
    schema: LabelSchema = content()
    bounds: dict[str, Bounds] = content()
    packages: dict[str, str] = content()
    """Package and version of every check that is not ours."""

    def compute(self, folder: Path) -> list[WeakDecision]:
        from voxledger.imaging.soft import open_soft

        backend = backend_of(read_card(self.folder))
        soft = open_soft(self.prediction)
        found = []
        for name in self.classes:
            labels = [w for w in read_weak(self.case_id, soft.grid, self.schema) if w.class_name == name]
            probability = soft.read(name)
            mask = probability > THRESHOLD
            for number, (weak, part) in enumerate(
                zip(labels, own_parts(mask, labels, soft.grid), strict=True), start=1
            ):
                crop = backend.looked_at(self.folder, weak, soft.grid)
                said = self.case_id, name, number, weak.kind, weak.source, weak.sha256, self.model
                marked = Marked(weak, part, soft.grid, crop, probability)
                found += [
                    WeakDecision(*said, check, measured, str(bounds), agrees)
                    for check, measured, bounds, agrees in checked(marked, self.bounds)
                ]
        return found
