"""Tiny interactive models of the small cases, a bundle of one of them, and weak labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from small_cases import GRID, Small, draw

from voxledger import layout
from voxledger.export.bundle import write_page
from voxledger.imaging.volume import file_sha256, write
from voxledger.models.model import Model
from voxledger.models.nninteractive.network import build_network, describe_object
from voxledger.models.nninteractive.plan import plan
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.bundle import Asked, File, Manifest, make_manifest
from voxledger.records.card import ModelCard, check_model
from voxledger.records.decisions import Row, to_csv
from voxledger.retrain.interactive import train_interactive
from voxledger.weak.geometry import lps_of

MARKS = "marks"
INFO = {"point_radius": 3, "interaction_decay": 0.9, "interaction_channels": 6}
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


def write_folder(folder: Path, **change: object) -> Path:
    """A folder in nnInteractive's format, as its own loader reads it; `change` replaces a part of it."""
    import torch

    torch.manual_seed(0)
    plans = plan((16, 24, 16), (4, 8), None)
    weights = build_network(plans).state_dict()
    plans.pop("voxledger")
    plans |= {"image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2]}
    checkpoint = {
        "trainer_name": "nnInteractiveTrainer_stub",
        "init_args": {"configuration": "3d_fullres"},
        "network_weights": weights,
        "logging": {"losses": [np.float64(0.5)]},
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans | change.get("plans", {})))
    (folder / "dataset.json").write_text(json.dumps(describe_object() | change.get("dataset", {})))
    (folder / "inference_info.json").write_text(json.dumps(INFO | change.get("info", {})))
    torch.save(checkpoint | change.get("checkpoint", {}), folder / "fold_0" / "checkpoint_final.pth")
    if licence := change.get("licence", "CC BY-NC-SA 4.0\nhttps://creativecommons.org\n"):
        (folder / "LICENSE").write_text(licence)
    return folder


def write_bundle(small: Small, folder: Path) -> Manifest:
    """A bundle of the pool that asks about every class; a piece of the spleen, and all lesions, were missed."""
    for number, case in enumerate(small.cases[:3]):
        image, labels = draw(number)
        labels[:, 10:][labels[:, 10:] == 7] = 0
        labels[labels == 2] = 1
        write(folder / f"images/{case.case_id}.nii.gz", image, GRID)
        write(folder / f"labels/{case.case_id}.nii.gz", labels, GRID)
    names = [case.case_id for case in small.cases[:3]]
    asked = [Asked(case_id=case_id, class_name=name) for case_id in names for name in small.schema.names]
    (folder / "decisions.csv").write_text(to_csv([Row(a.case_id, a.class_name) for a in asked]))
    write_page(folder, dict.fromkeys(names, "CT"))
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    manifest = make_manifest(
        dataset="small",
        round=1,
        reviewer="alice",
        base_version="",
        model_ids=(),
        label_schema=small.schema,
        asked=tuple(asked),
        voxels=dict.fromkeys(names, 12 * 20 * 24),
        masks={name: {} for name in names},
        files={name: File(sha256=file_sha256(p), bytes=p.stat().st_size) for name, p in files.items()},
    )
    (folder / "bundle.json").write_bytes(manifest.to_bytes())
    return manifest
