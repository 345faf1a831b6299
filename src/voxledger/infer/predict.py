"""Soft predictions of every model of a folder for a list of cases, through the per-case memo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import VoxledgerError
from voxledger.imaging.soft import open_soft, write_soft
from voxledger.imaging.volume import file_sha256, read, read_grid
from voxledger.models.monai import predict as monai
from voxledger.models.nnunet import predict as nnunet
from voxledger.models.precomputed import predict as precomputed
from voxledger.models.process import single_thread
from voxledger.params import InferParams, MachineParams
from voxledger.records.card import ModelCard, check_model, list_models
from voxledger.records.cases import Case
from voxledger.records.predicted import Predicted, read_predicted
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

ALGORITHM_VERSION = 3

_MADE = "made.json"
"""In a folder of predictions, by path: key of what the file was made from, and its SHA-256."""

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
    cases: Sequence[Case],
    models_dir: Path,
    out: Path,
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
) -> list[Predicted]:
    """Write `<out>/<model name>/<case>.b2nd` for every model and case; returns what was predicted, by model and case.

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
            # A model whose label maps knew retired classes alone has nothing more to say.
            silent = prediction is not None and prediction.name.endswith(precomputed.LABEL_MAP) and not known
            if not made_elsewhere or (prediction is not None and not silent):
                work = _Work(case, folder, card, schema, params, machine.device, prediction, known)
                tasks.append(Task(f"{case.case_id} ({card.name})", _key(work), work))
    out.mkdir(parents=True, exist_ok=True)
    # Several processes on one GPU would each need its memory.
    workers = 1 if machine.device == "cuda" else machine.worker_count
    infos = casemap("infer", _predict, tasks, out, workers=workers, recheck=machine.recheck)
    rows = [
        Predicted(work.case.case_id, work.card.name, work.card.id, tuple(info["classes"]), task.key)
        for task, info in zip(tasks, infos, strict=True)
        for work in [task.payload]
    ]
    _write_made(out, _read_made(out) | {row.file: [row.key, file_sha256(out / row.file)] for row in rows})
    return rows


def predict_round(
    cases: Sequence[Case],
    models_dir: Path,
    out: Path,
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
) -> list[Predicted]:
    """As `predict_cases`, and nothing else stays in the folder."""
    rows = predict_cases(cases, models_dir, out, schema, params, machine)
    _keep_only(out, rows)
    return rows


def require_predictions(
    cases: Sequence[Case],
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
    *,
    models_dir: Path = Path("models/base"),
    out: Path = Path("data/round/predictions"),
    table: Path = Path("data/round/infer.jsonl"),
) -> Path:
    """The folder of predictions, after those of `cases` that are not here, as in a clone, were made again.

    Parameters
    ----------
    table
        What the infer stage predicted, see `voxledger.records.predicted`.

    Raises
    ------
    VoxledgerError
        The models, images or parameters that are here are not those of the table.
    """
    rows, made = read_predicted(table), _read_made(out)
    absent = {
        row.case_id
        for row in rows
        if not (out / row.file).is_file() or made.get(row.file) != [row.key, file_sha256(out / row.file)]
    }
    chosen = [case for case in cases if case.case_id in absent]
    if chosen:
        wanted = {row for row in rows if row.case_id in {case.case_id for case in chosen}}
        differ = wanted ^ set(predict_cases(chosen, models_dir, out, schema, params, machine))
        if differ:
            raise VoxledgerError(
                f"{table} lists other predictions than models, images, parameters and voxledger make here: "
                f"{', '.join(sorted({row.file for row in differ}))}",
                "if they should be the same, bring back what was: `git restore data models params.yaml labels.yaml && "
                "dvc checkout`; if not, predict again: `dvc repro --force --single-item infer`",
            )
    _keep_only(out, rows)
    return out


def _keep_only(out: Path, rows: Sequence[Predicted]) -> None:
    """Remove predictions that another round or other models left."""
    files = {row.file for row in rows}
    for path in out.glob("*/*.b2nd"):
        if path.relative_to(out).as_posix() not in files:
            path.unlink()


def _read_made(out: Path) -> dict[str, list[str]]:
    try:
        made: dict[str, list[str]] = json.loads((out / _MADE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _write_made(out: Path, made: dict[str, list[str]]) -> None:
    replace_text(out / _MADE, json.dumps(made, indent=1, sort_keys=True) + "\n")


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
        **work.schema.record(),
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
        return {"classes": list(open_soft(out).classes)}
    image = read(case.image)
    with single_thread(work.device):
        channels = _NETWORKS[card.backend].predict(work.folder, card.id, image, work.params, work.device)
        classes = channels.classes(work.schema)
        write_soft(out, channels.by_class(work.schema), classes, image.grid, card.id, case.sha256)
    return {"classes": classes}
