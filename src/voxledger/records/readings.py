"""The readings `data/release/readings.csv`: what every reader said of every class of every case, of all rounds so far.

The ledger holds one row a class and case, with what counts; this holds all that was said, also where several people
read a case, where they did not agree, and where an adjudicator overruled them. Rows are never changed: every round adds
its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from voxledger.records.decisions import Decision, parse_difficulty, parse_minutes
from voxledger.records.formats import TableFormat, adding
from voxledger.records.ledger import Signature
from voxledger.textfile import as_text, read_text_if_there, write_table


class Outcome(StrEnum):
    """What became of a reading."""

    COUNTED = "counted"
    """It is what the ledger says: of the only reader, or of the adjudicator."""
    MERGED = "merged"
    """The class was settled by a consensus that it is a part of."""
    OVERRULED = "overruled"
    """The readers did not agree, and the adjudicator settled it."""
    PENDING = "pending"
    """The readers did not agree: nothing of the class entered the release, and its mask is as it was without them."""


@dataclass(frozen=True)
class Reading:
    """What one reader said of one class of one case."""

    version: int
    """The round."""
    case_id: str
    class_name: str
    """As the class was called in that round."""
    reader: str
    decision: Decision
    minutes: float | None
    error_type: str
    comment: str
    mask_sha256: str
    """Of the mask that the reader stands behind, before it is merged with others; empty where it was rejected."""
    bundle: str
    """SHA-256 of the returned bundle, which lies under that name among the revisions."""
    consensus: str
    """The method by which several readings became one; empty where there was one reader."""
    outcome: Outcome
    difficulty: str = ""
    """How hard the reader found it; empty where that was not said, and in tables of format 1."""

    @property
    def key(self) -> tuple[str, str]:
        return self.case_id, self.class_name


Group = tuple[int, str, str]
"""Round, case and class, as it was called then: what readers say of it together."""

_FORMAT_1 = (
    *("version", "case_id", "class_name", "reader", "decision", "minutes", "error_type", "comment", "mask_sha256"),
    *("bundle", "consensus", "outcome"),
)
TABLE = TableFormat(
    "readings", "a table of readings", (_FORMAT_1, (*_FORMAT_1, "difficulty")), (adding(difficulty=""),)
)
FORMAT = TABLE.number


def read_readings(path: Path | str) -> list[Reading]:
    """Read the readings so far; a file that is not there, or is empty, holds none."""
    text = read_text_if_there(path)
    return parse_readings(text, path) if text else []


def parse_readings(text: str, what: Path | str) -> list[Reading]:
    """Parse the text of a table of readings, of any format; `what` names it in errors."""
    with TABLE.rows(text, what) as rows:
        return [
            Reading(
                int(row["version"]),
                row["case_id"],
                row["class_name"],
                row["reader"],
                Decision(row["decision"]),
                parse_minutes(row["minutes"]),
                row["error_type"],
                row["comment"],
                row["mask_sha256"],
                row["bundle"],
                row["consensus"],
                Outcome(row["outcome"]),
                parse_difficulty(row["difficulty"]),
            )
            for row in rows
        ]


def write_readings(path: Path | str, readings: Iterable[Reading]) -> None:
    """Write the readings in the order given."""
    values = (
        asdict(row) | {"minutes": "" if row.minutes is None else f"{row.minutes:.2f}", "comment": as_text(row.comment)}
        for row in readings
    )
    write_table(path, TABLE.columns, values)


JOINT = "+"
"""Between the names of readers in the ledger; no name has it."""


def joint_reviewer(readers: Iterable[str]) -> str:
    """What the ledger calls several readers who settled a class together.

    >>> joint_reviewer(["bob", "alice"])
    'alice+bob'
    """
    return JOINT.join(sorted(readers))


def joint_bundle(bundles: Iterable[str]) -> str:
    """What the ledger names in the place of a bundle where several readers settled a class together: a hash of theirs.

    SHA-256 of the hashes of the returned bundles, sorted, one a line.
    """
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(bundles)).encode()).hexdigest()


def joint_bundles(readings: Iterable[Reading]) -> dict[str, frozenset[str]]:
    """Hashes of the returns by which several readers settled a class, by what the ledger names in their place."""
    settled: dict[tuple[int, str, str], set[str]] = {}
    for one in readings:
        if one.outcome is Outcome.MERGED:
            settled.setdefault((one.version, *one.key), set()).add(one.bundle)
    return {joint_bundle(bundles): frozenset(bundles) for bundles in settled.values()}


def joint_signatures(signatures: Iterable[tuple[Signature, ...]]) -> tuple[Signature, ...]:
    """Those of the returns of several readers who settled a class together; none while one of them is not signed."""
    each = list(signatures)
    return tuple(sorted({one for own in each for one in own}, key=str)) if all(each) else ()


@dataclass(frozen=True)
class Settled:
    """What the readers of a class of a case came to in a round."""

    version: int
    """The round."""
    case_id: str
    class_name: str
    """As the class was called in that round."""
    decision: Decision


def by_group(readings: Iterable[Reading]) -> dict[Group, list[Reading]]:
    """Readings by round, case and class."""
    found: dict[Group, list[Reading]] = {}
    for one in readings:
        found.setdefault((one.version, *one.key), []).append(one)
    return found


def settled(readings: Iterable[Reading]) -> list[Settled]:
    """What was decided of every class in every round, by round; what is pending is not decided.

    Of several readers: what the adjudicator said; else rejected where more than half said so, revised where more than
    half of the others did, and accepted otherwise.
    """
    found = []
    for (version, case_id, name), group in by_group(readings).items():
        said = [one.decision for one in group if one.outcome is Outcome.COUNTED] or [one.decision for one in group]
        if any(one.outcome is Outcome.PENDING for one in group):
            continue
        if 2 * said.count(Decision.REJECT) > len(said):
            decision = Decision.REJECT
        else:
            revised = said.count(Decision.REVISE) > said.count(Decision.ACCEPT)
            decision = Decision.REVISE if revised else Decision.ACCEPT
        found.append(Settled(version, case_id, name, decision))
    return sorted(found, key=lambda one: one.version)
