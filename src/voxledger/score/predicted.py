"""The quality of all masks of a round, predicted and written down, and what it says of the cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from voxledger import layout
from voxledger.params import Params
from voxledger.records.cases import Case
from voxledger.records.mask_quality import JudgedMask, MaskQuality, Signs, write_predicted
from voxledger.schema import LabelSchema
from voxledger.score.quality import QualityModel, expected_minutes, learn, nothing_learned, predict
from voxledger.score.table import CaseScore, ClassScore
from voxledger.textfile import replace_text


def of_pool(judged: Sequence[JudgedMask], pool: Sequence[Case], schema: LabelSchema) -> list[JudgedMask]:
    """Judged masks of cases of the pool, by today's names of their classes; those of retired classes are left out."""
    ids = {case.case_id for case in pool}
    return [
        replace(one, mask=replace(one.mask, class_name=name))
        for one in judged
        if one.mask.case_id in ids and (name := schema.renamed(one.mask.class_name))
    ]


def predict_round(
    judged: Sequence[JudgedMask],
    scores: Sequence[ClassScore],
    patients: Mapping[str, str],
    schema: LabelSchema,
    params: Params,
) -> tuple[QualityModel | None, list[MaskQuality]]:
    """Write `layout.QUALITY_MODEL` and `layout.QUALITY`; gives what was learned, and every mask that models proposed.

    Without `score.quality` both are empty.

    Parameters
    ----------
    judged
        From `of_pool`, of earlier rounds.
    scores
        Of every class of every case of the pool; masks that people stand behind are left out.
    patients
        By case.
    """
    model: QualityModel | None = None
    masks: list[MaskQuality] = []
    if params.score.quality:
        model = learn(judged, schema.names, patients)
        masks = predict(model, [(s.case_id, s.class_name, _signs(s)) for s in scores if s.models and not s.trusted])
    record = nothing_learned(judged) if model is None else model.record()
    replace_text(layout.QUALITY_MODEL, json.dumps(record, indent=2) + "\n")
    write_predicted(layout.QUALITY, masks)
    return model, masks


def with_quality(
    cases: Sequence[CaseScore], masks: Sequence[MaskQuality], schema: LabelSchema, params: Params
) -> list[CaseScore]:
    """Cases with what is predicted of their masks, and the minutes that they are expected to take."""
    found = {(mask.case_id, mask.class_name): mask.quality for mask in masks if mask.quality is not None}
    prices = params.score.scratch_minutes, len(schema.names)
    quality = {
        case.case_id: {s.class_name: q for s in case.classes if (q := found.get((case.case_id, s.class_name)))}
        for case in cases
    }
    return [
        replace(case, quality=of, minutes={name: expected_minutes(q, *prices) for name, q in of.items()})
        for case in cases
        for of in [quality[case.case_id]]
    ]


def _signs(score: ClassScore) -> Signs:
    return Signs(*(getattr(score, field.name) for field in fields(Signs)))
