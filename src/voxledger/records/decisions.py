"""What reviewers decide, in two tables.

`decisions.csv` of a bundle is what people fill in: read tolerantly, checked strictly (`Row`).
`data/round/decisions.csv` is what the import took in from all bundles of a round: read strictly (`Decided`).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from voxledger.records.error_kind import ErrorKind
from voxledger.records.formats import TableFormat, adding
from voxledger.records.spreadsheet import read_xlsx
from voxledger.textfile import as_text, read_text_if_there, write_table

FILE = "decisions.csv"
COLUMNS = ["case_id", "class_name", "decision", "minutes", "error_type", "confirmed", "comment", "difficulty"]
SINCE = ("confirmed", "difficulty")
"""Columns that were not always there: a table without them is none that lacks something."""
DIFFICULTIES = ("easy", "medium", "hard")
"""How hard it was to decide; blank where nobody said."""
MOST_BYTES = 4 << 20
"""A longer table was not filled in by a person."""
MOST_MINUTES = 24 * 60
"""More minutes for one class of one case are a slip."""

_MINUTES = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?")
"""Not all that `float` reads: `1_0` is a slip, and `nan` is nobody's time."""
_SEPARATOR_LINE = re.compile(r"\A\s*\"?sep=[^\r\n]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)
"""What some spreadsheets write before the header, to name the delimiter to others."""


class Decision(StrEnum):
    """What a reviewer says of one class of one case."""

    ACCEPT = "accept"
    """The label is right as it was sent."""
    REVISE = "revise"
    """The label was wrong and is now corrected."""
    REJECT = "reject"
    """The label is wrong and was not corrected: it is emptied, and predicted again in the next round."""


_SPELLINGS = {
    **{d.value: d for d in Decision},
    "accepted": Decision.ACCEPT,
    "revised": Decision.REVISE,
    "rejected": Decision.REJECT,
}


@dataclass(frozen=True)
class Row:
    """One line of `decisions.csv`; `decision` is None while it is blank."""

    case_id: str
    class_name: str
    decision: Decision | None = None
    minutes: float | None = None
    error_type: ErrorKind = ErrorKind.NONE
    comment: str = ""
    confirmed: bool = False
    """Whether the reviewer says that what looks wrong about the class is right."""
    difficulty: str = ""
    """One of `DIFFICULTIES`, or empty."""


@dataclass(frozen=True)
class Table:
    """The lines that could be read, and what is wrong with the others, as (case, class, problem)."""

    rows: dict[tuple[str, str], Row]
    problems: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Decided:
    """One decision that the import took in: a row of `data/round/decisions.csv`."""

    case_id: str
    class_name: str
    decision: Decision
    reviewer: str
    minutes: float | None
    """None where the reviewer left them blank: unknown, which is not 0."""
    error_type: str
    comment: str = ""
    bundle: str = ""
    """SHA-256 of the returned bundle."""
    changed_voxels: int = 0
    """Voxels of the class in which the label of the new version differs from the proposal."""
    difficulty: str = ""
    """One of `DIFFICULTIES`; empty where the reviewer did not say, and in tables of format 1."""


_FORMAT_1 = (
    *("case_id", "class_name", "decision", "reviewer", "minutes", "error_type", "comment", "bundle"),
    "changed_voxels",
)
TABLE = TableFormat(
    "decisions", "a table of decisions", (_FORMAT_1, (*_FORMAT_1, "difficulty")), (adding(difficulty=""),)
)
FORMAT = TABLE.number


def write_decided(path: Path | str, rows: Iterable[Decided]) -> None:
    """Write `data/round/decisions.csv`, in the order given."""
    values = (
        asdict(row) | {"minutes": "" if row.minutes is None else f"{row.minutes:.2f}", "comment": as_text(row.comment)}
        for row in rows
    )
    write_table(path, TABLE.columns, values)


def read_decided(path: Path | str) -> list[Decided]:
    """Read `data/round/decisions.csv`; a file that is not there, or holds its header alone, is no decision."""
    text = read_text_if_there(path)
    return [] if text is None else parse_decided(text, path)


def parse_minutes(text: str) -> float | None:
    """Minutes of a table that voxledger wrote; None where nobody gave any.

    Raises
    ------
    ValueError
        It is no number from 0 up.
    """
    if not text:
        return None
    if not _MINUTES.fullmatch(text):
        raise ValueError(f"minutes {text!r} is not a number from 0 up")
    return float(text)


def parse_difficulty(text: str) -> str:
    """The difficulty in a table that voxledger wrote.

    Raises
    ------
    ValueError
        It is none of `DIFFICULTIES`, and not empty.
    """
    if text not in ("", *DIFFICULTIES):
        raise ValueError(f"difficulty {text!r} is none of {', '.join(DIFFICULTIES)}")
    return text


def parse_decided(text: str, what: Path | str) -> list[Decided]:
    """Parse the text of `data/round/decisions.csv`, of any format; `what` names it in errors."""
    with TABLE.rows(text, what) as rows:
        return [
            Decided(
                row["case_id"],
                row["class_name"],
                Decision(row["decision"]),
                row["reviewer"],
                parse_minutes(row["minutes"]),
                row["error_type"],
                row["comment"],
                row["bundle"],
                int(row["changed_voxels"] or 0),
                parse_difficulty(row["difficulty"]),
            )
            for row in rows
        ]


def to_csv(rows: Iterable[Row]) -> str:
    """The text of `decisions.csv`: commas, LF, UTF-8."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        blank = row.decision is None
        writer.writerow(
            [
                row.case_id,
                row.class_name,
                "" if row.decision is None else row.decision.value,
                "" if row.minutes is None else f"{row.minutes:.2f}",
                "" if blank else row.error_type.value,
                "yes" if row.confirmed else "",
                as_text(row.comment),
                row.difficulty,
            ]
        )
    return stream.getvalue()


def read_decisions(path: Path) -> Table:
    """Read a `decisions.csv` that may have been through a spreadsheet, or the `.xlsx` of one.

    Takes commas, semicolons or tabs, any line ends, UTF-8 with or without a byte-order mark, UTF-16 or
    Windows-1252, quotes, decimal commas, spaces and capitals. Values are never guessed: what is not one of the
    known words or a sensible number of minutes is a problem.
    """
    content = path.read_bytes()
    if len(content) > MOST_BYTES:
        return Table({}, [("", "", f"is {len(content)} bytes long, which is no table of decisions")])
    if path.suffix.lower() == ".xlsx":
        try:
            return _table(read_xlsx(path, COLUMNS[0]), "remove what stands beside the columns")
        except ValueError as error:
            return Table({}, [("", "", f"cannot be read as a table: {error}")])
    try:
        text = _decode(content)
    except UnicodeDecodeError:
        return Table({}, [("", "", "is in no encoding that is known; a spreadsheet must save it as CSV in UTF-8")])
    if "\0" in text:
        return Table({}, [("", "", "is not a text table; a spreadsheet must save it as CSV")])
    text = re.sub(_SEPARATOR_LINE, "", text, count=1)
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=header.count)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return Table({}, [("", "", f"cannot be read as a table: {error}")])
    return _table(records, f"put a text with {delimiter!r} in it in quotes")


def _table(records: list[list[str]], too_many: str) -> Table:
    """The lines of a table whose first line with anything in it names the columns.

    `too_many` says what to do about a line with more fields than that one.
    """
    while records and not any(cell.strip() for cell in records[0]):
        records.pop(0)
    names = [cell.strip().lower() for cell in records[0]] if records else []
    for wrong, how in (
        ([name for name in COLUMNS if names.count(name) > 1], "more than one"),
        ([name for name in COLUMNS[:3] if name not in names], "no"),
    ):
        if wrong:
            return Table({}, [("", "", f"has {how} column {', '.join(wrong)} in its first line")])
    unknown = [name for name in names if name and name not in COLUMNS]
    if unknown and (lacking := [name for name in COLUMNS if name not in (*names, *SINCE)]):
        problem = f"has no column {', '.join(lacking)} in its first line, but {', '.join(unknown)}"
        return Table({}, [("", "", problem)])
    table = Table({}, [])
    for number, record in enumerate(records[1:], start=2):
        cells = [cell.strip() for cell in record]
        values = dict(zip(names, cells, strict=False))
        if any(cells[len(names) :]):
            problem = f"line {number} has more fields than the first line: {too_many}"
            table.problems.append((values.get("case_id", ""), values.get("class_name", ""), problem))
        elif any(cells):
            _take(table, values, number)
    return table


def _take(table: Table, values: dict[str, str], number: int) -> None:
    case_id, class_name = values.get("case_id", ""), values.get("class_name", "")
    problems = []
    if not case_id or not class_name:
        problems.append(f"line {number} names no case or no class")
    if (case_id, class_name) in table.rows:
        problems.append(f"line {number} is a second line for the same case and class")
    word = values.get("decision", "").lower()
    decision = _SPELLINGS.get(word)
    if word and decision is None:
        problems.append(f"decision {word!r} is none of {', '.join(Decision)}")
    minutes = None
    if written := values.get("minutes", ""):
        plain = written.replace(",", ".")
        minutes = float(plain) if _MINUTES.fullmatch(plain) else math.nan
        if not 0 <= minutes <= MOST_MINUTES:
            problems.append(f"minutes {written!r} is not a number from 0 to {MOST_MINUTES}")
    error_type = ErrorKind.NONE
    if named := values.get("error_type", "").lower().replace(" ", "_").replace("-", "_"):
        if named in list(ErrorKind):
            error_type = ErrorKind(named)
        else:
            problems.append(f"error type {named!r} is none of {', '.join(ErrorKind)}")
    confirmed = values.get("confirmed", "").lower()
    if confirmed not in ("", "yes", "no"):
        problems.append(f"confirmed {confirmed!r} is neither yes nor no")
    difficulty = values.get("difficulty", "").lower()
    if difficulty not in ("", *DIFFICULTIES):
        problems.append(f"difficulty {difficulty!r} is none of {', '.join(DIFFICULTIES)}")
    table.problems.extend((case_id, class_name, problem) for problem in problems)
    if not problems:
        said = (values.get("comment", ""), confirmed == "yes", difficulty)
        table.rows[case_id, class_name] = Row(case_id, class_name, decision, minutes, error_type, *said)


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")
