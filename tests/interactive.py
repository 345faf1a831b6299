"""A tiny interactive model of the small cases, and weak labels of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from small_cases import GRID, Small, draw

from voxledger import layout
from voxledger.imaging.volume import write
from voxledger.models.model import Model
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.card import ModelCard, check_model
from voxledger.retrain.interactive import train_interactive
from voxledger.weak.geometry import lps_of

MARKS = "marks"
TINY = ModelParams(backend="nninteractive", patch=(8, 16, 16), features=(4, 8), iterations=3, batch=1)


def train_tiny(small: Small, name: str = MARKS, model: ModelParams = TINY, **params: object) -> ModelCard:
    """Train into `models/base`, from labels of the base."""
    layout.BASE_LABELS.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(small.labels, layout.BASE_LABELS, dirs_exist_ok=True)
    retrain = RetrainParams(**params)
    return train_interactive(name, model, small.cases, small.schema, small.ledger, 0, retrain, MachineParams(workers=1))


def opened(small: Small, name: str = MARKS) -> Model:
    folder = layout.BASE_MODELS / name
    return Model(folder, check_model(folder), small.schema)


def mark_slice(case_id: str, number: int, class_ids: tuple[int, ...] = (7,)) -> None:
    """The middle slice of some classes of a case, as a label map in `data/weak`."""
    labels = draw(number)[1]
    weak = np.zeros_like(labels)
    weak[6] = np.where(np.isin(labels[6], class_ids), labels[6], 0)
    write(layout.label_map(layout.WEAK, case_id), weak, GRID)


def mark_recist(case_id: str, number: int, stretch: float = 0.0) -> None:
    """The diameter of the lesion of a case, as JSON in `data/weak`."""
    inside = np.argwhere(draw(number)[1][5] == 2)
    ends = np.array([[5, *inside[0]], [5, inside[-1][0], inside[-1][1] + stretch]], float)
    points = lps_of(ends, GRID)
    mark = {
        "type": "recist",
        "class": "lesion",
        "slice": 5,
        "points_lps_mm": points.tolist(),
        "long_diameter_mm": float(np.linalg.norm(points[0] - points[1])),
    }
    path = Path(layout.weak_marks(case_id))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": 2, "case": case_id, "source": "json", "marks": [mark]}))
