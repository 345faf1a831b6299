"""The history of rounds: one row a round, set, stage (base or next) and model, carried from round to round.

`reports/history.csv` is written by the round that was evaluated; `data/base/history.csv` is what the next one starts
from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from voxledger.records.formats import TableFormat, adding
from voxledger.textfile import fixed, read_text_if_there, write_table


@dataclass(frozen=True)
class HistoryRow:
    """What one model reached on one set in one round, and what the rounds up to it cost.

    None, or no class, is what an older history does not tell, or what there was nothing to measure for.
    """

    round: int
    set: str
    """`test`, or `external/` and the source; empty where nothing could be evaluated, as are stage and model."""
    stage: str
    """`base`: the models that the round began with; `next`: those that it trained."""
    model: str
    dice: float | None
    """Mean over cases and classes; NaN where no class has a value."""
    low: float | None
    high: float | None
    """Bounds of its interval."""
    n: int
    """Cases with a value."""
    share_labelled: float
    """Share of the masks of the pool that people stand behind."""
    cases_reviewed: int
    minutes: float
    """Reader minutes of the round."""
    minutes_total: float
    cases_trusted_by_review: int
    scratch_minutes_total: float
    audited: int | None
    """Cases of the blind audit."""
    audited_with_errors: int | None
    audited_population: str
    """Hash of what was asked, see `voxledger.audit`."""
    decisions: int | None
    decisions_timed: int | None
    """Decisions that give minutes."""
    cases_complete: int | None
    cases_partly: int | None
    classes: tuple[str, ...]
    """Classes that the mean is over."""
    gain: float | None
    """Mean gain in Dice over the base, on the classes and cases that both know."""
    gain_pairs: int | None
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Means of the other metrics over the classes, by name, with the digits that they were written with."""


_COLUMNS = tuple(f.name for f in fields(HistoryRow) if f.name != "metrics")
_COUNTS = dict.fromkeys(_COLUMNS[-7:], "")
_AUDITS = dict.fromkeys(_COLUMNS[-10:-7], "")
TABLE = TableFormat(
    "history",
    "a history of rounds",
    (_COLUMNS[:-10], _COLUMNS[:-7], _COLUMNS),
    (adding(**_AUDITS), adding(**_COUNTS)),
    more_columns=True,
)
"""1: before audits were in it; 2: before decisions, cases, classes and gains were; 3: with them, and behind them one
column a metric."""
FORMAT = TABLE.number
_DECIMALS = {
    "dice": 4, "low": 4, "high": 4, "share_labelled": 4, "minutes": 2, "minutes_total": 2, "scratch_minutes_total": 2,
    "gain": 4,
}  # fmt: skip


def read_history(path: Path | str) -> list[HistoryRow]:
    """Read the rounds so far, of any format; a file that is not there, or empty, is an empty history."""
    text = read_text_if_there(path)
    if not text:
        return []
    with TABLE.rows(text, path) as rows:
        return [_from_row(row) for row in rows]


def write_history(path: Path | str, rows: Sequence[HistoryRow], metrics: Sequence[str] = ()) -> None:
    """Write a history.

    Parameters
    ----------
    metrics
        The metrics that are measured, in the order of their columns; those that only older rows have come behind them.
    """
    measured = list(dict.fromkeys([*metrics, *(name for row in rows for name in row.metrics)]))
    write_table(path, [*TABLE.columns, *measured], map(written, rows))


def _from_row(row: Mapping[str, str]) -> HistoryRow:
    if not row["round"]:
        raise ValueError("a row without a round")
    return HistoryRow(
        round=int(row["round"]),
        set=row["set"],
        stage=row["stage"],
        model=row["model"],
        dice=_number(row["dice"]),
        low=_number(row["low"]),
        high=_number(row["high"]),
        n=int(row["n"]),
        share_labelled=float(row["share_labelled"]),
        cases_reviewed=int(row["cases_reviewed"]),
        minutes=float(row["minutes"]),
        minutes_total=float(row["minutes_total"]),
        cases_trusted_by_review=int(row["cases_trusted_by_review"]),
        scratch_minutes_total=float(row["scratch_minutes_total"]),
        audited=_count(row["audited"]),
        audited_with_errors=_count(row["audited_with_errors"]),
        audited_population=row["audited_population"],
        decisions=_count(row["decisions"]),
        decisions_timed=_count(row["decisions_timed"]),
        cases_complete=_count(row["cases_complete"]),
        cases_partly=_count(row["cases_partly"]),
        classes=tuple(row["classes"].split(";")) if row["classes"] else (),
        gain=_number(row["gain"]),
        gain_pairs=_count(row["gain_pairs"]),
        metrics={name: value for name, value in row.items() if name not in _COLUMNS and value},
    )


def written(row: HistoryRow) -> dict[str, str]:
    """The text of every column of a row."""
    values = {name: getattr(row, name) for name in _COLUMNS} | {"classes": ";".join(row.classes)}
    texts = {name: fixed(v, _DECIMALS[name]) if isinstance(v, float) else v for name, v in values.items()}
    return {name: "" if value is None else str(value) for name, value in texts.items()} | dict(row.metrics)


def as_written(row: HistoryRow) -> HistoryRow:
    """A row with the digits that it has once it is written, so that a report of it and a later one agree."""
    return _from_row(written(row))


def _number(text: str) -> float | None:
    return float(text) if text else None


def _count(text: str) -> int | None:
    return int(text) if text else None


def has_dice(row: HistoryRow) -> bool:
    """Whether anything was measured."""
    return row.dice is not None and math.isfinite(row.dice)
