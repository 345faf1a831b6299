"""The stage `retrain`: the cohort, one training a model, and the cards of everything that labels may name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voxledger import layout
from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.models.backend import Backend, backend_of
from voxledger.models.cohort import Member, build_cohort, cohort_sha256, to_csv, write_cohort
from voxledger.models.job import Job
from voxledger.models.model import open_models
from voxledger.models.process import seed_everything, single_thread
from voxledger.params import MachineParams, RetrainParams
from voxledger.records.card import ModelCard, list_models, parse_cards, require_name, to_json, write_card
from voxledger.records.cases import Case
from voxledger.records.ledger import Ledger
from voxledger.registry import BACKENDS, STRATEGIES
from voxledger.retrain.strategy import Strategy
from voxledger.schema import LabelSchema
from voxledger.textfile import read_text_if_there, replace_text, unreadable

ALGORITHM_VERSION = 3


def retrain_round(
    cases: list[Case],
    schema: LabelSchema,
    ledger: Ledger,
    labels: Path,
    base: Path,
    out: Path,
    round_number: int,
    params: RetrainParams,
    machine: MachineParams,
    cohort_table: Path,
    cards: Path,
) -> None:
    """Train the next models on what people stand behind.

    Models of `base` that are made elsewhere go on unchanged. Without any trusted case nothing can be trained: then all
    models of `base` go on unchanged, so that a round of predictions alone is possible.

    Parameters
    ----------
    labels
        Folder of label maps `<case>.nii.gz` that the ledger speaks of.
    base, out
        Folders of the models of this round and of the next, `models/base` and `models/next`.
    cohort_table
        Where to write `cohort.csv`.
    cards
        Where to write `next.json`: the cards of the next models and of every model before them, since masks in the
        ledger go on naming those. Earlier ones are taken from `<base>.json`.

    Raises
    ------
    VoxledgerError
        There is neither a trusted case nor a model in `base`, a label is not the mask that the ledger names, or a
        model in `base` was altered.
    """
    for name in params.models:
        require_name(name)
    strategy: Strategy = STRATEGIES.get(params.strategy)
    before = {model.card.name: model for model in open_models(base, schema)}
    elsewhere = {name for name, model in before.items() if backend_of(model.card).made_elsewhere}
    clash = sorted(elsewhere & params.models.keys())
    if clash:
        raise Misuse(
            f"retrain.models.{clash[0]}: {base} has a model of this name, made elsewhere", "choose another name"
        )
    cohort = build_cohort(cases, ledger, schema)
    table = to_csv(cohort)
    write_cohort(cohort_table, table)
    if not cohort and not before:
        raise VoxledgerError(
            "no case of the pool has a label that a person stands behind, and there is no model in "
            f"{layout.BASE_MODELS}",
            "add labelled cases (`voxledger cases add FOLDER --labels FOLDER`) or a model (`voxledger models add`)",
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if not cohort:
        print(f"retrain: no trusted case yet, so the models of {layout.BASE_MODELS} go on unchanged", file=sys.stderr)
    kept = [model for name, model in before.items() if not cohort or name in elsewhere]
    for model in kept:
        shutil.copytree(model.folder, out / model.folder.name, copy_function=shutil.copyfile)
    tasks = []
    for name, wanted in sorted(params.models.items()) if cohort else []:
        start = strategy(wanted, params, before.get(name), schema.names)
        if start.note:
            print(f"retrain: {name} {start.note}", file=sys.stderr)
        job = Job(name, wanted, start, tuple(cohort), labels, schema, params.seed, machine.device)
        card = {
            "name": name,
            "backend": wanted.backend,
            "strategy": start.strategy,
            "cohort": cohort_sha256(table),
            "parent": start.parent.card.id if start.parent else "",
            "params": wanted.model_dump(mode="json"),
            "licence": params.licence,
            "round": round_number,
        }
        tasks.append(Task(name, _key(job, card), (job, card)))
    workers = 1 if machine.device == "cuda" else machine.worker_count
    casemap("retrain", train_one, tasks, out, workers=workers, recheck=machine.recheck)
    if not list_models(out):
        raise Misuse("retrain.models names no model to train", f"name at least one in {layout.PARAMS}")
    replace_text(cards, to_json([c.model_dump() for c in _genealogy(base, out)]))


def train_one(payload: tuple[Job, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Train one model into `<folder>/<name>/`; the same bytes every time on the same kind of CPU."""
    job, card = payload
    home = folder / job.name
    home.mkdir()
    backend: Backend = BACKENDS.get(job.model.backend)
    with single_thread(job.device):
        seed_everything(job.seed)
        architecture = backend.train(job, home)
    weights = file_sha256(home / "weights.safetensors")
    write_card(home, ModelCard(id=weights, architecture=architecture, **card))
    return {"id": weights}


def _key(job: Job, card: dict[str, Any]) -> str:
    return key_of(
        "retrain",
        ALGORITHM_VERSION,
        card=card,
        iterations=job.start.iterations,
        labels={m.case.case_id: _label_sha256(job, m) for m in job.members},
        modalities=sorted({m.case.modality for m in job.members}),
        classes=[[c.name, c.id, c.inside, c.lesion] for c in job.schema.classes],
        seed=job.seed,
        origins=[BACKENDS.origin(job.model.backend), STRATEGIES.origin(job.start.strategy)],
    )


def _label_sha256(job: Job, member: Member) -> str:
    path = job.label_path(member)
    if not path.is_file():
        raise VoxledgerError(
            f"case {member.case.case_id} is in the ledger, but {path} is missing",
            "restore it with `dvc checkout`, or run `dvc repro import`",
        )
    return file_sha256(path)


def _genealogy(base: Path, out: Path) -> list[ModelCard]:
    """Cards of the next models and of all before them, by round and name; a model that goes on is listed once."""
    history = base.with_name(f"{base.name}.json")
    text = read_text_if_there(history)
    try:
        earlier = [ModelCard.model_validate(c) for c in parse_cards(text, str(history))] if text is not None else []
    except ValidationError as error:
        raise unreadable(history, f"a card in it is none: {error.errors()[0]['msg']}") from None
    unique = {card.id: card for card in (*list_models(out), *list_models(base), *earlier)}
    return sorted(unique.values(), key=lambda c: (c.round, c.name, c.id))
