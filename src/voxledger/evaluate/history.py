"""`history.csv`: one row a round, set, stage (base or next) and model, carried from round to round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxledger.audit import Audit
from voxledger.errors import VoxledgerError
from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.effort import Effort
from voxledger.evaluate.metric import averaged
from voxledger.evaluate.summary import Gain, ModelSummary
from voxledger.textfile import fixed, read_text_if_there, restoring, table, write_table

COLUMNS = [
    "round",
    "set",
    "stage",
    "model",
    "dice",
    "low",
    "high",
    "n",
    "share_labelled",
    "cases_reviewed",
    "minutes",
    "minutes_total",
    "cases_trusted_by_review",
    "scratch_minutes_total",
    "audited",
    "audited_with_errors",
    "audited_population",
    "decisions",
    "decisions_timed",
    "cases_complete",
    "cases_partly",
    "classes",
    "gain",
    "gain_pairs",
]
"""Behind them is one column a metric, its mean over the classes, by the name of the metric."""
WITHOUT_COUNTS = COLUMNS[:-7]
WITHOUT_AUDITS = COLUMNS[:-10]
"""Columns of histories from before decisions, cases and pairs were counted in them, and from before audits were."""

HistoryRow = dict[str, str]


def read_history(path: Path | str) -> list[HistoryRow]:
    """Read the rounds so far; a file that is not there, or empty, is an empty history."""
    text = read_text_if_there(path)
    if not text:
        return []
    with table(text, path) as rows:
        names = list(rows.fieldnames or ())
        if names[: len(COLUMNS)] != COLUMNS and names not in (WITHOUT_COUNTS, WITHOUT_AUDITS):
            raise VoxledgerError(
                f"{path} is not a history of rounds: its columns are {rows.fieldnames}", restoring(path)
            )
        return [dict.fromkeys(COLUMNS, "") | row for row in rows]


def read_audits(path: Path | str) -> list[Audit]:
    """The audits of the rounds so far, oldest first; what an older history does not tell is unknown, not clean."""
    try:
        return [
            Audit(
                int(row["round"]),
                int(row["audited"]),
                int(row["audited_with_errors"]),
                row["audited_population"],
            )
            if row["audited"]
            else Audit(int(row["round"]), 0, 0, "")
            for row in {row["round"]: row for row in read_history(path)}.values()
        ]
    except (ValueError, TypeError) as error:
        raise VoxledgerError(f"{path} is not a history of rounds: {error}", "restore it from git") from None


def minutes_before(history: Sequence[HistoryRow]) -> float:
    """Reader minutes of all rounds in a history."""
    return max((float(row["minutes_total"]) for row in history), default=0.0)


def untimed_before(history: Sequence[HistoryRow]) -> int:
    """Decisions without minutes in all rounds of a history that tell them."""
    rounds = {row["round"]: row for row in history if row["decisions"]}
    return sum(int(row["decisions"]) - int(row["decisions_timed"]) for row in rounds.values())


def round_rows(
    number: int,
    summaries: Sequence[ModelSummary],
    effort: Effort,
    audit: Audit | None = None,
    gains: Sequence[Gain] = (),
) -> list[HistoryRow]:
    """The rows of one round; where nothing could be evaluated, one row that keeps effort and audit alone."""
    cost = {
        "share_labelled": fixed(effort.pool.share, 4),
        "cases_reviewed": str(effort.cases_reviewed),
        "minutes": fixed(effort.minutes, 2),
        "minutes_total": fixed(effort.minutes_total, 2),
        "cases_trusted_by_review": str(effort.cases_trusted_by_review),
        "scratch_minutes_total": fixed(effort.scratch_minutes_total, 2),
        "audited": str(audit.cases) if audit else "",
        "audited_with_errors": str(audit.with_errors) if audit else "",
        "audited_population": audit.population if audit else "",
        "decisions": str(effort.decisions),
        "decisions_timed": str(effort.timed),
        "cases_complete": str(effort.pool.complete),
        "cases_partly": str(effort.pool.partly),
    }
    gained = {(g.set_name, Generation.NEXT, g.model): g for g in gains}
    rows = [
        {
            **{name: fixed(s.other[name].mean, metric.decimals) for name, metric in averaged().items()},
            "round": str(number),
            "set": s.set_name,
            "stage": s.generation.value,
            "model": s.model,
            "dice": fixed(s.mean.mean, 4),
            "low": fixed(s.mean.low, 4),
            "high": fixed(s.mean.high, 4),
            "n": str(s.mean.n),
            **cost,
            "classes": ";".join(name for name, i in s.classes.items() if i.n),
            "gain": fixed(g.gain.mean, 4) if g else "",
            "gain_pairs": str(g.pairs) if g else "",
        }
        for s in summaries
        for g in [gained.get((s.set_name, s.generation, s.model))]
    ]
    return rows or [dict.fromkeys(COLUMNS, "") | {"round": str(number), "n": "0", **cost}]


def unbroken(rows: Sequence[HistoryRow]) -> list[list[HistoryRow]]:
    """Cut the rows of one set and model, oldest first, where their means are over other classes or cases.

    Such means do not compare. Older histories do not tell their classes; there the number of cases decides alone.
    """
    parts: list[list[HistoryRow]] = []
    for row in rows:
        last = parts[-1][-1] if parts else None
        if (
            last
            and last["n"] == row["n"]
            and (last["classes"] == row["classes"] or "" in (last["classes"], row["classes"]))
        ):
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def write_history(path: Path | str, rows: Sequence[HistoryRow]) -> None:
    """Write a history: the fixed columns, then one a metric, those that are measured no more at the end."""
    measured = [*averaged(), *(name for row in rows for name in row)]
    columns = list(dict.fromkeys([*COLUMNS, *measured]))
    write_table(path, columns, (dict.fromkeys(columns, "") | row for row in rows))
