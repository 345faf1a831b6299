"""Evaluate a round: from soft predictions and reference labels to metrics, tables, plots and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxledger import layout
from voxledger.audit import Audit
from voxledger.casemap.once import files_of, once
from voxledger.casemap.run import casemap, compute_ahead
from voxledger.errors import Misuse
from voxledger.evaluate.case_metrics import Generation, Measure
from voxledger.evaluate.changes import changes
from voxledger.evaluate.clicked import Clicking, clicking
from voxledger.evaluate.cost import emulated_of
from voxledger.evaluate.effort import Effort, effort
from voxledger.evaluate.history import minutes_before, round_rows, untimed_before
from voxledger.evaluate.ladder_section import ladder_section
from voxledger.evaluate.metric import all_metrics, averaged
from voxledger.evaluate.quality import judge_masks
from voxledger.evaluate.report import Report, render
from voxledger.evaluate.summary import TEST, Gain, ModelSummary, Row, gains, summarise
from voxledger.evaluate.transfer import Transfer, transfer_section, transfers
from voxledger.evaluate.worst import PNG, Draw, Picture, worst_rows
from voxledger.knowledge import trusted
from voxledger.models.cohort import Member, build_cohort
from voxledger.models.model import Model
from voxledger.params import MachineParams, Params
from voxledger.records.card import ENSEMBLE, list_models
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.decisions import Decided
from voxledger.records.drawn import read_drawn
from voxledger.records.history import HistoryRow, has_dice, read_history, write_history, written
from voxledger.records.ledger import Ledger, read_ledger
from voxledger.records.readings import Reading, read_readings
from voxledger.registry import METRICS
from voxledger.schema import LabelSchema
from voxledger.statistics import Interval
from voxledger.textfile import fixed, read_text, replace_text, write_table

Predictions = dict[Generation, dict[str, Path]]
"""Soft predictions of one case by generation and model."""


@dataclass(frozen=True)
class References:
    """Cases that models are judged on, and by which classes."""

    cases: dict[str, Case]
    """By id."""
    classes: dict[str, list[str]]
    """Classes whose base label people stand behind, by case."""
    unjudged: list[str]
    """Test and external cases without any."""


def references(cases: Sequence[Case], schema: LabelSchema, ledger: Ledger) -> References:
    """Test and external cases with a base label that the base ledger trusts in some class."""
    judged, classes, unjudged = {}, {}, []
    for case in in_split(cases, Split.TEST, Split.EXTERNAL):
        known = [name for name in schema.names if trusted(ledger, case.case_id, name)]
        if known and _label(case).is_file():
            judged[case.case_id] = case
            classes[case.case_id] = known
        else:
            unjudged.append(case.case_id)
    return References(judged, classes, unjudged)


def evaluate_round(
    cases: Sequence[Case],
    schema: LabelSchema,
    params: Params,
    predictions: Mapping[Generation, Sequence[Path]],
    decisions: Sequence[Decided | Reading],
    *,
    audit: Audit | None = None,
    sections: Sequence[Path] = (),
    not_found: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Judge the models before and after a round on the test split and each external source, and report it.

    Writes metrics, tables, plots and the report, see `voxledger.layout`. Reads labels, ledgers and readings.

    Parameters
    ----------
    cases
        All cases of the repository.
    predictions
        Folders that hold `<model>/<case>.b2nd`, by generation. A model is judged on the cases that it predicted.
    decisions, audit
        What people decided in this round, each reader alone, and what its blind audit found, for the history.
    sections
        Files with HTML fragments of other stages, put into the report in the order of their names.
    not_found
        Organs that next models of a region did not find, by case.

    Raises
    ------
    CasesFailed
        Names every case that could not be measured, such as one whose prediction belongs to another image.
    """
    before, after = read_ledger(layout.BASE_LEDGER), read_ledger(layout.RELEASE_LEDGER)
    judged = references(cases, schema, before)
    rows, found = measure_models(judged, schema, params, predictions)
    resampled = (params.evaluate.bootstrap, params.evaluate.seed, {n: c.patient for n, c in judged.cases.items()})
    summaries, gained = summarise(rows, schema.names, *resampled), gains(rows, schema.names, *resampled)
    started = _started_from_others(rows, judged.cases, _cohort(cases, after, schema), schema, params)
    past, cost, clicks = _cost(decisions, cases, schema, after, params)
    report = Report(
        dataset=params.dataset,
        round=params.round,
        evaluate=params.evaluate,
        scratch_minutes=params.score.scratch_minutes,
        summaries=summaries,
        gains=gained,
        history=[*past, *round_rows(params.round, summaries, cost, audit, gained)],
        effort=cost,
        clicking=clicks,
        emulated_minutes=_emulated_minutes(decisions),
        changes=changes(before, after, schema.names),
        decisions=decisions,
        pool=sum(case.split is Split.POOL for case in cases),
        pictures=_pictures(rows, judged.cases, found, schema, params.machine),
        unjudged=sorted([*judged.unjudged, *(case for case, paths in found.items() if not paths)]),
        not_found=not_found,
        sections=[text for text in (transfer_section(started), *_texts(sections, cases, schema, params)) if text],
    )
    _write(report, rows, started)


def _cohort(cases: Sequence[Case], after: Ledger, schema: LabelSchema) -> list[Member]:
    """What the next models could learn from."""
    return build_cohort(cases, after, schema, read_readings(layout.RELEASE_READINGS))


def _started_from_others(
    rows: Sequence[Row], judged: Mapping[str, Case], cohort: Sequence[Member], schema: LabelSchema, params: Params
) -> list[Transfer]:
    """Next models that started from a base model of another name, and how they compare with it."""
    base = [Model(layout.BASE_MODELS / card.name, card, schema) for card in list_models(layout.BASE_MODELS)]
    after = list_models(layout.NEXT_MODELS)
    resampling = params.evaluate.bootstrap, params.evaluate.seed
    return transfers(rows, base, after, judged, cohort, schema.names, *resampling)


def _texts(sections: Sequence[Path], cases: Sequence[Case], schema: LabelSchema, params: Params) -> list[str]:
    """What was learned of revised classes, whether predicted quality was right, and what other stages have to say."""
    learned = ladder_section(list_models(layout.NEXT_MODELS), params.round)
    return [
        learned,
        judge_masks(cases, schema, params),
        *(read_text(path) for path in sorted(sections, key=lambda p: p.name)),
    ]


def measure_models(
    judged: References, schema: LabelSchema, params: Params, predictions: Mapping[Generation, Sequence[Path]]
) -> tuple[list[Row], dict[str, Predictions]]:
    """Metrics of every case, class, generation and model, through the memo, and the predictions of every case.

    Parameters
    ----------
    predictions
        As for `evaluate_round`.
    """
    models = _models(predictions)
    found = {case_id: _find(case_id, predictions, models) for case_id in judged.cases}
    return _measure(judged, found, models, schema, params), found


def _cost(
    decisions: Sequence[Decided | Reading], cases: Sequence[Case], schema: LabelSchema, after: Ledger, params: Params
) -> tuple[list[HistoryRow], Effort, Clicking | None]:
    """What rounds before were like, what people took in this one, and what was clicked."""
    past, pool = read_history(layout.BASE_HISTORY), [case.case_id for case in in_split(cases, Split.POOL)]
    before_it = minutes_before(past), untimed_before(past)
    clicks = clicking(decisions, params.evaluate.looking_minutes)
    made = clicks.bundles if clicks is not None else ()
    cost = effort(decisions, after, pool, schema.names, *before_it, params.score.scratch_minutes, made)
    return past, cost, clicks


def _emulated_minutes(decisions: Sequence[Decided | Reading]) -> tuple[float, float]:
    """Those of the round's minutes, and of the minutes of all rounds, that no person took."""
    found = emulated_of(decisions)
    masks = {(mask.case_id, mask.class_name, bundle) for bundle, one in found.items() for mask in one.masks}
    of_round = [d.minutes or 0.0 for d in decisions if (d.case_id, d.class_name, d.bundle) in masks]
    return sum(of_round), sum(row.minutes or 0.0 for row in read_drawn(layout.DRAWN) if row.emulated)


def _write(report: Report, rows: Sequence[Row], started: Sequence[Transfer]) -> None:
    """Write what was measured, and what the report says: history, plots, metrics and the page."""
    _write_cases(rows)
    write_history(layout.HISTORY, report.history, list(averaged()))
    _write_plots(report.history, report.summaries)
    numbers = metrics(report.round, report.summaries, report.gains, report.effort)
    if report.clicking is not None:
        numbers["clicking"] = {
            "cases": report.clicking.cases,
            "made": report.clicking.clicks,
            "helped": report.clicking.helped,
            "minutes_assumed": round(report.clicking.minutes, 2),
        }
    if started:
        numbers["started"] = {one.model: _started(one) for one in started}
    replace_text(layout.METRICS, json.dumps(numbers, indent=2) + "\n")
    replace_text(layout.ROUND_REPORT, render(report))


def metrics(number: int, summaries: Sequence[ModelSummary], gained: Sequence[Gain], cost: Effort) -> dict[str, Any]:
    """What `dvc metrics` shows: the round's number and cost, then set → stage → model → mean and classes.

    Beside the stages is what the round gained, over pairs of class and case that both stages know; the classes that
    one of them alone knows are listed apart.
    """
    tree: dict[str, Any] = {
        "round": number,
        "share_labelled": round(cost.pool.share, 4),
        "cases_complete": cost.pool.complete,
        "cases_partly": cost.pool.partly,
        "cases_reviewed": cost.cases_reviewed,
        "cases_trusted_by_review": cost.cases_trusted_by_review,
        "decisions": cost.decisions,
        "decisions_timed": cost.timed,
        "decisions_untimed_total": cost.untimed_total,
        "minutes": round(cost.minutes, 2),
        "minutes_total": round(cost.minutes_total, 2),
        "scratch_minutes_total": round(cost.scratch_minutes_total, 2),
    }
    for s in summaries:
        node = tree
        for part in (*s.set_name.split("/", 1), s.generation.value):
            node = node.setdefault(part, {})
        node[s.model] = {
            "mean": _leaf(s.mean) | {m: round(i.mean, 4) for m, i in s.other.items() if math.isfinite(i.mean)},
            "classes": {name: _leaf(i) for name, i in s.classes.items()},
        }
    for g in gained:
        node = tree
        for part in (*g.set_name.split("/", 1), "gain"):
            node = node.setdefault(part, {})
        node[g.model] = {
            **_leaf(g.gain),
            "pairs": g.pairs,
            "false_alarms": dict(zip(("base", "next"), g.false_alarms, strict=True)),
            "new": {name: _leaf(i) for name, i in g.new.items()},
            "lost": {name: _leaf(i) for name, i in g.lost.items()},
        }
    return tree


def _started(one: Transfer) -> dict[str, Any]:
    """What a model that started from another gained and lost, by the source of the cases."""
    by_source = {
        source: {**_leaf(g.gain), "is": one.kind(source), "base": _leaf(g.base), "next": _leaf(g.next)}
        for source, g in one.gains.items()
    }
    return {"from": one.start, "sources": by_source}


def _leaf(value: Interval) -> dict[str, float]:
    """Finite numbers alone: JSON has no NaN."""
    numbers = {"dice": value.mean, "low": value.low, "high": value.high}
    return {name: round(v, 4) for name, v in numbers.items() if math.isfinite(v)} | {"n": value.n}


def _label(case: Case) -> Path:
    return layout.label_map(layout.BASE_LABELS, case.case_id)


def _set_name(case: Case) -> str:
    return TEST if case.split is Split.TEST else f"external/{case.source}"


def _models(predictions: Mapping[Generation, Sequence[Path]]) -> dict[Generation, list[str]]:
    """Names of the models by generation."""
    models = {}
    for generation, folders in predictions.items():
        models[generation] = sorted({d.name for f in folders if f.is_dir() for d in f.iterdir() if d.is_dir()})
        if ENSEMBLE in models[generation]:
            raise Misuse(f"a model is named {ENSEMBLE}, which is the mean of all models", "give it another name")
    return models


def _find(
    case_id: str, predictions: Mapping[Generation, Sequence[Path]], models: Mapping[Generation, Sequence[str]]
) -> Predictions:
    found: Predictions = {}
    for generation, folders in predictions.items():
        for model in models[generation]:
            path = next((p for f in folders if (p := f / model / f"{case_id}.b2nd").is_file()), None)
            if path is not None:
                found.setdefault(generation, {})[model] = path
    return found


def _measure(
    judged: References,
    found: Mapping[str, Predictions],
    models: Mapping[Generation, Sequence[str]],
    schema: LabelSchema,
    params: Params,
) -> list[Row]:
    jobs = [
        Measure(
            name=case.case_id,
            image_sha256=case.sha256,
            label=_label(case),
            predictions=found[case.case_id],
            schema=schema,
            classes=tuple(judged.classes[case.case_id]),
            ensembles=tuple(generation for generation, names in models.items() if len(names) > 1),
            params=params.evaluate,
            metrics={name: METRICS.origin(name) for name in METRICS.names()},
        )
        for case in judged.cases.values()
        if found[case.case_id]
    ]
    machine = params.machine
    measured = casemap(jobs, layout.REPORTS, machine)
    rows = [
        Row(_set_name(judged.cases[job.name]), job.name, m.generation, m.model, m.class_name, m.reference_ml, m.values)
        for job, of_case in zip(jobs, measured, strict=True)
        for m in of_case
    ]
    order = {name: i for i, name in enumerate(schema.names)}
    return sorted(
        rows, key=lambda r: (r.set_name != TEST, r.set_name, r.case_id, r.generation, r.model, order[r.class_name])
    )


def _pictures(
    rows: Sequence[Row],
    cases: Mapping[str, Case],
    found: Mapping[str, Predictions],
    schema: LabelSchema,
    machine: MachineParams,
) -> list[Picture]:
    worst = worst_rows(rows)
    jobs = [
        Draw(
            name=case.case_id,
            class_name=row.class_name,
            image=Path(case.image),
            image_sha256=case.sha256,
            modality=case.modality,
            label=_label(case),
            predictions=tuple(
                path for name, path in found[case.case_id][Generation.NEXT].items() if row.model in (ENSEMBLE, name)
            ),
            schema=schema,
        )
        for row, case in ((row, cases[row.case_id]) for row, _ in worst)
    ]
    compute_ahead(jobs, machine)
    return [
        Picture(row, mean_dice, once(job), (files_of(job) / PNG).read_bytes())
        for (row, mean_dice), job in zip(worst, jobs, strict=True)
    ]


def _write_cases(rows: Sequence[Row]) -> None:
    measured = all_metrics()
    columns = ["set", "case_id", "stage", "model", "class_name", "reference_ml", *measured]
    write_table(
        layout.TEST_CASES,
        columns,
        (
            {
                "set": r.set_name,
                "case_id": r.case_id,
                "stage": r.generation.value,
                "model": r.model,
                "class_name": r.class_name,
                "reference_ml": fixed(r.reference_ml, 4),
                **{name: fixed(r.values[name], metric.decimals) for name, metric in measured.items()},
            }
            for r in rows
        ),
    )


def _write_plots(history: Sequence[HistoryRow], summaries: Sequence[ModelSummary]) -> None:
    columns = ["round", "share_labelled", "minutes_total", "set", "model", "dice", "n", "classes"]
    write_table(
        layout.LEARNING_CURVE_PLOT,
        columns,
        ({c: written(row)[c] for c in columns} for row in history if row.stage == "next" and has_dice(row)),
    )
    write_table(
        layout.CLASS_DICE_PLOT,
        ["set", "stage", "model", "class_name", "dice", "low", "high"],
        (
            {
                "set": s.set_name,
                "stage": s.generation.value,
                "model": s.model,
                "class_name": name,
                "dice": fixed(i.mean, 4),
                "low": fixed(i.low, 4),
                "high": fixed(i.high, 4),
            }
            for s in summaries
            for name, i in s.classes.items()
            if math.isfinite(i.mean)
        ),
    )
