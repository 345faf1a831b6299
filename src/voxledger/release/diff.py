"""What changed between two versions: per case and class, in voxels and millilitres, and by whom."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.casemap.each import WORTH_BYTES, each
from voxledger.disk import disk_failure
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, read, read_label, require_same_grid
from voxledger.records.ledger import Entry, Ledger, by_case, parse_ledger
from voxledger.records.readings import Outcome, Reading
from voxledger.release.trace import readings_at, schema_at
from voxledger.repository import commit_of, file_at
from voxledger.schema import LabelSchema, pair

WORTH_CASES = 16
"""Cases with another mask from which several processes compare them."""


@dataclass(frozen=True)
class Change:
    """One mask that differs between two versions; voxel counts are None where the files were not compared."""

    case_id: str
    class_name: str
    """As the newer version calls it; of a class that it no longer has, as the older one does."""
    kind: str
    """`added` (new in the ledger), `removed` (no longer in it), `changed` (another mask), `decided` (same mask),
    `pending` (same mask, as its readers did not agree)."""
    voxels_added: int
    voxels_removed: int
    ml_before: float
    ml_after: float
    dice: float | None
    """Overlap of both masks; None where both are empty."""
    origin_before: str
    origin_after: str
    by: str
    """Reviewer of the newer mask, or the models that predicted it; why a class was retired."""
    readings: tuple[Reading, ...] = ()
    """What several readers said of it since the older version."""


def diff(old: str, new: str) -> list[Change]:
    """Compare two versions, sorted by case and class; unchanged masks are found by hash and never read.

    Each version is read with its own labels.yaml; classes are paired through the renamings on record.

    Raises
    ------
    Misuse
        One of the tags is not a version.
    VoxledgerError
        A label that has to be compared is neither in the cache nor on the remote.
    """
    for tag in (old, new):
        commit_of(tag)
    schemas = schema_at(old), schema_at(new)
    names = pair(*schemas)
    older, after = _ledger(old), _ledger(new)
    before = {(c, names.get(n, n)): e for (c, n), e in older.items()}
    said = _said_since(old, new, schemas[1])
    changed = [
        key for key in sorted(before.keys() | after.keys()) if key in said or _differs(before.get(key), after.get(key))
    ]
    order = [*schemas[1].names, *(n for n in schemas[0].names if n not in names)]
    rows, cases = (by_case(older), by_case(after)), []
    for case_id, keys in groupby(changed, lambda key: key[0]):
        pairs = {name: (before.get((case_id, name)), after.get((case_id, name))) for _, name in keys}
        pairs = dict(sorted(pairs.items(), key=lambda pair: order.index(pair[0])))
        entries = tuple(tuple(part.get(case_id, {}).values()) for part in rows)
        cases.append(_Case(case_id, pairs, (old, new), schemas, entries[0], entries[1]))
    worth = sum(case.redrawn for case in cases) >= WORTH_CASES
    found = each("diff", _changes, cases, lambda case: case.case_id, WORTH_BYTES if worth else 0)
    changes = [change for of_case in found for change in of_case]
    return [_with_readings(change, said.get((change.case_id, change.class_name), [])) for change in changes]


def _said_since(old: str, new: str, schema: LabelSchema) -> dict[tuple[str, str], list[Reading]]:
    """What several readers said between two versions, by case and class, as the newer version calls it."""
    before, found = set(readings_at(old)), dict[tuple[str, str], list[Reading]]()
    for reading in readings_at(new):
        name = schema.renamed(reading.class_name)
        if reading.consensus and reading not in before and name is not None:
            found.setdefault((reading.case_id, name), []).append(reading)
    return found


def _with_readings(change: Change, said: Sequence[Reading]) -> Change:
    pending = change.kind == "decided" and any(reading.outcome is Outcome.PENDING for reading in said)
    return replace(change, kind="pending" if pending else change.kind, readings=tuple(said))


@dataclass(frozen=True)
class _Case:
    """What changed in one case."""

    case_id: str
    pairs: dict[str, tuple[Entry | None, Entry | None]]
    """Rows of both ledgers by class, as the newer version calls it, in the order of its classes."""
    tags: tuple[str, str]
    schemas: tuple[LabelSchema, LabelSchema]
    older: tuple[Entry, ...]
    """All rows of the case, also of classes that did not change."""
    newer: tuple[Entry, ...]

    @property
    def redrawn(self) -> bool:
        """Whether any mask is another."""
        return any(_mask(old) != _mask(new) for old, new in self.pairs.values())


def _changes(case: _Case) -> list[Change]:
    redrawn = [pair for pair in case.pairs.values() if _mask(pair[0]) != _mask(pair[1])]
    a = _label_at(case.tags[0], case.case_id, case.older) if any(old for old, _ in redrawn) else None
    b = _label_at(case.tags[1], case.case_id, case.newer) if any(new for _, new in redrawn) else None
    return [_change(name, old, new, a, b, case.schemas) for name, (old, new) in case.pairs.items()]


def renamings(old: str, new: str) -> list[str]:
    """What happened to classes between two versions, a line each."""
    schemas = schema_at(old), schema_at(new)
    names = pair(*schemas)
    lines = [f"{a} is called {b}" for a, b in names.items() if a != b]
    gone = [n for n in schemas[0].names if n not in names]
    return lines + [f"{n}: {schemas[1].told_of(n) or 'is no class any more'}" for n in gone]


def _ledger(tag: str) -> Ledger:
    text = file_at(tag, layout.RELEASE_LEDGER)
    if text is None:
        raise Misuse(f"{tag} has no {layout.RELEASE_LEDGER}", "name a closed round, such as round-01")
    return parse_ledger(text, f"{layout.RELEASE_LEDGER} at {tag}")


def _differs(a: Entry | None, b: Entry | None) -> bool:
    if a is None or b is None:
        return True
    return (a.mask_sha256, a.origin, a.bundle) != (b.mask_sha256, b.origin, b.bundle)


def _mask(entry: Entry | None) -> str:
    return entry.mask_sha256 if entry else ""


def _change(
    name: str,
    old: Entry | None,
    new: Entry | None,
    a: tuple[npt.NDArray[Any], Grid] | None,
    b: tuple[npt.NDArray[Any], Grid] | None,
    schemas: tuple[LabelSchema, LabelSchema],
) -> Change:
    entry = new or old
    assert entry is not None
    ml_before, ml_after = old.ml if old else 0.0, new.ml if new else 0.0
    added, removed, dice = 0, 0, 1.0 if ml_after else None
    if old is None or new is None:
        kind = "added" if old is None else "removed"
    else:
        kind = "changed" if old.mask_sha256 != new.mask_sha256 else "decided"
    if kind != "decided":
        if a and b:
            require_same_grid(a[1], b[1], f"the older label of case {entry.case_id}")
        mask_a = schemas[0].mask(a[0], old.class_name) if a and old else np.zeros(1, bool)
        mask_b = schemas[1].mask(b[0], new.class_name) if b and new else np.zeros(1, bool)
        size_a, size_b = int(mask_a.sum()), int(mask_b.sum())
        common = int((mask_a & mask_b).sum())
        added, removed = size_b - common, size_a - common
        dice = 2 * common / (size_a + size_b) if size_a + size_b else None
    return Change(
        case_id=entry.case_id,
        class_name=name,
        kind=kind,
        voxels_added=added,
        voxels_removed=removed,
        ml_before=ml_before,
        ml_after=ml_after,
        dice=dice,
        origin_before=old.origin.value if old else "",
        origin_after=new.origin.value if new else "",
        by=(new.reviewer or ", ".join(m[:12] for m in new.model_ids)) if new else schemas[1].told_of(name),
    )


@cache
def _files_at(tag: str, repository: Path) -> Any:
    from dvc.api import DVCFileSystem

    return DVCFileSystem(str(repository), rev=tag)


def _label_at(tag: str, case_id: str, rows: Sequence[Entry]) -> tuple[npt.NDArray[Any], Grid] | None:
    """Label map and grid of a case at a tag, from DVC's cache or remote.

    None where every mask is empty: older versions wrote no label file then. A label that is lacking is no empty one.
    """
    from dvc_data.index import DataIndexDirError

    # Empty masks on one grid have one hash.
    if not any(entry.ml for entry in rows) and len({entry.mask_sha256 for entry in rows}) == 1:
        return None
    path = layout.label_map(layout.RELEASE_LABELS, case_id).as_posix()
    with tempfile.TemporaryDirectory() as folder:
        local = str(Path(folder) / f"{case_id}.nii.gz")
        try:
            _files_at(tag, Path.cwd()).get_file(path, local)
        except (OSError, DataIndexDirError) as error:
            if disk_failure(error) is not None:
                raise
            raise VoxledgerError(
                f"{path} of {tag} is neither in the cache nor on the remote: {error}",
                "run `dvc fetch --all-tags`, or ask whoever has the remote",
            ) from None
        return read_label(local), read(local).grid
