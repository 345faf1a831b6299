"""What emulated readers make of a pool of `benchmarks/pools.py`: cases as they are scored, and each review of one.

Signs and attention are those of the score stage, readers those of `voxledger review emulate`: they know the reference,
accept a mask from Dice 0.9 on, and correct every voxel that they see. Learned attention is learned in one arm from what
its reader corrected in the batches before, and its threshold is set on cases drawn blindly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pools import Pool, Proposed, patient

from voxledger.params import Params, ScoreParams
from voxledger.records.emulated import Looks
from voxledger.records.mask_quality import JudgedMask, MaskQuality, Signs
from voxledger.schema import LabelClass, LabelSchema
from voxledger.score.quality import QualityModel, expected_minutes
from voxledger.score.table import CaseScore, ClassScore

BOUND = 0.9
SCORE = ScoreParams(opening=0)
AGAIN = 1.5
"""Learned attention is learned anew from so many times as many cases."""


@dataclass(frozen=True)
class Mask:
    """One class of one case: what is known before anybody looks, and how right it is."""

    signs: Signs
    dice: float
    error_ml: float
    path_share: float


@dataclass(frozen=True)
class Review:
    """What a reader did to a case. By class: Dice to the reference afterwards, and Dice, ml and path of the change."""

    looks: float
    drawing_minutes: float
    dice: Mapping[str, float]
    changed: Mapping[str, tuple[float, float, float]]

    def minutes(self, looking: float) -> float:
        """By the minutes of a look."""
        return looking * self.looks + self.drawing_minutes


@dataclass(frozen=True)
class Case:
    """A case of a pool, and what both readers make of it with the published attention."""

    case_id: str
    kind: str
    masks: Mapping[str, Mask]
    reviews: Mapping[str, Review]

    def judged(self, review: Review, blind: bool = False) -> list[JudgedMask]:
        """Its masks as this review left them."""
        return [
            JudgedMask(0, MaskQuality(self.case_id, name, self.masks[name].signs, None), blind, *review.changed[name])
            for name in self.masks
        ]

    def truly(self, blind: bool = False) -> list[JudgedMask]:
        """Its masks as somebody would leave them who accepts nothing that is not right."""
        return [
            JudgedMask(0, MaskQuality(self.case_id, n, m.signs, None), blind, m.dice, m.error_ml, m.path_share)
            for n, m in self.masks.items()
        ]

    def scored(self, model: QualityModel | None, scratch_minutes: float) -> CaseScore:
        """As acquisition functions see it."""
        scores = tuple(ClassScore(self.case_id, n, **asdict(m.signs), trusted=False) for n, m in self.masks.items())
        if model is None:
            return CaseScore(self.case_id, scores)
        quality = {n: q for n, m in self.masks.items() if (q := model.predict(n, m.signs)) is not None}
        minutes = {n: expected_minutes(q, scratch_minutes, len(self.masks)) for n, q in quality.items()}
        return CaseScore(self.case_id, scores, quality=quality, minutes=minutes)


def schema_of(pool: Pool) -> LabelSchema:
    """Its classes, numbered from 1."""
    return LabelSchema(name="pool", classes=tuple(LabelClass(id=i, name=n) for i, n in enumerate(pool.classes, 1)))


def labels_of(case: Proposed, schema: LabelSchema) -> np.ndarray:
    """What is proposed: ids (z, y, x) where the mean of the networks is above a half."""
    from voxledger.imaging.soft import ensemble_mean

    labels = np.zeros(case.truth.shape, np.uint8)
    for one in schema.classes:
        labels[ensemble_mean(case.soft, one.name) > 0.5] = one.id
    return labels


def pointed_of(found: Sequence[Any], schema: LabelSchema, shape: tuple[int, ...]) -> np.ndarray:
    """Ids (z, y, x) of the classes that attention lies on."""
    pointed = np.zeros(shape, np.uint8)
    for one in found:
        if one.box is not None:
            pointed[one.box][one.bits != 0] = schema[one.name].id
    return pointed


def read(
    case: Proposed, schema: LabelSchema, labels: np.ndarray, pointed: np.ndarray, looks: Looks, scratch_minutes: float
) -> tuple[Review, np.ndarray]:
    """A review, and the label map that it leaves."""
    from voxledger.imaging.volume import Volume
    from voxledger.review.by_reference import ByReference
    from voxledger.review.emulate import Shown, dice

    params = Params.model_validate({"score": {"scratch_minutes": scratch_minutes}})
    reader, names = ByReference(BOUND, looks=looks, params=params), schema.names
    after = reader.read(
        Shown(case.case_id, schema, Path(), Volume(labels, case.grid), case.truth, pointed, names)
    ).labels
    changed = {}
    for one in reader.masks:
        was, became = (schema.mask(m, one.class_name) for m in (labels, after))
        ml = int(np.count_nonzero(was != became)) * case.grid.voxel_ml
        share = one.added_path_mm / one.path_mm if one.path_mm else 0.0
        changed[one.class_name] = (dice(was, became), ml, min(1.0, share))
    masks = reader.masks
    drawn = sum(m.drawing_minutes for m in masks)
    return Review(sum(m.looks for m in masks), drawn, {m.class_name: m.dice for m in masks}, changed), after


def measure(case: Proposed, schema: LabelSchema, scratch_minutes: float) -> Case:
    """Score a case, and let both readers read."""
    from voxledger.evaluate.comparison import compare
    from voxledger.evaluate.metrics.added_path_percent import added_path_percent
    from voxledger.imaging.attention_file import PUBLISHED
    from voxledger.params import EvaluateParams
    from voxledger.review.emulate import dice
    from voxledger.score.attention import Attention

    attention, ml, labels = Attention(case.soft, schema, SCORE), case.grid.voxel_ml, labels_of(case, schema)
    found, masks = [attention[name] for name in schema.names], {}
    whole = tuple(slice(0, n) for n in case.truth.shape)
    for one in found:
        proposed, truth = schema.mask(labels, one.name), schema.mask(case.truth, one.name)
        agree = dice(*(soft.read(one.name, whole) > 0.5 for soft in case.soft))
        volumes = [v * ml for v in (one.attention, *(one.voxels[c] for c in PUBLISHED), one.predicted)]
        signs = Signs(len(case.soft), *volumes, one.entropy / labels.size, agree)
        path = added_path_percent(compare(truth, proposed, case.grid.spacing), EvaluateParams()) / 100
        wrong = int(np.count_nonzero(proposed != truth)) * ml
        masks[one.name] = Mask(signs, dice(proposed, truth), wrong, 0.0 if np.isnan(path) else path)
    pointed = pointed_of(found, schema, labels.shape)
    reviews = {looks.value: read(case, schema, labels, pointed, looks, scratch_minutes)[0] for looks in Looks}
    return Case(case.case_id, case.kind, masks, reviews)


class Scored:
    """A pool as the score stage sees it; what takes long is done once a case."""

    def __init__(self, pool: Pool, cases: Sequence[Proposed], scratch_minutes: float) -> None:
        self.schema, self.scratch_minutes = schema_of(pool), scratch_minutes
        self._cases = {case.case_id: case for case in cases}
        self._labels = {case.case_id: labels_of(case, self.schema) for case in cases}
        self._published: dict[str, Any] = {}
        self._cells: dict[str, Any] = {}
        self._ranks: Any = None

    def __getitem__(self, case_id: str) -> Proposed:
        return self._cases[case_id]

    def published(self, case_id: str) -> Any:
        """Attention of the published criteria."""
        from voxledger.score.attention import Attention

        if case_id not in self._published:
            self._published[case_id] = Attention(self[case_id].soft, self.schema, SCORE)
        return self._published[case_id]

    def cells(self, case_id: str) -> Any:
        """What learned attention knows of the cells."""
        from voxledger.score.cells import CaseCells, Cells

        class Kept(CaseCells):
            def of(self, published: Any, number: int) -> Cells | None:
                key = (published.name, number)
                if key not in kept:
                    kept[key] = super().of(published, number)
                return kept[key]

        if case_id not in self._cells:
            kept: dict[tuple[str, int], Cells | None] = {}
            case = self[case_id]
            self._cells[case_id] = Kept(case.soft, self._labels[case_id], case.image, self.schema)
        return self._cells[case_id]

    @property
    def ranks(self) -> Any:
        """What values of cells come to among those of the pool."""
        from voxledger.score.ranks import MOST_CASES, quantiles, ranks_of

        if self._ranks is None:
            ids = sorted(self._cases)
            drawn = sorted(np.random.default_rng(0).permutation(len(ids))[:MOST_CASES].tolist())
            found = []
            for case_id in (ids[number] for number in drawn):
                cells = {
                    n: self.cells(case_id).of(self.published(case_id)[n], i) for i, n in enumerate(self.schema.names)
                }
                found.append({n: quantiles(one.features).tolist() for n, one in cells.items() if one is not None})
            self._ranks = ranks_of(found)
        return self._ranks

    def read(self, case_id: str, found: Sequence[Any], looks: Looks) -> tuple[Review, np.ndarray]:
        """A review by a reader whom this attention points, and the label map that it leaves."""
        labels = self._labels[case_id]
        pointed = pointed_of(found, self.schema, labels.shape)
        return read(self[case_id], self.schema, labels, pointed, looks, self.scratch_minutes)


class LearnedAttention:
    """What one reader's corrections taught so far about where errors are."""

    def __init__(self, pool: Scored, seed: int, folder: Path) -> None:
        self._pool, self._seed, self._folder = pool, seed, folder
        self._judged: list[Any] = []
        self._found: dict[str, list[Any]] = {}
        self._model: Any = None
        self._threshold: float | None = None
        self._learned_from = 0

    @property
    def told(self) -> bool:
        """Whether there is a model with a threshold; until then published criteria point."""
        return self._threshold is not None

    def learn(self) -> None:
        """From all that was read so far, once that is half as much again as what was learned from last."""
        from voxledger.score.judged_cells import apart
        from voxledger.score.learn import lacking, learn_errors

        patients = {one.case_id: patient(one.case_id) for one in self._judged}
        judged = apart(self._judged, patients)
        if lacking(judged) or (self.told and len(self._judged) < AGAIN * self._learned_from):
            return
        self._learned_from = len(self._judged)
        names = self._pool.schema.names
        self._model, _ = learn_errors(judged, names, {name: name for name in names}, patients, self._seed)
        self._threshold = self._model.threshold(SCORE.miss)
        self._found.clear()

    def attention(self, case_id: str) -> list[Any]:
        """Attention of a case, class by class."""
        if case_id not in self._found:
            self._found[case_id] = self._attention(case_id)
        return self._found[case_id]

    def _attention(self, case_id: str) -> list[Any]:
        from voxledger.score.learned import attend_learned

        published, names = self._pool.published(case_id), self._pool.schema.names
        if self._threshold is None:
            return [published[name] for name in names]
        cells, ranks = self._pool.cells(case_id), self._pool.ranks
        return list(attend_learned(cells, published, ranks, self._model, names, self._threshold)[1])

    def scored(self, case: Case) -> CaseScore:
        """As acquisition functions see it, with this attention."""
        ml = self._pool[case.case_id].grid.voxel_ml
        found = {one.name: one.attention * ml for one in self.attention(case.case_id)}
        score = case.scored(None, self._pool.scratch_minutes)
        return replace(score, classes=tuple(replace(c, attention_ml=found[c.class_name]) for c in score.classes))

    def read(self, case_id: str, looks: Looks, turn: int, blind: bool) -> Review:
        """Let a case be read, and keep what it teaches."""
        from voxledger.score.judged_cells import Judged, draw_cells, write_judged

        # A case of the blind audit is looked at whole: what attention misses has to show.
        review, after = self._pool.read(case_id, self.attention(case_id), Looks.EVERYWHERE if blind else looks)
        revised = {name: ml > 0 for name, (_, ml, _) in review.changed.items()}
        tolerance, seed = Params().evaluate.error_tolerance_mm, f"{self._seed}/{turn}/{case_id}"
        cells, published = self._pool.cells(case_id), self._pool.published(case_id)
        errors, drawn = draw_cells(cells, published, self._pool.ranks, after, revised, tolerance, seed, blind)
        judged = Judged(self._folder / f"r{turn:02d}-{case_id}.safetensors", case_id, turn, blind, errors)
        write_judged(judged, drawn)
        self._judged.append(judged)
        return review
