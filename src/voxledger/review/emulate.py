"""An emulated reader: plays a reviewer from reference labels, on the very bundle that a person would get.

It accepts a class whose Dice with the reference reaches a bound, rejects it below another one, and otherwise corrects
it: first inside the attention, and only if that is not enough everywhere. It stands outside the pipeline: what it
returns goes through `receive` and the gate, and looks like a person's return.
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
from voxledger.review.receive import Received, receive
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

SERIES_MINUTES = 3 + 43 / 60
"""To check a case, and to correct its organs: 3'43" a series with a model's proposal, which SAIM reports for kidneys in
MR (Sharing is Caring, section 4.3)."""
SERIES_SCRATCH_MINUTES = 15.0
"""To label the organs of a case from nothing: 15 minutes a series, of the same comparison (SAIM)."""
LESION_MINUTES = 15.0
"""To revise a case with a lesion: what AbdomenAtlas-8K assumes for any case."""
LESION_SCRATCH_MINUTES = 43.0
"""To label a case with a lesion from nothing: 216 hours for 300 scans (EfficientAnno, Efficient Human-in-the-Loop
Pancreatic Tumor Annotation)."""

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
    attention: Mask
    """Where an error is likely (z, y, x)."""
    asked: Sequence[str]
    """Classes to judge."""


class Reader(Protocol):
    """One way to read."""

    def read(self, shown: Shown) -> Read:
        """Judge and correct one case."""

    def note(self, folder: Path) -> None:
        """Write what is to be kept beside the decisions on all cases read."""


@dataclass(frozen=True)
class ByReference:
    """Takes what it does not accept from the reference, see `read_case`."""

    bound: float
    """Dice from which a class is accepted."""
    reject_below: float = 0.0
    """Dice below which it is rejected."""

    def read(self, shown: Shown) -> Read:
        """Judge and correct one case."""
        labels = shown.proposal.array, shown.reference, shown.attention
        return read_case(shown.schema, shown.case_id, *labels, shown.asked, self.bound, self.reject_below)

    def note(self, folder: Path) -> None:
        """Nothing."""


def dice(a: Mask, b: Mask) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def read_case(
    schema: LabelSchema,
    case_id: str,
    proposal: LabelMap,
    reference: LabelMap,
    attention: Mask,
    asked: Sequence[str],
    bound: float,
    reject_below: float = 0.0,
) -> Read:
    """Judge and correct one case.

    Corrections are painted on the whole label map, outer classes before inner ones. A voxel taken from a class
    becomes what the reference says there, or falls back to the class around it.

    Parameters
    ----------
    proposal, reference
        Label maps of innermost ids (z, y, x).
    attention
        Where an error is likely (z, y, x).
    asked
        Classes to judge.
    bound
        Dice from which a class is accepted.
    reject_below
        Dice below which a class is rejected, and not corrected, as in the pipeline of Tartu.
    """
    largest = max(int(proposal.max()), *(c.id for c in schema.classes))
    labels = proposal.astype(np.min_scalar_type(largest))
    decisions: dict[str, tuple[Decision, ErrorKind]] = {}
    for name in sorted(asked, key=lambda n: (len(schema.chain(n)), schema[n].id)):
        before, truth = schema.mask(proposal, name), schema.mask(reference, name)
        if dice(before, truth) >= bound:
            decisions[name] = Decision.ACCEPT, ErrorKind.NONE
            continue
        kind = error_type(schema, name, proposal, reference)
        if dice(before, truth) < reject_below:
            decisions[name] = Decision.REJECT, kind
            continue
        for region in (attention, np.ones_like(attention)):
            if dice(schema.mask(labels, name), truth) < bound:
                _correct(schema, name, labels, reference, truth, region)
        decisions[name] = Decision.REVISE, kind
    name_exchanged(schema, proposal, labels, decisions)
    minutes = _minutes(schema, decisions, proposal, reference)
    # The reference is right, whatever looks wrong about the way from the proposal to it.
    rows = [Row(case_id, n, decisions[n][0], minutes[n], decisions[n][1], confirmed=True) for n in asked]
    return Read(labels, rows)


def name_exchanged(
    schema: LabelSchema, proposal: LabelMap, labels: LabelMap, decisions: dict[str, tuple[Decision, ErrorKind]]
) -> None:
    """Say of a class that comes back as another that it was mixed up: otherwise that looks like a slip."""
    for pair in exchanged(schema, proposal, labels):
        both = [*schema.chain(pair[1]), *schema.chain(pair[0])]
        revised = [n for n in both if n in decisions and decisions[n][0] is Decision.REVISE]
        if revised and all(decisions[n][1] not in MIXED_UP for n in revised):
            decisions[revised[0]] = Decision.REVISE, ErrorKind.WRONG_CLASS


def _correct(schema: LabelSchema, name: str, labels: LabelMap, reference: LabelMap, truth: Mask, region: Mask) -> None:
    has = schema.mask(labels, name)
    labels[region & truth & ~has] = schema[name].id
    wrong = region & has & ~truth
    outer = schema[name].inside
    fallback = schema[outer].id if outer is not None else 0
    labels[wrong] = np.where(reference[wrong] != 0, reference[wrong], fallback)


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


def _minutes(
    schema: LabelSchema,
    decisions: dict[str, tuple[Decision, ErrorKind]],
    proposal: LabelMap,
    reference: LabelMap,
) -> dict[str, float]:
    """Minutes by class: the cost of the case, split over what took the time, in hundredths that add up to it."""
    revised = [n for n, (decision, _) in decisions.items() if decision is Decision.REVISE]
    lesion = any(schema[n].lesion and schema.mask(reference, n).any() for n in decisions)
    nothing = not any(schema.mask(proposal, n).any() for n in decisions)
    if revised and nothing:
        cost = LESION_SCRATCH_MINUTES if lesion else SERIES_SCRATCH_MINUTES
    else:
        cost = LESION_MINUTES if revised and lesion else SERIES_MINUTES
    payers = revised or list(decisions)
    share, rest = divmod(round(cost * 100), len(payers))
    hundredths = {n: share + (i < rest) for i, n in enumerate(payers)}
    return {n: hundredths.get(n, 0) / 100 for n in decisions}


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
        for case_id in manifest.cases:
            rows += _review(manifest, folder, case_id, reference, reader)
        # A bundle under DVC may be read-only, and so is its copy.
        (folder / DECISIONS).unlink()
        replace_text(folder / DECISIONS, to_csv(rows))
        reader.note(folder)
        return receive(folder, bundles, inbox, manifest.round)


def _review(manifest: Manifest, folder: Path, case_id: str, reference: Path, reader: Reader) -> list[Row]:
    path = folder / LABELS / f"{case_id}.nii.gz"
    proposal = read(path)
    truth_file = next((f for s in suffixes() if (f := reference / f"{case_id}{s}").is_file()), None)
    if truth_file is None:
        raise Misuse(f"{reference} has no reference label of case {case_id}", f"add {case_id}.nii.gz there")
    truth = read_whole_label(truth_file, proposal.grid)
    manifest.label_schema.check(truth, str(truth_file))
    hint = folder / ATTENTION / f"{case_id}_attention.nii.gz"
    attention = read_label(hint, proposal.grid) != 0 if hint.is_file() else np.zeros(truth.shape, bool)
    asked = [a.class_name for a in manifest.asked if a.case_id == case_id]
    image = folder / IMAGES / f"{case_id}.nii.gz"
    result = reader.read(Shown(case_id, manifest.label_schema, image, proposal, truth, attention, asked))
    if not np.array_equal(result.labels, proposal.array):
        write(path, result.labels, proposal.grid)
    touched = [
        n for n in manifest.label_schema.names if n not in asked and _changed(manifest, n, proposal.array, result)
    ]
    return [*result.rows, *(Row(case_id, n, confirmed=True) for n in touched)]


def _changed(manifest: Manifest, name: str, proposal: LabelMap, result: Read) -> bool:
    schema = manifest.label_schema
    return not np.array_equal(schema.mask(proposal, name), schema.mask(result.labels, name))
