"""Soft predictions of every model of a folder for a list of cases, through the per-case memo."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.casemap.hashes import trusted_sha256
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.knowledge import Knowledge, knowledge_of, trusted
from voxledger.models.backend import backend_of
from voxledger.models.model import Model, open_models
from voxledger.models.prediction import Prediction, TrustedOrgan, region_prediction
from voxledger.params import InferParams, MachineParams
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Ledger, Origin, read_ledger
from voxledger.records.predicted import Predicted, read_predicted
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

_MADE = "made.json"
"""In a folder of predictions, by path: key of what the file was made from, and its SHA-256."""


def to_predict(cases: Sequence[Case], schema: LabelSchema, params: InferParams) -> list[Case]:
    """The cases that the round is to predict: all, or not those of the pool of which every class is trusted."""
    if not params.skip_trusted:
        return list(cases)
    ledger = read_ledger(layout.BASE_LEDGER)
    whole = (c for c in cases if c.split is Split.POOL and all(trusted(ledger, c.case_id, n) for n in schema.names))
    left_out = {case.case_id for case in whole}
    return [case for case in cases if case.case_id not in left_out]


def predict_cases(
    cases: Sequence[Case],
    models_dir: Path,
    out: Path,
    schema: LabelSchema,
    params: InferParams,
    machine: MachineParams,
) -> list[Predicted]:
    """Write `<out>/<model name>/<case>.b2nd` for every model and case; returns what was predicted, by model and case.

    Models of a region come after the others, which find the organ for them; where it is not found they say nothing, of
    no class. A model that is made elsewhere covers only the cases that it has, and one that is told what to look for
    only those that have weak labels; for the others nothing is written. What people rejected is not predicted again by
    the same model from the same weak labels, where a network knows the class. A case that was predicted before by the
    same model with the same parameters is taken from the memo, wherever the model lies.

    Raises
    ------
    VoxledgerError
        A model does not fit its id, or a prediction made elsewhere does not fit its case.
    """
    ordered = sorted(cases, key=lambda case: case.case_id)
    models = open_models(models_dir, schema)
    whole = [model for model in models if model.region is None]
    jobs = [job for m in whole for job in backend_of(m.card).predictions(m, ordered, params, machine)]
    rows = _predict(list(_told_anew(jobs, models)), out, machine)
    if located := [job for m in models for job in _located(m, ordered, rows, out, params, machine)]:
        rows = sorted([*rows, *_predict(located, out, machine)], key=lambda row: (row.model, row.case_id))
    _write_made(out, _read_made(out) | {row.file: [row.key, trusted_sha256(out / row.file)] for row in rows})
    return rows


def _told_anew(jobs: Sequence[Prediction], models: Sequence[Model]) -> Iterator[Prediction]:
    """The jobs, without the weak labels that would only repeat what people rejected, where a network knows the class.

    Networks that are told of nothing learn from round to round what people stand behind.
    """
    ledger = read_ledger(layout.BASE_LEDGER)
    backends = [(m, backend_of(m.card)) for m in models]
    known = {name for m, b in backends if not (b.prompted or b.made_elsewhere) for name in m.taught}
    for job in jobs:
        again = {name for name, _ in job.marks if name in known and _repeats_rejected(job, name, ledger)}
        left = job.without(again) if again else job
        if left is not None:
            yield left


def _repeats_rejected(job: Prediction, name: str, ledger: Ledger) -> bool:
    """Whether people rejected a class of the case as the same model had predicted it, of the same weak labels."""
    entry = ledger.get((job.case.case_id, name))
    if entry is None or entry.origin is not Origin.REJECTED or job.model.card.id not in entry.model_ids:
        return False
    return sorted(map(str, entry.weak)) == sorted(mark for marked, mark in job.marks if marked == name)


def _located(
    model: Model,
    cases: Sequence[Case],
    rows: Sequence[Predicted],
    out: Path,
    params: InferParams,
    machine: MachineParams,
) -> Iterator[Prediction]:
    """Jobs of a model of a region, each with who says where the organ is; none of a model without.

    Those are the people who stand behind the organ in a case of the pool, and else the models of `rows`. In cases that
    models are judged by, the models do, as in a case that nobody has seen.
    """
    if model.region is None:
        return
    organ = model.region.name(model.schema)
    ledger = read_ledger(layout.BASE_LEDGER)
    finders: dict[str, dict[str, Path]] = {}
    for row in rows:
        if organ in row.classes:
            finders.setdefault(row.case_id, {})[row.key] = out / row.file
    for case in cases:
        entry = ledger.get((case.case_id, organ)) if case.split is Split.POOL else None
        known = None
        if entry is not None and entry.ml > 0 and knowledge_of(entry) is Knowledge.TRUSTED:
            known = TrustedOrgan(entry.mask_sha256, layout.label_map(layout.BASE_LABELS, case.case_id))
        yield region_prediction(model, case, known, finders.get(case.case_id, {}), params, machine)


def _predict(jobs: Sequence[Prediction], out: Path, machine: MachineParams) -> list[Predicted]:
    known = casemap(jobs, out, machine.for_networks)
    return [
        Predicted(job.case.case_id, job.model.card.name, job.model.card.id, classes, job.key, job.marks)
        for job, classes in zip(jobs, known, strict=True)
    ]


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
    models_dir: Path = layout.BASE_MODELS,
    out: Path = layout.PREDICTIONS,
    table: Path = layout.PREDICTED,
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
        if not (out / row.file).is_file() or made.get(row.file) != [row.key, trusted_sha256(out / row.file)]
    }
    chosen = [case for case in cases if case.case_id in absent]
    if chosen:
        ids = {case.case_id for case in chosen}
        wanted = {row for row in rows if row.case_id in ids}
        differ = wanted ^ set(predict_cases(chosen, models_dir, out, schema, params, machine))
        if differ:
            raise VoxledgerError(
                f"{table} lists other predictions than models, images, parameters (machine.portable is one) and "
                f"voxledger make here: {', '.join(sorted({row.file for row in differ}))}",
                f"if they should be the same, bring back what was: `git restore {layout.DATA} {layout.MODELS} "
                f"{layout.PARAMS} {layout.SCHEMA} && dvc checkout`; if not, predict again: `dvc repro --force "
                "--single-item infer`",
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
