"""What a round adds to the history, and what the history says of the rounds before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger.audit import Audit
from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.effort import Effort
from voxledger.evaluate.metric import averaged
from voxledger.evaluate.summary import Gain, ModelSummary
from voxledger.records.history import HistoryRow, as_written, read_history
from voxledger.textfile import fixed


def read_audits(path: Path | str) -> list[Audit]:
    """The audits of the rounds so far, oldest first; what an older history does not tell is unknown, not clean."""
    return [
        Audit(row.round, row.audited, row.audited_with_errors or 0, row.audited_population)
        if row.audited is not None
        else Audit(row.round, 0, 0, "")
        for row in {row.round: row for row in read_history(path)}.values()
    ]


def minutes_before(history: Sequence[HistoryRow]) -> float:
    """Reader minutes of all rounds in a history."""
    return max((row.minutes_total for row in history), default=0.0)


def untimed_before(history: Sequence[HistoryRow]) -> int:
    """Decisions without minutes in all rounds of a history that tell them."""
    rounds = {row.round: row for row in history if row.decisions is not None}
    return sum((row.decisions or 0) - (row.decisions_timed or 0) for row in rounds.values())


def round_rows(
    number: int,
    summaries: Sequence[ModelSummary],
    effort: Effort,
    audit: Audit | None = None,
    gains: Sequence[Gain] = (),
) -> list[HistoryRow]:
    """The rows of one round; where nothing could be evaluated, one row that keeps effort and audit alone."""
    cost: dict[str, Any] = {
        "share_labelled": effort.pool.share,
        "cases_reviewed": effort.cases_reviewed,
        "minutes": effort.minutes,
        "minutes_total": effort.minutes_total,
        "cases_trusted_by_review": effort.cases_trusted_by_review,
        "scratch_minutes_total": effort.scratch_minutes_total,
        "audited": audit.cases if audit else None,
        "audited_with_errors": audit.with_errors if audit else None,
        "audited_population": audit.population if audit else "",
        "decisions": effort.decisions,
        "decisions_timed": effort.timed,
        "cases_complete": effort.pool.complete,
        "cases_partly": effort.pool.partly,
    }
    gained = {(g.set_name, Generation.NEXT, g.model): g for g in gains}
    rows = [
        HistoryRow(
            round=number,
            set=s.set_name,
            stage=s.generation.value,
            model=s.model,
            dice=s.mean.mean,
            low=s.mean.low,
            high=s.mean.high,
            n=s.mean.n,
            classes=tuple(name for name, i in s.classes.items() if i.n),
            gain=g.gain.mean if g else None,
            gain_pairs=g.pairs if g else None,
            metrics={name: fixed(s.other[name].mean, metric.decimals) for name, metric in averaged().items()},
            **cost,
        )
        for s in summaries
        for g in [gained.get((s.set_name, s.generation, s.model))]
    ]
    if rows:
        return [as_written(row) for row in rows]
    nothing: dict[str, Any] = {"set": "", "stage": "", "model": "", "dice": None, "low": None, "high": None, "n": 0}
    return [as_written(HistoryRow(round=number, **nothing, classes=(), gain=None, gain_pairs=None, **cost))]


def unbroken(rows: Sequence[HistoryRow]) -> list[list[HistoryRow]]:
    """Cut the rows of one set and model, oldest first, where their means are over other classes or cases.

    Such means do not compare. Older histories do not tell their classes; there the number of cases decides alone.
    """
    parts: list[list[HistoryRow]] = []
    for row in rows:
        last = parts[-1][-1] if parts else None
        if last and last.n == row.n and (last.classes == row.classes or () in (last.classes, row.classes)):
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts
