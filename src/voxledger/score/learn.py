"""Learning where errors are from what people judged in this round and those before, for the attention of the next.

Cases of the pool alone are learned from, and of these only classes that somebody accepted or revised. Those that were
drawn for the blind audit set probabilities and threshold; all others teach.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.bundles.reviewed import Reviewed, reviewed
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.imaging.volume import file_sha256
from voxledger.params import Params, ScoreParams
from voxledger.records.card import WEIGHTS, ModelCard, read_card, save_arrays, write_card
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.decisions import Decision
from voxledger.records.worklist import AUDIT, read_worklist
from voxledger.schema import LabelSchema
from voxledger.score.cells import FEATURES
from voxledger.score.error_model import DEPTH, TREES, ErrorModel, Numbers, learn_trees, platt, region_scores
from voxledger.score.judged_cells import (
    RIGHT,
    DrawnCells,
    Judged,
    all_judged,
    draw_cells,
    read_judged,
    teaching,
    write_judged,
)
from voxledger.score.ranks import OF_CLASS, read_ranks
from voxledger.score.scored_case import criteria_of

ENOUGH_CASES, ENOUGH_ERRORS = 10, 30
"""Cases with visible errors that models are in doubt of, and errors in them, from which trees are learned."""
MOST_CELLS = 1_000_000
"""Of all cases together; of more every second, third … is left out."""
Table = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Numbers]
CLASSES, RANKS = "classes", "ranks"
"""Entries of the card's `params`: names of the classes, in the order of their numbers; and into how many ranks values
were brought, which a model of before version 4 does not say, for it learned from values."""


def lacking(judged: Sequence[Judged]) -> str:
    """What is missing for a model of errors, in words; empty where nothing is."""
    found = [(one.case_id, one.in_question) for one in teaching(judged)]
    wrong, errors = {case_id for case_id, count in found if count}, sum(count for _, count in found)
    if len(wrong) >= ENOUGH_CASES and errors >= ENOUGH_ERRORS:
        return ""
    return (
        f"people have changed {errors} visible errors in {len(wrong)} cases so far, audits left out, and errors that "
        f"no model is in doubt of; at least {ENOUGH_ERRORS} in {ENOUGH_CASES} are learned from"
    )


def learn_round(cases: Sequence[Case], schema: LabelSchema, params: Params) -> str:
    """Write `layout.NEXT_ATTENTION`: judged cells of all rounds, and the model, if there are enough; returns its id.

    What was judged in the rounds before is carried on. Unless `score.attention` is `learned`, nothing is drawn of this
    round, and the model stays as it is.
    """
    shutil.rmtree(layout.NEXT_ATTENTION, ignore_errors=True)
    learned = params.score.attention == "learned"
    layout.NEXT_ATTENTION.mkdir(parents=True)
    before, after = (
        (layout.BASE_JUDGED_CELLS, layout.NEXT_JUDGED_CELLS)
        if learned
        else (layout.BASE_ATTENTION, layout.NEXT_ATTENTION)
    )
    if before.is_dir():
        shutil.copytree(before, after, dirs_exist_ok=True)
    if not learned:
        return ""
    _draw(cases, schema, params)
    judged = all_judged(layout.NEXT_JUDGED_CELLS, pool := in_split(cases, Split.POOL))
    if lacking(judged):
        return ""
    patients = {case.case_id: case.patient for case in pool}
    renamed = {name: schema.renamed(name) or "" for one in judged for name in one.errors}
    job = LearnErrors(
        name=layout.NEXT_ERROR_MODEL.name,
        judged=tuple(one.path for one in judged),
        classes=tuple(name for name in schema.names if name in renamed.values()),
        renamed=renamed,
        patients={one.case_id: patients[one.case_id] for one in judged},
        seed=params.score.seed,
    )
    (found,) = casemap([job], layout.NEXT_ERROR_MODEL, params.machine)
    return _write_card(job, found, params)


def _write_card(job: LearnErrors, learned: LearnedFrom, params: Params) -> str:
    """The card of the model beside its weights; returns its id."""
    digest = hashlib.sha256("".join(f"{p.name} {file_sha256(p)}\n" for p in job.judged).encode()).hexdigest()
    parent = read_card(layout.BASE_ERROR_MODEL).id if layout.BASE_ERROR_MODEL.is_dir() else ""
    card = ModelCard(
        id=file_sha256(layout.NEXT_ERROR_MODEL / WEIGHTS),
        name=job.name,
        backend="attention",
        architecture=f"gradient boosting, {TREES} trees of depth {DEPTH}",
        strategy="full",
        cohort=digest,
        parent=parent,
        params={
            CLASSES: list(job.classes),
            "features": list(FEATURES),
            "judged": len(job.judged),
            "cells": learned.cells,
            RANKS: OF_CLASS,
            "audited_patients": learned.audited_patients,
            "tolerance_mm": params.evaluate.error_tolerance_mm,
            "seed": job.seed,
        },
        licence=params.retrain.licence,
        round=params.round,
    )
    write_card(layout.NEXT_ERROR_MODEL, card)
    return card.id


def _draw(cases: Sequence[Case], schema: LabelSchema, params: Params) -> None:
    """Draw cells of the cases that were judged in this round."""
    audit = {row.case_id for row in read_worklist(layout.WORKLIST) if row.reason == AUDIT}
    images = {case.case_id: Path(case.image) for case in cases}
    jobs = [
        DrawCells(
            name=case.case_id,
            case=case,
            image=images[case.case_id],
            schema=schema,
            params=params.score,
            ranks=layout.CELL_RANKS,
            tolerance_mm=params.evaluate.error_tolerance_mm,
            audited=case.case_id in audit,
            round=params.round,
            seed=params.score.seed,
        )
        for case in reviewed(cases)
        if case.predictions
    ]
    if jobs:
        read_ranks(layout.CELL_RANKS)  # so that one error says what is wrong with them, not one a case
    casemap(jobs, layout.NEXT_JUDGED_CELLS, params.machine)


class DrawCells(Job[dict[str, int]]):
    """Cells of a case that was judged; gives its visible errors by class."""

    stage, algorithms = "learn", ("learn", "score")
    case: Reviewed = content()
    image: Path = content()
    schema: LabelSchema = content()
    params: ScoreParams = content(by=criteria_of)
    ranks: Path = content()
    tolerance_mm: float = content()
    audited: bool = content()
    round: int = content()
    seed: int = content()

    def compute(self, folder: Path) -> dict[str, int]:
        from voxledger.imaging import volume
        from voxledger.imaging.soft import open_soft
        from voxledger.score.attention import Attention
        from voxledger.score.cells import CaseCells

        predictions = [open_soft(path) for path in self.case.predictions.values()]
        grid = predictions[0].grid
        before, after = (volume.read_label(path, grid) for path in (self.case.before, self.case.after))
        case = CaseCells(predictions, before, volume.read(self.image).array, self.schema)
        decisions = self.case.decisions
        revised = {n: decisions[n] is Decision.REVISE for n in self.schema.names if n in decisions}
        attention = Attention(predictions, self.schema, self.params)
        seed = f"{self.seed}/{self.round}/{self.name}"
        ranks = read_ranks(self.ranks)
        errors, cells = draw_cells(case, attention, ranks, after, revised, self.tolerance_mm, seed, self.audited)
        path = folder / f"r{self.round:02d}-{self.name}.safetensors"
        write_judged(Judged(path, self.name, self.round, self.audited, errors), cells)
        return errors


@dataclass(frozen=True)
class LearnedFrom:
    """What a model of errors was learned from."""

    cells: int
    """Of the trees."""
    audited_patients: int
    """With errors, of all rounds."""


class LearnErrors(Job[LearnedFrom]):
    """The model of errors; gives what it was learned from."""

    stage, algorithms = "learn", ("learn",)
    judged: tuple[Path, ...] = content()
    classes: tuple[str, ...] = content()
    """Their places are their numbers."""
    renamed: dict[str, str] = content()
    """What every class that was judged is called today; empty where it was retired."""
    patients: dict[str, str] = content()
    """The patient of every case."""
    seed: int = content()

    def compute(self, folder: Path) -> LearnedFrom:
        from voxledger.score.error_model import tensors_of

        judged = [one for path in self.judged if (one := read_judged(path))]
        model, cells = learn_errors(judged, self.classes, self.renamed, self.patients, self.seed)
        save_arrays(folder, tensors_of(model))
        return LearnedFrom(cells, len(np.unique(model.audited)))


def learn_errors(
    judged: Sequence[Judged],
    classes: Sequence[str],
    renamed: Mapping[str, str],
    patients: Mapping[str, str],
    seed: int,
) -> tuple[ErrorModel, int]:
    """The model of errors, and how many cells its trees were learned from; see `LearnErrors`."""
    numbers = {name: classes.index(new) if new in classes else -1 for name, new in renamed.items()}
    taught, audited = teaching(judged), [one for one in judged if one.audited]
    model = learn_trees(*(table := _table(taught, numbers)), seed)
    if audited:
        rows, wrong, weight = _table(audited, numbers)
        model = replace(model, platt=platt(model.scores(rows), wrong, weight))
    found, ids = [_found_at(one, model, numbers) for one in audited], sorted({patients[one.case_id] for one in audited})
    counts = [one.count for one in audited]
    return replace(
        model,
        audited=np.repeat(np.array([ids.index(patients[one.case_id]) for one in audited], np.int32), counts),
        round=np.repeat(np.array([one.round for one in audited], np.int32), counts),
        found_at=np.concatenate([np.zeros(0), *found]),
    ), len(table[0])


def _table(judged: Sequence[Judged], numbers: Mapping[str, int]) -> Table:
    """Cells of these cases, whether they are wrong, and weights: all classes of all cases weigh alike.

    Of more than `MOST_CELLS` every second, third … is taken.
    """
    step = 1 + sum(len(one.cells().error) for one in judged) // MOST_CELLS
    rows, wrong, weight = [], [], []
    for one in judged:
        cells = one.cells()
        features = _numbered(one, cells, numbers)[::step].copy()  # a view would keep what is left out
        share = np.bincount(cells.features[:, -1].astype(np.intp), cells.weight, len(one.errors))
        rows.append(features)
        wrong.append(cells.error[::step] > 0)
        weight.append((RIGHT * cells.weight / share[cells.features[:, -1].astype(np.intp)])[::step])
    return np.concatenate(rows), np.concatenate(wrong), np.concatenate(weight).astype(np.float64)


def _numbered(one: Judged, cells: DrawnCells, numbers: Mapping[str, int]) -> npt.NDArray[np.float32]:
    """Features with the numbers that classes have in the model."""
    features = cells.features.copy()
    features[:, -1] = np.array([numbers[name] for name in one.errors], np.float32)[features[:, -1].astype(np.intp)]
    return features


def _found_at(one: Judged, model: ErrorModel, numbers: Mapping[str, int]) -> Numbers:
    """The highest score of a region in every error of a case; −∞ where no voxel of it is in question."""
    cells = one.cells()
    scores, found = model.scores(_numbered(one, cells, numbers)), np.full(one.count + 1, -np.inf)
    for number in range(len(one.errors)):
        of_class = cells.features[:, -1] == number
        region = region_scores(cells.place[of_class], scores[of_class], cells.asked[of_class])
        np.maximum.at(found, cells.error[of_class], region)
    return found[1:]
