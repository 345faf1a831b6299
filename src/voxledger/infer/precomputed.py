"""Precomputed: label maps or soft predictions that were made elsewhere, as they lie in the model's `predictions/`.

Such a model covers the cases it has a file for, and no others.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.cases import Case
from voxledger.engine.card import PREDICTIONS
from voxledger.errors import UnknownLabel, VoxledgerError
from voxledger.intact import read_whole_label
from voxledger.schema import LabelSchema
from voxledger.soft import SoftPrediction, open_soft, write_soft
from voxledger.volume import Grid, require_same_grid, write

LABEL_MAP, SOFT = ".nii.gz", ".b2nd"


def prediction_file(folder: Path, case_id: str) -> Path | None:
    """The file of a case in a model's folder: a soft prediction, a label map, or None."""
    candidates = [folder / PREDICTIONS / f"{case_id}{suffix}" for suffix in (SOFT, LABEL_MAP)]
    return next((path for path in candidates if path.is_file()), None)


def take_in(path: Path, out: Path, case: Case, model_id: str, grid: Grid, schema: LabelSchema) -> None:
    """Check a prediction from outside and write it anew: nothing else that its file holds enters the repository.

    Raises
    ------
    VoxledgerError
        It is damaged, or does not fit the registered case: its grid, and ids or classes, image and model.
    """
    if path.name.endswith(LABEL_MAP):
        write(out, _label_map(path, grid, schema), grid)
        return
    soft = _soft(path, case, model_id, grid, schema)
    write_soft(
        out,
        ((name, soft.probabilities(name)) for name in soft.classes),
        list(soft.classes),
        grid,
        model_id,
        case.sha256,
    )


def _label_map(path: Path, grid: Grid, schema: LabelSchema) -> npt.NDArray[Any]:
    labels = read_whole_label(path, grid)
    schema.check(labels, str(path))
    return labels


def _soft(path: Path, case: Case, model_id: str, grid: Grid, schema: LabelSchema) -> SoftPrediction:
    soft = open_soft(path)
    require_same_grid(soft.grid, grid, str(path))
    if soft.image_sha256 != case.sha256:
        raise VoxledgerError(
            f"{path} was predicted on another image than case {case.case_id} has", "predict the case again"
        )
    if soft.model_id != model_id:
        raise VoxledgerError(f"{path} was predicted by {soft.model_id}, not by {model_id}", "give the right model id")
    unknown = sorted(set(soft.classes) - set(schema.names))
    if unknown:
        raise UnknownLabel(
            f"{path} has classes that labels.yaml does not have: {', '.join(unknown)}", "add the classes to labels.yaml"
        )
    return soft


def predict(path: Path, out: Path, case: Case, model_id: str, grid: Grid, schema: LabelSchema) -> None:
    """Write the soft prediction of one case; of a label map, probabilities are 0 and 1."""
    if path.name.endswith(SOFT):
        _soft(path, case, model_id, grid, schema)
        shutil.copyfile(path, out)
        return
    labels = _label_map(path, grid, schema)
    masks = ((name, schema.mask(labels, name).astype(np.float32)) for name in schema.names)
    write_soft(out, masks, schema.names, grid, model_id, case.sha256)
