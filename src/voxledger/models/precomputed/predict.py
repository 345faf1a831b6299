"""Precomputed: label maps or soft predictions that were made elsewhere, as they lie in the model's `predictions/`.

Such a model covers the cases it has a file for, and no others; and of these the classes that its card names. A
label map without a class says that there is none only where the model looked for it: where it did not, it has no say.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.errors import UnknownLabel, VoxledgerError
from voxledger.imaging.intact import read_whole_label
from voxledger.imaging.soft import SoftPrediction, open_soft, write_soft
from voxledger.imaging.volume import Grid, read_grid, read_label, require_same_grid, write
from voxledger.layout import MEMO
from voxledger.models.model import Model
from voxledger.models.prediction import Prediction, title
from voxledger.params import InferParams, MachineParams
from voxledger.records.card import PREDICTIONS
from voxledger.records.cases import Case
from voxledger.schema import LabelSchema

LABEL_MAP, SOFT = ".nii.gz", ".b2nd"


def prediction_file(folder: Path, case_id: str) -> Path | None:
    """The file of a case in a model's folder: a soft prediction, a label map, or None.

    Examples
    --------
    >>> prediction_file(Path("models/base/totalseg"), "case-of-nobody") is None
    True
    """
    candidates = [folder / PREDICTIONS / f"{case_id}{suffix}" for suffix in (SOFT, LABEL_MAP)]
    return next((path for path in candidates if path.is_file()), None)


def take_in(path: Path, out: Path, case: Case, model_id: str, grid: Grid, schema: LabelSchema) -> set[str]:
    """Check a prediction from outside and write it anew: nothing else that its file holds enters the repository.

    Returns the classes that the file speaks of: those in the head of a soft prediction; those whose ids occur in a
    label map. A class does not occur by what lies inside it: a lesion says where some of the organ is, not where all
    of it is.

    Raises
    ------
    VoxledgerError
        It is damaged, or does not fit the registered case: its grid, and ids or classes, image and model.
    """
    if path.name.endswith(LABEL_MAP):
        labels = _label_map(path, grid, schema)
        write(out, labels, grid)
        return _occurring(labels, schema)
    soft = _soft(path, case, model_id, grid)
    _require_classes(soft, schema.names, schema, path)
    write_soft(
        out,
        ((name, soft.probabilities(name)[soft.extent]) for name in soft.classes),
        list(soft.classes),
        grid,
        model_id,
        case.sha256,
        soft.part,
    )
    return set(soft.classes)


def predictions(model: Model, cases: Sequence[Case], params: InferParams, machine: MachineParams) -> list[Prediction]:
    """A job for every case that the model has a file for.

    Raises
    ------
    VoxledgerError
        No class of the label maps is known.
    """
    known, jobs = tuple(known_classes(model, machine)), list[Prediction]()
    for case in cases:
        file = prediction_file(model.folder, case.case_id)
        # A model whose label maps knew retired classes alone has nothing more to say.
        if file is not None and (known or file.name.endswith(SOFT)):
            place = {"name": title(case, model), "device": machine.device}
            jobs.append(MadeElsewhere(case=case, model=model, params=params, file=file, known=known, **place))
    return jobs


class MadeElsewhere(Prediction):
    """What a file in the model's folder says of a case."""

    algorithms = ("infer", "precomputed")

    file: Path = content()
    known: tuple[str, ...] = content()
    """Classes that the label maps of the model know."""

    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the soft prediction of the file."""
        grid = read_grid(self.case.image)
        predict(self.file, out, self.case, self.model.card.id, grid, self.model.schema, self.known)
        soft = open_soft(out)
        return tuple(name for name in soft.classes if soft.looked_for(name))


def known_classes(model: Model, machine: MachineParams) -> list[str]:
    """Classes that the label maps of a model know, in the order of the schema.

    Raises
    ------
    VoxledgerError
        The card names none, as those of older versions do not, and none occurs in the label maps.
    """
    schema, declared = model.schema, model.card.params.get("classes")
    if declared is None:
        files = sorted((model.folder / PREDICTIONS).glob(f"*{LABEL_MAP}"))
        jobs = [_Occurring(name=f.name, file=f, schema=schema) for f in files]
        declared = {name for found in casemap(jobs, MEMO, machine) for name in found}
        if files and not declared:
            raise VoxledgerError(
                f"model {model.card.name}: no class occurs in the label maps of {model.folder / PREDICTIONS}",
                f"remove {model.folder} and add the model again with --classes and what it looked for",
            )
    today = {schema.renamed(name) for name in declared}
    return [name for name in schema.names if name in today]


class _Occurring(Job[list[str]]):
    """Which classes occur in a label map."""

    stage, algorithms = "classes", ("precomputed",)

    file: Path = content()
    schema: LabelSchema = content()

    def compute(self, folder: Path) -> list[str]:
        """Read the label map; writes nothing."""
        return sorted(_occurring(read_label(self.file), self.schema))


def _occurring(labels: npt.NDArray[Any], schema: LabelSchema) -> set[str]:
    ids = set(np.unique(labels).tolist())
    return {c.name for c in schema.classes if c.id in ids}


def _label_map(path: Path, grid: Grid, schema: LabelSchema) -> npt.NDArray[Any]:
    labels = read_whole_label(path, grid)
    schema.check(labels, str(path))
    return labels


def _soft(path: Path, case: Case, model_id: str, grid: Grid) -> SoftPrediction:
    soft = open_soft(path)
    require_same_grid(soft.grid, grid, str(path))
    if soft.image_sha256 != case.sha256:
        raise VoxledgerError(
            f"{path} was predicted on another image than case {case.case_id} has", "predict the case again"
        )
    if soft.model_id != model_id:
        raise VoxledgerError(f"{path} was predicted by {soft.model_id}, not by {model_id}", "give the right model id")
    return soft


def _require_classes(soft: SoftPrediction, known: Iterable[str], schema: LabelSchema, path: Path) -> None:
    unknown = sorted(set(soft.classes) - set(known))
    if unknown:
        told = "; ".join(f"{n}: {schema.told_of(n)}" for n in unknown if schema.told_of(n))
        raise UnknownLabel(
            f"{path} has classes that {layout.SCHEMA} does not have: {', '.join(unknown)}",
            told or f"add the classes to {layout.SCHEMA}",
        )


def predict(
    path: Path, out: Path, case: Case, model_id: str, grid: Grid, schema: LabelSchema, known: Sequence[str]
) -> None:
    """Write the soft prediction of one case; of a label map, 0 and 1 for the classes that it knows.

    What a class was called when the model was added does not matter, and voxels of a retired class count as what
    holds them today.
    """
    if path.name.endswith(SOFT):
        soft = _soft(path, case, model_id, grid)
        today = {renamed: n for n in soft.classes if (renamed := schema.renamed(n)) is not None}
        _require_classes(soft, (n for n in soft.classes if schema.is_on_record(n)), schema, path)
        if list(today) == list(soft.classes):
            shutil.copyfile(path, out)
            return
        values = ((name, soft.read(old)[soft.extent]) for name, old in today.items())
        write_soft(out, values, list(today), grid, model_id, case.sha256, soft.part)
        return
    labels = schema.repaint_retired(read_whole_label(path, grid))
    schema.check(labels, str(path))
    masks = ((name, schema.mask(labels, name).astype(np.float32)) for name in known)
    write_soft(out, masks, list(known), grid, model_id, case.sha256)
