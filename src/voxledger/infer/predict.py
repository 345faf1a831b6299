"""Soft predictions of every model of a folder for a list of cases, through the per-case memo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger.casemap import Task, casemap, key_of
from voxledger.cases import Case
from voxledger.engine.card import ModelCard, check_model, list_models
from voxledger.engine.process import single_thread
from voxledger.errors import VoxledgerError
from voxledger.infer import monai, nnunet, precomputed
from voxledger.params import InferParams, MachineParams
from voxledger.schema import LabelSchema
from voxledger.soft import write_soft
from voxledger.volume import file_sha256, read, read_grid

ALGORITHM_VERSION = 2

_NETWORKS = {"nnunet": nnunet, "monai": monai}


@dataclass(frozen=True)
class _Work:
    """One model and case; `prediction` is the file of a precomputed model, `known` the classes of its label maps."""

    case: Case
    folder: Path
    card: ModelCard
    schema: LabelSchema
    params: InferParams
    device: str
    prediction: Path | None
    known: tuple[str, ...]


def predict_cases(
    cases: list[Case],
    models_dir: Path,
    out: Path,
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
    manifest: Path | None = None,
) -> None:
    """Write `<out>/<model name>/<case>.b2nd` for every model and case.

    A precomputed model covers only the cases that it has; for the others nothing is written. A case that was
    predicted before by the same model with the same parameters is taken from the memo, wherever the model lies.

    Raises
    ------
    VoxledgerError
        A model does not fit its id, or a file of a precomputed model does not fit its case.
    """
    tasks = []
    for listed in list_models(models_dir):
        folder = models_dir / listed.name
        card = check_model(folder)
        made_elsewhere = card.backend == "precomputed"
        known = tuple(precomputed.known_classes(folder, card, schema, machine)) if made_elsewhere else ()
        for case in sorted(cases, key=lambda c: c.case_id):
            prediction = precomputed.prediction_file(folder, case.case_id) if made_elsewhere else None
            if not made_elsewhere or prediction is not None:
                work = _Work(case, folder, card, schema, params, machine.device, prediction, known)
                tasks.append(Task(f"{case.case_id} ({card.name})", _key(work), work))
    out.mkdir(parents=True, exist_ok=True)
    # Several processes on one GPU would each need its memory.
    workers = 1 if machine.device == "cuda" else machine.worker_count
    casemap("infer", _predict, tasks, out, workers=workers, recheck=machine.recheck, manifest=manifest)


def _key(work: _Work) -> str:
    return key_of(
        "infer",
        ALGORITHM_VERSION,
        image=work.case.sha256,
        case=work.case.case_id,
        model=[work.card.name, work.card.id],
        prediction=[precomputed.ALGORITHM_VERSION, file_sha256(work.prediction), work.known]
        if work.prediction
        else None,
        infer=work.params.model_dump(mode="json"),
        classes=[[c.name, c.id, c.inside] for c in work.schema.classes],
    )


def _predict(work: _Work, folder: Path) -> dict[str, Any]:
    case, card = work.case, work.card
    if file_sha256(case.image) != case.sha256:
        raise VoxledgerError(
            f"case {case.case_id}: {case.image} is not the image that was registered", "restore it with `dvc checkout`"
        )
    out = folder / card.name / f"{case.case_id}.b2nd"
    out.parent.mkdir()
    if work.prediction is not None:
        precomputed.predict(work.prediction, out, case, card.id, read_grid(case.image), work.schema, work.known)
        return {}
    image = read(case.image)
    with single_thread(work.device):
        channels = _NETWORKS[card.backend].predict(work.folder, card.id, image, work.params, work.device)
        classes = channels.classes(work.schema)
        write_soft(out, channels.by_class(work.schema), classes, image.grid, card.id, case.sha256)
    return {}
