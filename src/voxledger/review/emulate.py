"""An emulated reader: plays a reviewer from reference labels, on the very bundle that a person would get.

How it reads is a `Reader`: by the reference, everywhere or where attention points (`review/by_reference.py`), or by
clicks on a model (`review/clicks.py`). It stands outside the pipeline: what it returns goes through `receive` and the
gate as a person's return does, with a note that no person made it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from voxledger.bundles.checks.renumbered import exchanged
from voxledger.bundles.merge import LabelMap, Mask
from voxledger.errors import Misuse
from voxledger.imaging.format import suffixes
from voxledger.imaging.intact import read_whole_label
from voxledger.imaging.volume import Volume, read, read_label, write
from voxledger.records.bundle import ATTENTION, IMAGES, LABELS, MANIFEST, Manifest, read_manifest
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, to_csv
from voxledger.records.error_kind import MIXED_UP, ErrorKind
from voxledger.records.page_notes import read_page_notes
from voxledger.review.receive import Received, receive
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

_SIDES = (("left", "right"), ("right", "left"))


@dataclass(frozen=True)
class Read:
    """What the reader makes of one case: the corrected label map, and a row for every class asked."""

    labels: LabelMap
    rows: list[Row]


@dataclass(frozen=True)
class Shown:
    """What the reader has of one case: what a person is shown, and the reference."""

    case_id: str
    schema: LabelSchema
    image: Path
    proposal: Volume
    """Label map of innermost ids (z, y, x) on its grid."""
    reference: LabelMap
    attention: LabelMap | None
    """Where an error is likely: innermost ids of the classes in question (z, y, x); None where nobody predicted it."""
    asked: Sequence[str]
    """Classes to judge."""
    unknown: frozenset[str] = frozenset()
    """Classes that no model of the case knows: nothing points at them."""


class Reader(Protocol):
    """One way to read."""

    def read(self, shown: Shown) -> Read:
        """Judge and correct one case."""

    def note(self, folder: Path) -> None:
        """Write what is to be kept beside the decisions on all cases read."""


def dice(a: Mask, b: Mask) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def name_exchanged(
    schema: LabelSchema, proposal: LabelMap, labels: LabelMap, decisions: dict[str, tuple[Decision, ErrorKind]]
) -> None:
    """Say of a class that comes back as another that it was mixed up: otherwise that looks like a slip."""
    for pair in exchanged(schema, proposal, labels):
        both = [*schema.chain(pair[1]), *schema.chain(pair[0])]
        revised = [n for n in both if n in decisions and decisions[n][0] is Decision.REVISE]
        if revised and all(decisions[n][1] not in MIXED_UP for n in revised):
            decisions[revised[0]] = Decision.REVISE, ErrorKind.WRONG_CLASS


def error_type(schema: LabelSchema, name: str, proposal: LabelMap, reference: LabelMap) -> ErrorKind:
    """The kind of error that most of the differing voxels of a class belong to."""
    before, truth = schema.mask(proposal, name), schema.mask(reference, name)
    other_side = next((name.replace(a, b) for a, b in _SIDES if a in name), name)
    if other_side != name and other_side in schema.names and before.any():
        crossed = before & schema.mask(reference, other_side)
        if 2 * int(crossed.sum()) > int(before.sum()):
            return ErrorKind.LEFT_RIGHT
    differs = before != truth
    others = np.where(before, reference, proposal)[differs]
    related = [0, *(c.id for c in schema.classes if name in schema.chain(c.name) or c.name in schema.chain(name))]
    if 2 * int((~np.isin(others, related)).sum()) > int(differs.sum()):
        return ErrorKind.WRONG_CLASS
    if not before.any():
        return ErrorKind.FALSE_NEGATIVE
    if not truth.any():
        return ErrorKind.FALSE_POSITIVE
    return _by_components(before, truth, int(differs.sum()))


def _by_components(before: Mask, truth: Mask, differing: int) -> ErrorKind:
    import cc3d

    pieces, n_pieces = cc3d.connected_components(before.astype(np.uint8), connectivity=26, return_N=True)
    parts, n_parts = cc3d.connected_components(truth.astype(np.uint8), connectivity=26, return_N=True)
    met_pieces, met_parts = np.unique(pieces[truth]), np.unique(parts[before])
    spurious = int((before & ~np.isin(pieces, met_pieces)).sum())
    missed = int((truth & ~np.isin(parts, met_parts)).sum())
    if 2 * spurious > differing:
        return ErrorKind.FALSE_POSITIVE
    if 2 * missed > differing:
        return ErrorKind.FALSE_NEGATIVE
    pairs = np.unique(np.stack([pieces[before & truth], parts[before & truth]]), axis=1)
    if pairs.size and np.bincount(pairs[0]).max() > 1 and n_pieces < n_parts:
        return ErrorKind.MERGED
    if pairs.size and np.bincount(pairs[1]).max() > 1 and n_pieces > n_parts:
        return ErrorKind.SPLIT
    return ErrorKind.BOUNDARY


def emulate_bundle(bundle: Path, reference: Path, bundles: Path, inbox: Path, reader: Reader) -> Received:
    """Review one exported bundle, knowing reference labels `<case>.nii.gz` (or another format), and hand it in.

    Raises
    ------
    Misuse
        A case has no reference label.
    UnreadableImage
        A reference label is truncated or damaged.
    """
    manifest = read_manifest((bundle / MANIFEST).read_bytes(), str(bundle / MANIFEST))
    with tempfile.TemporaryDirectory(prefix="voxledger-") as temporary:
        folder = Path(temporary) / bundle.name
        shutil.copytree(bundle, folder)
        rows: list[Row] = []
        unknown = _unknown(manifest, folder)
        for case_id in manifest.cases:
            rows += _review(manifest, folder, case_id, reference, reader, unknown[case_id])
        # A bundle under DVC may be read-only, and so is its copy.
        (folder / DECISIONS).unlink()
        replace_text(folder / DECISIONS, to_csv(rows))
        reader.note(folder)
        return receive(folder, bundles, inbox, manifest.round)


def _unknown(manifest: Manifest, folder: Path) -> dict[str, frozenset[str]]:
    """Classes that no model of a case knows, by case; where the bundle does not say so, those it has nothing of."""
    known = {case_id: notes.known for case_id, notes in read_page_notes(folder).items()}
    every, older = frozenset(manifest.label_schema.names), frozenset[str]()
    if any(known.get(case_id) is None for case_id in manifest.cases):
        older = _unproposed(manifest, folder)
    return {c: older if (of_case := known.get(c)) is None else every - of_case for c in manifest.cases}


def _unproposed(manifest: Manifest, folder: Path) -> frozenset[str]:
    """Classes that are in no proposal and no attention of a bundle."""
    schema, ids = manifest.label_schema, {0}
    for case_id in manifest.cases:
        for file in (_label(folder, case_id), _hint(folder, case_id)):
            ids |= set(np.unique(read_label(file)).tolist()) if file.is_file() else set()
    return frozenset(name for name in schema.names if not ids.intersection(schema.ids_of(name)))


def _label(folder: Path, case_id: str) -> Path:
    return folder / LABELS / f"{case_id}.nii.gz"


def _hint(folder: Path, case_id: str) -> Path:
    return folder / ATTENTION / f"{case_id}_attention.nii.gz"


def _review(
    manifest: Manifest, folder: Path, case_id: str, reference: Path, reader: Reader, unknown: frozenset[str]
) -> list[Row]:
    path = _label(folder, case_id)
    proposal = read(path)
    truth_file = next((f for s in suffixes() if (f := reference / f"{case_id}{s}").is_file()), None)
    if truth_file is None:
        raise Misuse(f"{reference} has no reference label of case {case_id}", f"add {case_id}.nii.gz there")
    truth = read_whole_label(truth_file, proposal.grid)
    manifest.label_schema.check(truth, str(truth_file))
    hint = _hint(folder, case_id)
    attention = read_label(hint, proposal.grid) if hint.is_file() else None
    asked = [a.class_name for a in manifest.asked if a.case_id == case_id]
    image = folder / IMAGES / f"{case_id}.nii.gz"
    shown = Shown(case_id, manifest.label_schema, image, proposal, truth, attention, asked, unknown)
    result = reader.read(shown)
    if not np.array_equal(result.labels, proposal.array):
        write(path, result.labels, proposal.grid)
    touched = [
        n for n in manifest.label_schema.names if n not in asked and _changed(manifest, n, proposal.array, result)
    ]
    return [*result.rows, *(Row(case_id, n, confirmed=True) for n in touched)]


def _changed(manifest: Manifest, name: str, proposal: LabelMap, result: Read) -> bool:
    schema = manifest.label_schema
    return not np.array_equal(schema.mask(proposal, name), schema.mask(result.labels, name))
