"""Checking one returned bundle against the one that was sent: everything that is wrong, and all that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.bundles.contradictions import Opinion, contradictions, disputes, unchanged
from voxledger.bundles.label_file import EXPORT_SEGMENTATION, read_returned_label
from voxledger.errors import BundleRefused, VoxledgerError
from voxledger.imaging.formats.seg_nrrd import PROBLEM as SEGMENTATION
from voxledger.imaging.formats.seg_nrrd import is_segmentation
from voxledger.imaging.volume import Grid, file_sha256, read, read_grid
from voxledger.records.bundle import (
    ATTENTION,
    IMAGES,
    LABELS,
    MANIFEST,
    WEAK,
    Manifest,
    content_sha256,
    is_image_like,
    is_returned,
    label_case,
    list_files,
    says_what_was_sent,
    size_bound,
)
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Row, read_decisions

SAME_CASE = 0.9
"""Dice of the foreground from which a label is taken for that of the case it is compared with."""
OTHER_CASE = 0.6
"""Dice of the foreground with its own proposal below which a label is compared with other cases."""

_LOOKED_AT = (f"{IMAGES}/", f"{ATTENTION}/", f"{WEAK}/")
_SENT = "put the original from the bundle that was sent back in its place"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or missing, where it is, and what to do."""

    bundle: str
    problem: str
    remedy: str
    case_id: str = ""
    class_name: str = ""
    file: str = ""

    def __str__(self) -> str:
        where = [self.bundle]
        where += [f"case {self.case_id}"] if self.case_id else []
        where += [f"class {self.class_name}"] if self.class_name else []
        where += [self.file] if self.file else []
        return f"{', '.join(where)}: {self.problem}\n      → {self.remedy}"


@dataclass
class Checked:
    """What a returned bundle is worth."""

    manifest: Manifest
    folder: Path
    problems: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of decisions and labels, by path."""

    @property
    def decided(self) -> int:
        """Rows asked for that have a decision."""
        keys = {(a.case_id, a.class_name) for a in self.manifest.asked}
        return sum(row.decision is not None for key, row in self.rows.items() if key in keys)

    @property
    def sha256(self) -> str:
        return content_sha256(self.manifest.id, self.files)


def check_bundle(manifest: Manifest, exported: Path, returned: Path) -> Checked:
    """Check a returned folder whose manifest is the exported one.

    Never raises for what a reviewer did: every problem of every file is listed.
    """
    checked = Checked(manifest, returned)
    name = returned.name
    paths = []
    for path in list_files(returned):
        file = returned / path
        if not _is_plain(file):
            checked.problems.append(Finding(name, "is not a plain file", "replace it by the file itself", file=path))
        elif (
            file.stat().st_size > (bound := size_bound(manifest, path))
            and (is_returned(path) or path in manifest.files)
            and label_case(path, manifest.cases) is None  # its header says more: see `read_returned_label`
        ):
            problem = f"is {file.stat().st_size} bytes long, at most {bound} are possible"
            checked.problems.append(Finding(name, problem, "remove or replace it", file=path))
        else:
            paths.append(path)
            if is_returned(path):
                checked.files[path] = file_sha256(file)
    if MANIFEST in paths and not says_what_was_sent((returned / MANIFEST).read_bytes(), manifest):
        checked.problems.append(Finding(name, "differs from the one that was sent", _SENT, file=MANIFEST))
    checked.problems.extend(_sent_files(manifest, returned, paths))
    labels = _label_files(checked, paths)
    _decisions(checked, paths)
    strange = {c: labels[c] for c in manifest.cases if c in labels and _labels(checked, exported, c, labels[c])}
    checked.problems.extend(_exchanged(checked, exported, strange))
    return checked


def _is_plain(file: Path) -> bool:
    """A regular file; a link only into a DVC cache, where `dvc add` may have put it."""
    return file.is_file() and (not file.is_symlink() or "/files/md5/" in file.resolve().as_posix())


def _sent_files(manifest: Manifest, returned: Path, paths: list[str]) -> list[Finding]:
    """Files that were sent to be looked at, if they came back, must be the same; strange images are named."""
    found = []
    for path in paths:
        file = manifest.files.get(path)
        if is_returned(path) or path == MANIFEST:
            continue
        if file is None:
            if is_segmentation(returned / path):
                found.append(Finding(returned.name, SEGMENTATION, EXPORT_SEGMENTATION, file=path))
            elif is_image_like(path):
                remedy = f"if it is a corrected label, save it as {LABELS}/<case>.nii.gz; otherwise remove it"
                found.append(Finding(returned.name, "is not a file of the bundle", remedy, file=path))
        elif path.startswith(_LOOKED_AT) and file_sha256(returned / path) != file.sha256:
            case = next((c for c in manifest.cases if path == f"{IMAGES}/{c}.nii.gz"), "")
            problem = "was altered or damaged since it was sent; labels drawn on it cannot be relied on"
            found.append(Finding(returned.name, problem, _SENT, case, file=path))
    return found


def _label_files(checked: Checked, paths: list[str]) -> dict[str, str]:
    """The one label file of every case."""
    name, cases = checked.folder.name, checked.manifest.cases
    by_case: dict[str, list[str]] = {}
    for path in paths:
        if not path.startswith(f"{LABELS}/"):
            continue
        case = label_case(path, cases)
        if case is None and is_segmentation(checked.folder / path):
            named = next((c for c in cases if path.lower() == f"{LABELS}/{c}.seg.nrrd".lower()), "")
            checked.problems.append(Finding(name, SEGMENTATION, EXPORT_SEGMENTATION, named, file=path))
        elif case is None:
            remedy = f"save the label of a case as {LABELS}/<case>.nii.gz, and remove what is not one"
            checked.problems.append(Finding(name, "is not the label of a case of this bundle", remedy, file=path))
        else:
            by_case.setdefault(case, []).append(path)
    for case in cases:
        files = by_case.get(case, [])
        if not files:
            sent = f"{LABELS}/{case}.nii.gz"
            remedy = "add it, corrected or as it was sent"
            checked.missing.append(Finding(name, "the label is missing", remedy, case, file=sent))
        elif len(files) > 1:
            problem = f"there are {len(files)} labels of one case: {', '.join(files)}"
            checked.problems.append(Finding(name, problem, "keep the one that counts, remove the others", case))
    return {case: files[0] for case, files in by_case.items() if len(files) == 1}


def _decisions(checked: Checked, paths: list[str]) -> None:
    name, manifest = checked.folder.name, checked.manifest
    if DECISIONS not in paths:
        checked.missing.append(Finding(name, "the table is missing", "add it, filled in", file=DECISIONS))
        return
    table = read_decisions(checked.folder / DECISIONS)
    for case, class_name, problem in table.problems:
        remedy = "correct the line" if case else "save it as CSV with the columns that were sent"
        checked.problems.append(Finding(name, problem, remedy, case, class_name, DECISIONS))
    asked = {(a.case_id, a.class_name) for a in manifest.asked}
    for (case, class_name), row in table.rows.items():
        if case not in manifest.cases or class_name not in manifest.label_schema.names:
            problem = "there is no such case and class in this bundle (a spreadsheet may have changed the name)"
            remedy = "restore the names that were sent"
            checked.problems.append(Finding(name, problem, remedy, case, class_name, DECISIONS))
        elif row.decision is not None or (case, class_name) in asked:
            checked.rows[case, class_name] = row
    broken = {(case, class_name) for case, class_name, _ in table.problems}
    for key in sorted(asked - broken):
        if key not in checked.rows or checked.rows[key].decision is None:
            remedy = "write accept, revise or reject"
            checked.missing.append(Finding(name, "has no decision", remedy, *key, DECISIONS))


def _exchanged(checked: Checked, exported: Path, strange: Mapping[str, str]) -> list[Finding]:
    """Labels that look like the proposal of another case rather than their own: two files may have changed places."""
    found = []
    for case, path in strange.items():
        grid = read_grid(exported / LABELS / f"{case}.nii.gz")
        returned = read_returned_label(checked.folder / path, grid, checked.manifest.most_label_bytes(case)) != 0
        for other in checked.manifest.cases:
            sent = exported / LABELS / f"{other}.nii.gz"
            if other != case and read_grid(sent).shape == grid.shape and _dice(returned, read(sent).array) >= SAME_CASE:
                problem = f"the label looks like that of case {other}, and not like its own"
                remedy = f"check whether the files of {case} and {other} changed places, and send them again"
                found.append(Finding(checked.folder.name, problem, remedy, case, file=path))
    return found


def _dice(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero((a != 0) & (b != 0)) / total if total else 0.0


def _labels(checked: Checked, exported: Path, case: str, path: str) -> bool:
    """List what is wrong with the label of one case; returns whether it is much unlike the proposal."""
    manifest = checked.manifest
    schema = manifest.label_schema
    rows = {class_name: row for (c, class_name), row in checked.rows.items() if c == case}
    asked = [a.class_name for a in manifest.asked if a.case_id == case]
    sent = f"{LABELS}/{case}.nii.gz"
    strange = False
    if checked.files[path] == manifest.files[sent].sha256:
        found = unchanged(rows)
    else:
        if file_sha256(exported / sent) != manifest.files[sent].sha256:
            raise BundleRefused(f"{exported / sent} is not what export wrote", f"run `dvc checkout {layout.BUNDLES}`")
        shown = read(exported / sent)
        try:
            returned = read_returned_label(checked.folder / path, shown.grid, manifest.most_label_bytes(case))
            schema.check(returned, path)
        except VoxledgerError as error:
            problem = error.problem.removeprefix(f"{checked.folder / path} ")
            checked.problems.append(Finding(checked.folder.name, problem, error.remedy, case, file=path))
            return False
        strange = bool(shown.array.any()) and _dice(returned, shown.array) < OTHER_CASE
        found = contradictions(schema, shown.array, returned, rows, asked)
    checked.problems.extend(Finding(checked.folder.name, c.problem, c.remedy, case, c.class_name, path) for c in found)
    return strange


def decided_twice(checked: Mapping[str, Checked]) -> list[Finding]:
    """Classes of cases on which two bundles decide; only one may."""
    by: dict[tuple[str, str], str] = {}
    found = []
    for bundle in checked.values():
        for key, row in sorted(bundle.rows.items()):
            if row.decision is None:
                continue
            first = by.setdefault(key, bundle.folder.name)
            if first != bundle.folder.name:
                problem = f"{first} decides on it too"
                remedy = "agree on one decision and leave the other line out"
                found.append(Finding(bundle.folder.name, problem, remedy, *key, DECISIONS))
    return found


def claimed_twice(checked: Mapping[str, Checked], exported: Mapping[str, Path]) -> list[Finding]:
    """Voxels that two bundles give to different classes; nobody but the reviewers can say who is right.

    Parameters
    ----------
    checked, exported
        What came back and the folder that was sent, both by bundle id. A label that cannot be read is passed over: it
        is a finding already.
    """
    found = []
    ordered = sorted(checked.values(), key=lambda c: c.manifest.name)
    for case in sorted({c for bundle in ordered for c in bundle.manifest.cases}):
        bundles = [b for b in ordered if any(c == case and row.decision for (c, _), row in b.rows.items())]
        if len(bundles) < 2:
            continue
        shown = read(exported[bundles[0].manifest.id] / LABELS / f"{case}.nii.gz")
        opinions = {b.folder.name: o for b in bundles if (o := _opinion(b, case, shown.grid)) is not None}
        names = {o.reviewer: name for name, o in opinions.items()}
        for dispute in disputes(bundles[0].manifest.label_schema, shown.array, list(opinions.values())):
            first, second = (names[reviewer] for reviewer in dispute.reviewers)
            remedy = (
                f"{' and '.join(dispute.reviewers)} have to agree; whoever gives way corrects the label and sends "
                "a new return: `voxledger review receive FILE.zip --replace`"
            )
            found.append(Finding(second, f"{dispute}, see {first}", remedy, case))
    return found


def _opinion(bundle: Checked, case: str, grid: Grid) -> Opinion | None:
    paths = [p for p in bundle.files if p.startswith(f"{LABELS}/") and label_case(p, [case]) is not None]
    decisions = {n: row.decision for (c, n), row in bundle.rows.items() if c == case and row.decision is not None}
    if len(paths) != 1:
        return None
    try:
        labels = read_returned_label(bundle.folder / paths[0], grid, bundle.manifest.most_label_bytes(case))
    except VoxledgerError:
        return None
    return Opinion(bundle.manifest.reviewer, labels, decisions)
