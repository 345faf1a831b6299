"""The ledger: for every case and class, where the current mask came from.

One CSV row a case and class, sorted by case and by the schema's order of classes, so that a git diff of it
is readable and the bytes repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.records.formats import TableFormat, adding
from voxledger.textfile import read_text_if_there, write_table


class Origin(StrEnum):
    """Where a mask came from, in ascending order of trust, but for `rejected`, which is none."""

    REJECTED = "rejected"
    PREDICTED = "predicted"
    SOURCE = "source"
    ACCEPTED = "accepted"
    REVISED = "revised"

    @property
    def trusted(self) -> bool:
        """Whether a person stands behind the mask, so that models may be trained on it."""
        return self in (Origin.SOURCE, Origin.ACCEPTED, Origin.REVISED)

    @property
    def rank(self) -> int:
        """Order of precedence where two classes claim a voxel: the higher wins."""
        return list(Origin).index(self)


@dataclass(frozen=True)
class Neighbour:
    """A class whose decision changed the mask of another: it took voxels from it, or gave it some."""

    class_name: str
    reviewer: str
    """Who decided on the neighbour; empty for a source label."""
    bundle: str


@dataclass(frozen=True)
class Signature:
    """One signature of a return that counts."""

    key: str
    """Fingerprint of the key, `SHA256:…`."""
    received: str
    """When it came, in UTC, such as `2026-03-01T12:30:00+00:00`."""

    def __str__(self) -> str:
        return f"{self.key}@{self.received}"

    @classmethod
    def parse(cls, text: str) -> Signature:
        """The signature that `str` wrote."""
        key, _, at = text.partition("@")
        datetime.fromisoformat(at)
        return cls(key, at)


@dataclass(frozen=True)
class WeakMark:
    """A weak label that a mask was predicted from."""

    kind: str
    """Such as `recist`."""
    source: str
    """What it came as, such as `deeplesion`."""
    sha256: str
    """Hash of what it says on the grid of the image."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.source}/{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> WeakMark:
        """The weak label that `str` wrote."""
        kind, source, sha256 = text.split("/")
        return cls(kind, source, sha256)


@dataclass(frozen=True)
class Entry:
    """One row of the ledger."""

    case_id: str
    class_name: str
    version: int
    """Round in which this mask was written or last decided on."""
    origin: Origin
    model_ids: tuple[str, ...]
    """Models whose ensemble proposed the mask; empty for a source label."""
    reviewer: str
    bundle: str
    """SHA-256 of the returned bundle that decided; empty where nobody did."""
    mask_sha256: str
    previous_mask_sha256: str
    """Mask of the version before; empty where there was none."""
    ml: float
    changed_by: tuple[Neighbour, ...] = ()
    """Neighbours that changed the mask after `bundle` decided on it, or in the same round; the oldest first."""
    resampled: bool = False
    """Whether what the reviewer returned lay on other voxels than the image, and was resampled."""
    signatures: tuple[Signature, ...] = ()
    """Those of the return that decided; empty where it is not signed, or a part of it is not."""
    weak: tuple[WeakMark, ...] = ()
    """Weak labels that the model was told of whose mask was proposed; empty where it was told of none."""


Ledger = dict[tuple[str, str], Entry]
"""Entries by (case, class)."""

_COLUMNS = tuple(f.name for f in fields(Entry))
TABLE = TableFormat(
    "ledger",
    "a ledger",
    tuple(_COLUMNS[:count] for count in range(len(_COLUMNS) - 4, len(_COLUMNS) + 1)),
    (adding(changed_by=""), adding(resampled=""), adding(signatures=""), adding(weak="")),
)
"""1: before neighbours were told; 2: with `changed_by`; 3: with `resampled`, which is empty or says how; 4: with
`signatures`, as `KEY@TIME` of receipt; 5: with `weak`, as `KIND/SOURCE/SHA256`."""
RESAMPLED = "nearest"
FORMAT = TABLE.number


def read_ledger(path: Path | str) -> Ledger:
    """Read a ledger; a file that is not there is an empty ledger."""
    text = read_text_if_there(path)
    return {} if text is None else parse_ledger(text, str(path))


def parse_ledger(text: str, what: str) -> Ledger:
    """Parse the text of a ledger of any format so far.

    Parameters
    ----------
    what
        Names it in errors: its path, with " at TAG" where it was read from a version.
    """
    ledger: Ledger = {}
    with TABLE.rows(text, what) as rows:
        for row in rows:
            entry = Entry(
                row["case_id"],
                row["class_name"],
                int(row["version"]),
                Origin(row["origin"]),
                tuple(row["model_ids"].split(";")) if row["model_ids"] else (),
                row["reviewer"],
                row["bundle"],
                row["mask_sha256"],
                row["previous_mask_sha256"],
                float(row["ml"]),
                tuple(map(_neighbour, filter(None, row["changed_by"].split(";")))),
                row["resampled"] == RESAMPLED,
                tuple(map(Signature.parse, filter(None, row["signatures"].split(";")))),
                tuple(map(WeakMark.parse, filter(None, row["weak"].split(";")))),
            )
            if (entry.case_id, entry.class_name) in ledger:
                raise ValueError(f"a second row of case {entry.case_id}, class {entry.class_name}")
            ledger[entry.case_id, entry.class_name] = entry
    return ledger


def write_ledger(path: Path | str, ledger: Ledger, class_order: list[str]) -> None:
    """Write a ledger sorted by case, then by the order of the schema; replaces the file, never edits it.

    Raises
    ------
    VoxledgerError
        It has a class that the schema lacks.
    """
    unknown = sorted({e.class_name for e in ledger.values()} - set(class_order))
    if unknown:
        raise VoxledgerError(
            f"{path} has {', '.join(unknown)}, which {layout.SCHEMA} lacks",
            f"a class is renamed with `voxledger schema rename {unknown[0]} NEW` and taken out with `voxledger schema "
            f"retire {unknown[0]} --reason …`: bring back {layout.SCHEMA} (`git checkout {layout.SCHEMA}`) and do that",
        )
    ordered = sorted(ledger.values(), key=lambda e: (e.case_id, class_order.index(e.class_name)))
    write_table(path, TABLE.columns, map(_to_row, ordered))


def _to_row(entry: Entry) -> dict[str, Any]:
    return {
        **vars(entry),
        "model_ids": ";".join(entry.model_ids),
        "origin": entry.origin.value,
        "ml": f"{entry.ml:.4f}",
        "changed_by": ";".join(f"{n.class_name}/{n.reviewer}/{n.bundle}" for n in entry.changed_by),
        "resampled": RESAMPLED if entry.resampled else "",
        "signatures": ";".join(map(str, entry.signatures)),
        "weak": ";".join(map(str, entry.weak)),
    }


def _neighbour(text: str) -> Neighbour:
    class_name, reviewer, bundle = text.split("/")
    return Neighbour(class_name, reviewer, bundle)


def by_case(ledger: Ledger) -> dict[str, dict[str, Entry]]:
    """Rows of every case that has any, by case and class."""
    found: dict[str, dict[str, Entry]] = {}
    for (case_id, class_name), entry in ledger.items():
        found.setdefault(case_id, {})[class_name] = entry
    return found


def last_reviewed(ledger: Ledger, case_ids: set[str]) -> tuple[int, int]:
    """Of the cases that people decided on in the last round in which they did: how many needed revision, of how many.

    A case needed it if any of its classes was revised or rejected.
    """
    decided = [
        e
        for e in ledger.values()
        if e.case_id in case_ids and e.origin in (Origin.ACCEPTED, Origin.REVISED, Origin.REJECTED) and e.bundle
    ]
    latest = max((e.version for e in decided), default=None)
    now = [e for e in decided if e.version == latest]
    wrong = {e.case_id for e in now if e.origin is not Origin.ACCEPTED}
    return len(wrong), len({e.case_id for e in now})
