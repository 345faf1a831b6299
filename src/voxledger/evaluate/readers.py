"""What the readers of a round made of its cases: how far they agree, and what their minutes went into.

Reader against reader and against every model, class by class, as in AbdomenAtlas-8K (Figure 6): Dice, the mean
distance of the two surfaces and their Hausdorff distance at 95 %, in mm. On what they decided, Krippendorff's alpha.
Minutes are compared with the length of the contours that were drawn for them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.casemap.run import casemap
from voxledger.evaluate.cost import cost_metrics, drawn_rows, emulated_of, fit_metrics, left_metrics
from voxledger.evaluate.flow import flow, flow_section
from voxledger.evaluate.reader_measures import Contour, MeasureReaders, Pair, Returned
from voxledger.evaluate.readers_section import readers_section
from voxledger.evaluate.weak import by_fit, fates, origins, weak_section
from voxledger.krippendorff import nominal_alpha
from voxledger.models.model import open_models
from voxledger.params import Params
from voxledger.records.bundle import LABELS
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.decisions import Decision
from voxledger.records.drawn import read_drawn, write_drawn
from voxledger.records.emulated import Emulated
from voxledger.records.ledger import read_ledger
from voxledger.records.predicted import read_predicted
from voxledger.records.readings import Outcome, Reading, read_readings
from voxledger.schema import LabelSchema
from voxledger.textfile import fixed, replace_text, write_table
from voxledger.weak.decisions import read_weak_decisions

COLUMNS = ["case_id", "class_name", "reader", "other", "kind", "dice", "mean_surface_mm", "hd95_mm"]

MOST_COLUMNS = 12
"""With more pairs of names the chart does not tell readers apart; the table has every pair."""


def readers_of_round(cases: Sequence[Case], schema: LabelSchema, params: Params, predictions: Path) -> list[Reading]:
    """Write `layout.READERS` (metrics), `layout.READER_PAIRS`, `layout.DRAWN` and the section of the report.

    Returns the readings of the round.

    Parameters
    ----------
    cases
        All cases; those of the pool are looked at.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`.

    Raises
    ------
    CasesFailed
        Names every case of which a return cannot be read again.
    """
    of_all_rounds = read_readings(layout.RELEASE_READINGS)
    readings = [r for r in of_all_rounds if r.version == params.round]
    jobs = [
        job
        for case in in_split(cases, Split.POOL)
        if (own := [r for r in readings if r.case_id == case.case_id])
        for job in [_job(case, own, schema, params, predictions)]
    ]
    measured = dict(zip((job.name for job in jobs), casemap(jobs, layout.REPORTS, params.machine), strict=True))
    pairs = {case_id: found.pairs for case_id, found in measured.items()}
    drawn = {case_id: found.drawn for case_id, found in measured.items()}
    write_table(layout.READER_PAIRS, COLUMNS, _rows(pairs))
    went, emulated = flow(of_all_rounds, schema), emulated_of(readings)
    metrics = {
        "round": params.round,
        "agreement": _agreement(readings, pairs, schema),
        "minutes": _minutes(readings, drawn, emulated),
        **_cost(readings, drawn, emulated, params),
        "flow": went,
    }
    replace_text(layout.READERS, json.dumps(metrics, indent=2) + "\n")
    points = _timed(readings, drawn)
    mean_dice = _mean_dice(pairs, schema)
    section = readers_section(metrics, points, mean_dice, params)
    replace_text(layout.READERS_SECTION, section + flow_section(went) + _origins_section(cases, schema, readings))
    return readings


def _cost(
    readings: Sequence[Reading],
    drawn: Mapping[str, Sequence[Contour]],
    emulated: Mapping[str, Emulated],
    params: Params,
) -> dict[str, Any]:
    """Write `layout.DRAWN`; gives what the round cost, what people's minutes fit to, and what emulated readers left."""
    rows = drawn_rows(readings, drawn, emulated)
    history = [*read_drawn(layout.BASE_DRAWN), *rows]
    write_drawn(layout.DRAWN, history)
    prices = params.evaluate.looking_minutes, params.score.scratch_minutes
    return {
        "cost": cost_metrics(rows, *prices),
        "cost_so_far": cost_metrics(history, *prices),
        "fit": fit_metrics(history),
        "emulated": left_metrics(emulated),
    }


def _origins_section(cases: Sequence[Case], schema: LabelSchema, readings: Sequence[Reading]) -> str:
    """What the masks of the round were predicted from, and what became of them."""
    regional = [model.card.id for model in open_models(layout.BASE_MODELS, schema) if model.region is not None]
    of = origins(cases, read_predicted(layout.PREDICTED), regional, read_ledger(layout.BASE_LEDGER))
    weak = read_weak_decisions(layout.WEAK_LOG)
    return weak_section(fates(of, weak, readings), by_fit(of, weak, readings))


def blinded(reading: Reading) -> bool:
    """Whether a reader said this without knowing of others: an adjudicator saw what they had said."""
    return not (reading.consensus and reading.outcome is Outcome.COUNTED)


def _job(
    case: Case, readings: Sequence[Reading], schema: LabelSchema, params: Params, predictions: Path
) -> MeasureReaders:
    bundles = list(dict.fromkeys(reading.bundle for reading in readings))
    several = any(reading.consensus for reading in readings)
    models = {p.parent.name: p for p in sorted(predictions.glob(f"*/{case.case_id}.b2nd"))} if several else {}
    returned = []
    for bundle in bundles:
        own = [reading for reading in readings if reading.bundle == bundle]
        rows = {reading.class_name: reading.decision for reading in own}
        compared = tuple(r.class_name for r in own if r.consensus and blinded(r))
        folder = layout.RELEASE_REVISIONS / bundle
        returned.append(Returned(own[0].reader, bundle, rows, compared, folder))
    return MeasureReaders(
        name=case.case_id,
        image_sha256=case.sha256,
        shown=_shown(case.case_id),
        sent=_shown(case.case_id).parents[1],
        returned=tuple(returned),
        predictions=models,
        outside=params.review.outside,
        tolerance_mm=params.evaluate.path_tolerance_mm,
        label_schema=schema,
    )


def _shown(case_id: str) -> Path:
    """What all readers of a case were sent: the label in the first bundle that has it."""
    return next(iter(sorted(layout.BUNDLES.glob(f"bundle-*/{layout.label_map(Path(LABELS), case_id)}"))))


def _rows(pairs: Mapping[str, Sequence[Pair]]) -> Iterable[dict[str, str]]:
    for case_id, found in pairs.items():
        for one in found:
            yield {
                "case_id": case_id,
                "class_name": one.class_name,
                "reader": one.reader,
                "other": one.other,
                "kind": one.kind,
                "dice": fixed(one.dice, 4),
                "mean_surface_mm": fixed(one.mean_surface_mm, 3),
                "hd95_mm": fixed(one.hd95_mm, 3),
            }


def _agreement(readings: Sequence[Reading], pairs: Mapping[str, Sequence[Pair]], schema: LabelSchema) -> dict[str, Any]:
    """Of the cases that several people read: alpha of their decisions, and the mean of what was measured, by class."""
    several = [reading for reading in readings if reading.consensus]
    of_class = {name: [r for r in several if r.class_name == name] for name in schema.names}
    measured = [one for found in pairs.values() for one in found]
    return {
        "cases": len({reading.case_id for reading in several}),
        **_decisions(several),
        "classes": {
            name: {
                **_decisions(found),
                "readers": _means([p for p in measured if p.class_name == name and p.kind == "reader"]),
                "models": {
                    model: _means([p for p in measured if (p.class_name, p.kind, p.other) == (name, "model", model)])
                    for model in sorted({p.other for p in measured if p.class_name == name and p.kind == "model"})
                },
            }
            for name, found in of_class.items()
            if found
        },
    }


def _decisions(readings: Sequence[Reading]) -> dict[str, Any]:
    """How often readers decided alike, and what became of it."""
    units: dict[tuple[str, str], list[Decision]] = {}
    outcomes: dict[tuple[str, str], set[Outcome]] = {}
    for reading in readings:
        outcomes.setdefault(reading.key, set()).add(reading.outcome)
        if blinded(reading):
            units.setdefault(reading.key, []).append(reading.decision)
    alpha = nominal_alpha(units.values())
    return {
        "alpha": None if math.isnan(alpha) else round(alpha, 4),
        "masks": len(units),
        "decided_alike": sum(len(set(said)) == 1 for said in units.values()),
        "pending": sum(Outcome.PENDING in found for found in outcomes.values()),
        "adjudicated": sum(Outcome.OVERRULED in found for found in outcomes.values()),
    }


def _means(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Means over pairs; distances over those pairs in which both masks have a surface."""
    found: dict[str, Any] = {"pairs": len(pairs), "one_empty": sum(math.isinf(pair.hd95_mm) for pair in pairs)}
    for name, decimals in (("dice", 4), ("mean_surface_mm", 3), ("hd95_mm", 3)):
        values = [v for pair in pairs if math.isfinite(v := getattr(pair, name))]
        found[name] = round(sum(values) / len(values), decimals) if values else None
    lowest = min((pair.dice for pair in pairs if math.isfinite(pair.dice)), default=None)
    return {**found, "lowest_dice": None if lowest is None else round(lowest, 4)}


def _mean_dice(pairs: Mapping[str, Sequence[Pair]], schema: LabelSchema) -> dict[str, dict[str, float]]:
    """Mean Dice by class and pair of names, those of readers first; of too many readers all together."""
    measured = [one for found in pairs.values() for one in found]
    short = len({(one.reader, one.other) for one in measured}) > MOST_COLUMNS
    values: dict[tuple[str, str, str], list[float]] = {}
    for one in measured:
        pair = f"{one.reader}, {one.other}"
        if short:
            pair = "two readers" if one.kind == "reader" else f"readers, {one.other}"
        values.setdefault((one.class_name, one.kind, pair), []).append(one.dice)
    order = {name: i for i, name in enumerate(schema.names)}
    means: dict[str, dict[str, float]] = {}
    for name, kind, pair in sorted(values, key=lambda key: (order[key[0]], key[1] != "reader", key[2])):
        of_pair = values[name, kind, pair]
        means.setdefault(name, {})[pair] = sum(of_pair) / len(of_pair)
    return means


def _timed(readings: Sequence[Reading], drawn: Mapping[str, Sequence[Contour]]) -> dict[str, list[tuple[float, float]]]:
    """Millimetres that were drawn and minutes, by reader, of every revised class of which both are known."""
    mm = {(case_id, d.class_name, d.bundle): d.added_mm for case_id, found in drawn.items() for d in found}
    points: dict[str, list[tuple[float, float]]] = {}
    for reading in readings:
        length = mm.get((*reading.key, reading.bundle))
        if length is not None and reading.minutes is not None and reading.decision is Decision.REVISE:
            points.setdefault(reading.reader, []).append((length, reading.minutes))
    return dict(sorted(points.items()))


def _minutes(
    readings: Sequence[Reading], drawn: Mapping[str, Sequence[Contour]], emulated: Mapping[str, Emulated]
) -> dict[str, Any]:
    """By reader: decisions, minutes, and of the revised classes that give minutes the length that was drawn."""
    points, found = _timed(readings, drawn), {}
    played = {(mask.case_id, mask.class_name, bundle) for bundle, one in emulated.items() for mask in one.masks}
    for name in sorted({reading.reader for reading in readings}):
        own = [reading for reading in readings if reading.reader == name]
        known = [reading.minutes for reading in own if reading.minutes is not None]
        of_revised = points.get(name, [])
        mm, minutes = sum(x for x, _ in of_revised), sum(y for _, y in of_revised)
        found[name] = {
            "decisions": len(own),
            "emulated": sum((*reading.key, reading.bundle) in played for reading in own),
            "timed": len(known),
            "minutes": round(sum(known), 2),
            "revised_timed": len(of_revised),
            "revised_minutes": round(minutes, 2),
            "added_path_mm": round(mm, 1),
            "minutes_per_metre": round(1000 * minutes / mm, 3) if mm else None,
            "correlation": _correlation(of_revised),
        }
    return found


def _correlation(points: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's, of at least three points; None where one of the two does not vary."""
    import numpy as np

    values = np.array(points, np.float64).reshape(-1, 2)
    if len(values) < 3 or bool(np.any(np.ptp(values, axis=0) == 0)):
        return None
    return round(float(np.corrcoef(values[:, 0], values[:, 1])[0, 1]), 3)
