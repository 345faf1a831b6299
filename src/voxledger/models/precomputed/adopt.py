"""Registering a model that exists only as its predictions: label maps or soft predictions made elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import read_grid
from voxledger.models.precomputed.predict import LABEL_MAP, SOFT, take_in
from voxledger.records.card import (
    ID_PATTERN,
    PREDICTIONS,
    ModelCard,
    list_models,
    predictions_sha256,
    require_name,
    write_card,
)
from voxledger.records.cases import Case
from voxledger.schema import LabelSchema


def add_precomputed(
    name: str,
    predictions: Path,
    model_id: str,
    licence: str,
    cases: list[Case],
    schema: LabelSchema,
    models: Path,
    round_number: int,
    classes: Sequence[str] | None = None,
) -> ModelCard:
    """Write predictions into `<models>/<name>/predictions/`, and the card; nothing is kept if a file is refused.

    All are written anew, so that no header text enters. The same model again changes nothing, so that a command which
    was killed may be repeated.

    Parameters
    ----------
    predictions
        Folder of `<case>.nii.gz` label maps or `<case>.b2nd` soft predictions. It need not have every case: the
        model then says nothing about the others.
    model_id
        What the model is called in ledgers from now on, such as `totalsegmentator-2.4.0`.
    classes
        Classes that the model looked for in every label map; by default those that occur in the files. It has no say
        in any other class.

    Raises
    ------
    Misuse
        Name or id are not usable or taken, a class is not in the schema, or the folder holds no predictions, or none
        of any class.
    VoxledgerError
        Files are damaged, belong to no registered case, or do not fit theirs; all of them are named.
    """
    require_name(name)
    same, files = _registered(name, model_id, models), _files(predictions)
    for class_name in classes or ():
        schema[class_name]
    # Beside the models: what a killed command leaves of one is no part of them.
    partial = models.parent / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / PREDICTIONS).mkdir(parents=True)
    try:
        found = _take_in_all(files, partial / PREDICTIONS, model_id, cases, schema, classes)
        known = [n for n in schema.names if n in (found if classes is None else classes)]
        if not known:
            raise Misuse(
                f"no class occurs in the files of {predictions}", "say with --classes which ones the model looked for"
            )
        card = _card(name, model_id, licence, round_number, known, partial / PREDICTIONS)
        if same is None:
            write_card(partial, card)
            partial.rename(models / name)
        elif same != card:
            problem = f"model {name} with id {model_id} is registered already, otherwise"
            raise Misuse(problem, "choose another name and id")
        return card
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _files(predictions: Path) -> list[Path]:
    files = sorted(p for p in predictions.glob("*") if p.name.endswith((LABEL_MAP, SOFT)))
    if not files:
        raise Misuse(f"{predictions} holds no *{LABEL_MAP} or *{SOFT} file", "give the folder of the predictions")
    return files


def _registered(name: str, model_id: str, models: Path) -> ModelCard | None:
    """The model that has this name and id; raises where another has one of them, or they are unusable."""
    if not re.match(ID_PATTERN, model_id):
        raise Misuse(f"{model_id!r} is not a model id", "use letters, digits and . _ : / @ + -")
    same = None
    for other in list_models(models):
        if (other.name, other.id) == (name, model_id):
            same = other
        elif other.name == name or other.id == model_id:
            raise Misuse(f"model {other.name} with id {other.id} is registered already", "choose another name and id")
    return same


def _take_in_all(
    files: Sequence[Path],
    out: Path,
    model_id: str,
    cases: Sequence[Case],
    schema: LabelSchema,
    classes: Sequence[str] | None,
) -> set[str]:
    """Write all predictions anew; returns the classes that they speak of, or raises with all that is wrong."""
    by_id = {c.case_id: c for c in cases}
    problems, covered = list[str](), set[str]()
    found: set[str] = set()
    for path in files:
        case_id = path.name.removesuffix(LABEL_MAP).removesuffix(SOFT)
        case = by_id.get(case_id)
        if case is None:
            problems.append(f"{path}: no case {case_id} is registered")
        elif case_id in covered:
            problems.append(f"{path}: a second prediction of case {case_id}")
        else:
            try:
                speaks_of = take_in(path, out / path.name, case, model_id, read_grid(case.image), schema)
            except VoxledgerError as error:
                problems.append(error.problem)
            else:
                found |= speaks_of
                left_out = [n for n in schema.names if n in speaks_of and classes is not None and n not in classes]
                if left_out:
                    problems.append(f"{path} holds {', '.join(left_out)}, which --classes leaves out")
        covered.add(case_id)
    if problems:
        raise VoxledgerError(
            f"model {model_id} was not added:\n  " + "\n  ".join(problems),
            "mend or take out these files, and add it again",
        )
    return found


def _card(name: str, model_id: str, licence: str, round_number: int, known: list[str], predictions: Path) -> ModelCard:
    return ModelCard(
        id=model_id,
        name=name,
        backend="precomputed",
        architecture="",
        strategy="",
        cohort="",
        parent="",
        params={
            "cases": len(list(predictions.iterdir())),
            "classes": known,
            "predictions": predictions_sha256(predictions),
        },
        licence=licence,
        round=round_number,
    )
