"""`Return`: what one returned bundle says, read and checked in this place alone.

`receive`, `status`, the gate and the import all take what `read_return` makes. A return whose files are as they were is
not read again: label maps are remembered on disk (`bundles/label_check.py`), the rest in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.carried import redrawn
from voxledger.bundles.check import Found, Severity
from voxledger.bundles.context import Context
from voxledger.bundles.contradictions import Contradiction, unchanged
from voxledger.bundles.counted import CaseLabel, all_labels, counting, is_one, tables
from voxledger.bundles.finding import Finding
from voxledger.bundles.label_check import FILE as CHECKED_FILE
from voxledger.bundles.label_check import CheckAround, CheckSettled, Compared, LabelCheck
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.part import Part
from voxledger.bundles.signature import Fault, key_faults, put_together, signatures_of
from voxledger.casemap.each import WORTH_BYTES, each
from voxledger.casemap.once import files_of, once
from voxledger.casemap.run import compute_ahead
from voxledger.errors import BundleRefused, DiskFailed, VoxledgerError
from voxledger.imaging.volume import file_sha256, read_label
from voxledger.params import MachineParams
from voxledger.records import clicks
from voxledger.records.bundle import (
    ATTENTION,
    CLICKS,
    EMULATED,
    IMAGES,
    LABELS,
    MANIFEST,
    RESAMPLE,
    SIGNED,
    SUPERSEDED,
    WEAK,
    Manifest,
    Resample,
    content_sha256,
    is_decisions,
    is_image_like,
    is_plain,
    is_returned,
    label_case,
    list_files,
    read_resample,
    says_what_was_sent,
    size_bound,
)
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, read_decisions
from voxledger.records.emulated import misfits, parse_emulated
from voxledger.records.ledger import Signature
from voxledger.records.signature import is_kept

_LOOKED_AT = (f"{IMAGES}/", f"{ATTENTION}/", f"{WEAK}/")
_CONFIRM = "write yes in the column `confirmed` of its line"
_CONFIRM_ALL = "write yes in the column `confirmed` of every line of the case that says revise"
_SENT = "put the original from the bundle that was sent back in its place"


@dataclass(frozen=True)
class Return:
    """What one returned bundle says, checked against the one that was sent."""

    manifest: Manifest
    """Of the bundle that was sent; the returned one says the same, or that is a problem."""
    exported: Path
    """Folder of the bundle that was sent."""
    folder: Path
    """Folder that came back."""
    files: Mapping[str, str]
    """SHA-256 of decisions and labels, by path in the bundle."""
    rows: Mapping[tuple[str, str], Row]
    """Lines of `decisions.csv` that were asked for or decide something, by case and class."""
    label_paths: Mapping[str, str]
    """The label of every case, by path in the bundle: the file, or the folder of one file a class."""
    problems: tuple[Finding, ...]
    missing: tuple[Finding, ...]
    """Also the confirmation of what is likely wrong."""
    notes: tuple[Finding, ...]
    """What was undone or decided to read labels, what is worth saying, and what was confirmed: it stops nothing."""
    resampled: frozenset[str]
    """Cases whose label lay on other voxels than its image."""
    kept: Mapping[str, str]
    """SHA-256 of what says how it was signed, by path; no part of what identifies the return."""
    signatures: tuple[Signature, ...]
    """Those that count; none where the return, or a part of it, is not signed."""
    _checks: Mapping[str, LabelCheck] = field(repr=False)
    """Of the labels that are not as they were sent and can be read, by case."""

    @property
    def sha256(self) -> str:
        """Identity of what came back."""
        return content_sha256(self.manifest.id, self.files)

    @property
    def reviewer(self) -> str:
        return self.manifest.reviewer

    @property
    def decided(self) -> int:
        """Rows asked for that have a decision."""
        keys = {(a.case_id, a.class_name) for a in self.manifest.asked}
        return sum(row.decision is not None for key, row in self.rows.items() if key in keys)

    def decisions(self, case_id: str) -> dict[str, Row]:
        """What was decided on a case, by class."""
        return {name: r for (case, name), r in sorted(self.rows.items()) if case == case_id and r.decision is not None}

    def shown(self, case_id: str) -> Path:
        """The proposal that the reviewer was sent."""
        return self.exported / LABELS / f"{case_id}.nii.gz"

    def label_file(self, case_id: str) -> Path | None:
        """The returned label map on the grid of its image, as it was checked; None where there is none to read.

        Raises
        ------
        VoxledgerError
            What was remembered is gone, and the file that came back is not what was checked any more.
        """
        if case_id in self._checks:
            return files_of(self._checks[case_id]) / CHECKED_FILE
        as_sent = self.manifest.files[f"{LABELS}/{case_id}.nii.gz"].sha256
        path = self.label_paths.get(case_id)
        if path is None:
            left_out = all(row.decision is not Decision.REVISE for row in self.decisions(case_id).values())
            return self.shown(case_id) if left_out and not self._several(case_id) else None
        return self.shown(case_id) if self.files.get(path) == as_sent else None

    def _several(self, case_id: str) -> bool:
        """Whether there are several labels of a case, of which nobody knows which one counts."""
        return any(label_case(path, [case_id]) is not None for path in self.files)

    def labels(self, case_id: str) -> LabelMap | None:
        """The same as an array (z, y, x) of innermost ids."""
        path = self.label_file(case_id)
        return None if path is None else read_label(path)


@dataclass(frozen=True)
class _Seen:
    """The files of a folder that came back."""

    plain: dict[str, int]
    """Bytes of every file that may be read, by path."""
    sha256: dict[str, str]
    """Of those that are the reviewer's, that were sent, or that may be a label."""
    kept: dict[str, str]
    """The same of what says how the return was signed."""
    problems: tuple[Finding, ...]


_known: dict[tuple[Path, Path], tuple[Manifest, _Seen, Context, Return]] = {}
"""The last return by folders that came back and went out, with what it was made from."""


def read_return(
    manifest: Manifest, exported: Path, folder: Path, context: Context, machine: MachineParams | None = None
) -> Return:
    """Read and check a returned folder; once, as long as its content and that of the bundle that was sent is the same.

    Never raises for what a reviewer did: every problem of every file is listed.

    Parameters
    ----------
    manifest, exported
        The bundle that was sent, and its folder.
    folder
        What came back; its `bundle.json` claims to be `manifest`.
    context
        How labels are read, and what they are judged by besides.
    machine
        Where the label maps are compared; None: one after another in this process.

    Raises
    ------
    BundleRefused
        A proposal is not what export wrote.
    """
    seen = _look_through(folder, manifest)
    _require_as_sent(manifest, exported, seen)
    place = folder.resolve(), exported.resolve()
    known = _known.get(place)
    if known is None or known[:3] != (manifest, seen, context):
        found = _Check(manifest, exported, folder, seen, context).result(machine)
        known = _known[place] = manifest, seen, context, found
    return known[3]


def _look_through(folder: Path, manifest: Manifest) -> _Seen:
    plain, hashed, kept, problems = {}, [], [], []
    for path in list_files(folder):
        file = folder / path
        if not is_plain(file):
            problems.append(Finding(folder.name, "is not a plain file", "replace it by the file itself", file=path))
            continue
        size, bound = file.stat().st_size, size_bound(manifest, path)
        known = is_returned(path) or path in manifest.files or is_kept(path)
        # The header of a label says more than its size: see `read_returned_label`.
        if size > bound and known and label_case(path, manifest.cases) is None:
            problem = f"is {size} bytes long, at most {bound} are possible"
            problems.append(Finding(folder.name, problem, "remove or replace it", file=path))
            continue
        if is_kept(path):
            kept.append(path)
            continue
        plain[path] = size
        if known or path == MANIFEST or is_image_like(path):
            hashed.append(path)
    said = {path: file_sha256(folder / path) for path in kept}
    return _Seen(plain, _hashes(folder, {path: plain[path] for path in hashed}), said, tuple(problems))


def _hashes(folder: Path, sizes: Mapping[str, int]) -> dict[str, str]:
    """SHA-256 of files of a folder by path, on several processes where that ends earlier."""
    files, size = [folder / path for path in sizes], sum(sizes.values())
    if size < WORTH_BYTES:
        return dict(zip(sizes, map(file_sha256, files), strict=True))
    return dict(zip(sizes, each(f"read {folder.name}", file_sha256, files, str, size), strict=True))


def _require_as_sent(manifest: Manifest, exported: Path, seen: _Seen) -> None:
    """Raise unless the proposals that returned labels are compared with are what export wrote."""
    for path in seen.sha256:
        case = label_case(path, manifest.cases)
        sent = f"{LABELS}/{case}.nii.gz"
        if case is None or seen.sha256[path] == manifest.files[sent].sha256:
            continue
        if file_sha256(exported / sent) != manifest.files[sent].sha256:
            raise BundleRefused(f"{exported / sent} is not what export wrote", f"run `dvc checkout {layout.BUNDLES}`")


class _Check:
    """One look at a return, which collects what is wrong and what is missing."""

    def __init__(self, manifest: Manifest, exported: Path, folder: Path, seen: _Seen, context: Context) -> None:
        self.manifest, self.exported, self.folder, self.seen = manifest, exported, folder, seen
        self.context = context
        self.resample = read_resample(folder) if RESAMPLE in seen.plain else Resample()
        self.files = {path: digest for path, digest in seen.sha256.items() if is_returned(path)}
        self.sha256 = content_sha256(manifest.id, self.files)
        self.problems = list(seen.problems)
        self.missing: list[Finding] = []
        self.notes: list[Finding] = []

    def result(self, machine: MachineParams | None) -> Return:
        """Everything, in the order in which it is listed for people."""
        manifest = self.folder / MANIFEST
        if MANIFEST in self.seen.plain and not says_what_was_sent(manifest.read_bytes(), self.manifest):
            self._problem("differs from the one that was sent", _SENT, file=MANIFEST)
        for path in self.seen.plain:
            self._file(path)
        self._notes()
        rows = self._decisions()
        signatures = self._signatures(rows)
        labels = self._label_files(rows)
        if machine is not None:
            jobs = (self._job(case, label, rows) for case, label in labels.items())
            compute_ahead([job for job in jobs if job is not None], machine)
        found = {case: self._label(case, label, rows) for case, label in labels.items()}
        read = {case: label for case, label in found.items() if label is not None}
        around = {case: self._around(case, job) for case, (job, compared) in read.items() if compared.unlike}
        if machine is not None:
            compute_ahead(list(around.values()), machine)
        for case, (_, compared) in read.items():
            self._suspicions(case, labels[case].path, compared.found, rows)
        beside = {case: one for case, (job, _) in read.items() if (one := self._beside(case, job)) is not None}
        for case, more in (*beside.items(), *around.items()):
            self._suspicions(case, labels[case].path, once(more), rows)
        return Return(
            self.manifest,
            self.exported,
            self.folder,
            self.files,
            rows,
            {case: label.path for case, label in labels.items()},
            tuple(self.problems),
            tuple(self.missing),
            tuple(self.notes),
            frozenset(case for case, (_, compared) in read.items() if compared.resampled).union(self.resample.drawn),
            self.seen.kept,
            signatures,
            {case: job for case, (job, _) in read.items()},
        )

    def _problem(self, problem: str, remedy: str, case: str = "", class_name: str = "", file: str = "") -> None:
        self.problems.append(Finding(self.folder.name, problem, remedy, case, class_name, file))

    def _or_before(self, remedy: str) -> str:
        """What to do about what cannot be read; a return that it took the place of may count again instead."""
        before = sorted(self.folder.parent.glob(f"{self.manifest.name}{SUPERSEDED}*"), key=lambda p: p.stat().st_mtime)
        if not before:
            return remedy
        again = f"`voxledger review receive --replace {before[-1].as_posix()}`"
        return f"{remedy}; or let what came before it count again, in its place: {again}"

    def _missing(self, problem: str, remedy: str, case: str = "", class_name: str = "", file: str = "") -> None:
        self.missing.append(Finding(self.folder.name, problem, remedy, case, class_name, file))

    def _file(self, path: str) -> None:
        """What was sent to be looked at, if it came back, must be the same; images that were not sent are named."""
        sent = self.manifest.files.get(path)
        if is_returned(path) or path == MANIFEST:
            return
        if sent is None:
            if is_image_like(path):
                save = f"save that as {LABELS}/<case>.nii.gz"
                remedy = f"if it is or holds a corrected label, {save}; otherwise remove it"
                self._problem("is not a file of the bundle", remedy, file=path)
        elif path.startswith(_LOOKED_AT) and self.seen.sha256[path] != sent.sha256:
            case = next((c for c in self.manifest.cases if path == f"{IMAGES}/{c}.nii.gz"), "")
            problem = "was altered or damaged since it was sent; labels drawn on it cannot be relied on"
            self._problem(problem, _SENT, case, file=path)

    def _notes(self) -> None:
        """What an emulated reader noted, if one was at work, speaks of what was asked."""
        readers: tuple[tuple[str, str, Callable[[bytes], list[str]]], ...] = (
            (CLICKS, "clicks", lambda note: clicks.misfits(clicks.parse_clicks(note, CLICKS), self.manifest)),
            (EMULATED, "an emulated reader", lambda note: misfits(parse_emulated(note, EMULATED), self.manifest)),
        )
        for file, of, judge in readers:
            if file in self.files:
                self._note(file, of, judge)

    def _note(self, file: str, of: str, judge: Callable[[bytes], list[str]]) -> None:
        try:
            found = judge((self.folder / file).read_bytes())
        except VoxledgerError as error:
            self._problem(f"is not a record of {of}: {error.problem}", "restore or remove it", file=file)
            return
        if found:
            self._problem(found[0], "restore it, or review the bundle again without it", file=file)

    def _signatures(self, rows: Mapping[tuple[str, str], Row]) -> tuple[Signature, ...]:
        """The signatures that count; what is wrong with others, and that there is none where there has to be one."""
        files = {path: self.seen.sha256[path] for path in (*self.files, MANIFEST) if path in self.seen.sha256}
        found = signatures_of(self.folder, files | self.seen.kept, self.manifest)
        reviewer, faults = self.manifest.reviewer, list[Fault]()
        for one in found.signed:
            own = [*one.faults, *key_faults(one, reviewer, self.context.reviewers)]
            faults += [fault if one.part == "." else fault.within(one.part) for fault in own]
        if found.signed:
            parts = put_together(self.folder, files | self.seen.kept, rows, self.manifest)
            faults += parts.faults
            for case in parts.drawn:
                problem = (
                    "its label was put together of what two returns drew in it; both are kept, as they were signed"
                )
                self.notes.append(Finding(self.folder.name, problem, "nothing to do", case))
            for case, (part, then) in parts.carried.items():
                self._carried(case, part, then, rows)
        for fault in faults:
            self._problem(fault.problem, fault.remedy, file=fault.file)
        if found.unsigned and self.context.review.require_signature:
            what = "is not signed" if "." in found.unsigned else "was put together of returns that are not all signed"
            remedy = f"{reviewer} has to sign the folder (`voxledger review sign FOLDER --key KEY`) and send it again"
            self._missing(f"{what}, and review.require_signature asks for it", remedy, file=SIGNED)
        elif found.unsigned and found.signed:
            problem = "was put together of returns that are not all signed, so it counts as not signed"
            self.notes.append(Finding(self.folder.name, problem, "nothing to do, unless it should be signed"))
        return () if faults else found.all

    def _carried(self, case: str, part: str, then: Manifest, rows: Mapping[tuple[str, str], Row]) -> None:
        """A label that was drawn anew from what a return of an earlier bundle drew is just that."""
        revised = [name for (c, name), row in rows.items() if c == case and row.decision is Decision.REVISE]
        old = Part.of(then, self.folder / part, self.context.review.outside)
        wanted = redrawn(case, old, revised, self.exported) if old is not None else None
        path = self.folder / LABELS / f"{case}.nii.gz"
        try:
            same = wanted is not None and path.is_file() and np.array_equal(wanted[0], read_label(path))
        except VoxledgerError:
            return  # a finding of its own
        if same:
            problem = f"its label is what was signed in round {then.round} (kept as it was), laid over what is proposed"
            self.notes.append(Finding(self.folder.name, problem, "nothing to do", case))
        else:
            problem = f"is not what was drawn in {part}, laid over what is proposed"
            remedy = f"carry that return over again: `voxledger review receive {layout.LATE}/… --carry`"
            self._problem(problem, remedy, case, file=f"{LABELS}/{case}.nii.gz")

    def _label_files(self, rows: Mapping[tuple[str, str], Row]) -> dict[str, CaseLabel]:
        """The one label of every case that has one: a file, with that of its voxels, or a folder of one a class.

        A label that was not corrected may be left out.
        """
        by_case = all_labels(self.seen.sha256, self.manifest)
        labels = {}
        for case in self.manifest.cases:
            if label := self._label_of(case, by_case.get(case, []), rows):
                labels[case] = label
        known = {path for paths in by_case.values() for path in paths}
        known |= {part for label in labels.values() for part in label.parts}
        for path in (p for p in self.seen.plain if p.startswith(f"{LABELS}/") and p not in known):
            remedy = f"save the label of a case as {LABELS}/<case>.nii.gz, and remove what is not one"
            self._problem("is not the label of a case of this bundle", remedy, file=path)
        return labels

    def _label_of(self, case: str, paths: list[str], rows: Mapping[tuple[str, str], Row]) -> CaseLabel | None:
        headers = counting(case, paths, self.seen.sha256, self.manifest)
        if is_one(headers):
            return CaseLabel.of(self.folder, headers, self.seen.plain)
        revised = any(c == case and row.decision is Decision.REVISE for (c, _), row in rows.items())
        if headers:
            problem = f"there are {len(headers)} labels of one case: {', '.join(headers)}"
            self._problem(problem, "keep the one that counts, remove the others", case)
        elif revised or (self.folder / LABELS / f"{case}.nii.gz").exists():
            self._missing("the label is missing", "add it, corrected", case, file=f"{LABELS}/{case}.nii.gz")
        return None

    def _table(self) -> str | None:
        """The one table of decisions."""
        paths = tables(self.seen.sha256, self.manifest)
        named = any(is_decisions(found.file) and (self.folder / found.file).is_file() for found in self.seen.problems)
        if not paths and not named:
            self._missing("the table is missing", "add it, filled in", file=DECISIONS)
        elif len(paths) > 1:
            problem = f"there are {len(paths)} tables of decisions: {', '.join(paths)}"
            self._problem(problem, "keep the one that counts, remove the others")
        return paths[0] if len(paths) == 1 else None

    def _decisions(self) -> dict[tuple[str, str], Row]:
        path = self._table()
        if path is None:
            return {}
        table = read_decisions(self.folder / path)
        for case, class_name, problem in table.problems:
            remedy = "correct the line" if case else "save it as CSV with the columns that were sent"
            self._problem(problem, self._or_before(remedy), case, class_name, path)
        asked = {(a.case_id, a.class_name) for a in self.manifest.asked}
        rows = {}
        for (case, class_name), row in table.rows.items():
            if case not in self.manifest.cases or class_name not in self.manifest.label_schema.names:
                problem = "there is no such case and class in this bundle (a spreadsheet may have changed the name)"
                self._problem(problem, "restore the names that were sent", case, class_name, path)
            elif row.decision is not None or row.confirmed or (case, class_name) in asked:
                rows[case, class_name] = row
        if any(not case for case, _, _ in table.problems):
            # The table as a whole cannot be read: that is one thing, not one for every line.
            return rows
        broken = {(case, class_name) for case, class_name, _ in table.problems}
        for key in sorted(asked - broken):
            if key not in rows or rows[key].decision is None:
                self._missing("has no decision", "write accept, revise or reject", *key, path)
        return rows

    def _job(self, case: str, label: CaseLabel, rows: Mapping[tuple[str, str], Row]) -> LabelCheck | None:
        """The comparison of the label of one case with what was sent; None where it is the same."""
        sent = f"{LABELS}/{case}.nii.gz"
        shown_sha256 = self.manifest.files[sent].sha256
        if self.seen.sha256.get(label.path) == shown_sha256:
            return None
        return LabelCheck(
            name=case,
            folder=self.folder,
            files=label.files,
            sha256=tuple(self.seen.sha256[path] for path in label.files),
            parts=label.parts,
            outside=self.context.review.outside,
            resample=case in self.resample.cases,
            shown=self.exported / sent,
            shown_sha256=shown_sha256,
            most_bytes=self.manifest.most_label_bytes(case),
            label_schema=self.manifest.label_schema,
            rows=tuple(row for (c, _), row in rows.items() if c == case),
            asked=tuple(a.class_name for a in self.manifest.asked if a.case_id == case),
            trusted=tuple(sorted(self.context.trusted.get(case, frozenset()) - self._settled(case))),
        )

    def _settled(self, case: str) -> frozenset[str]:
        """Classes that readers agree on; none but for their adjudicator."""
        found = self.context.settled.get(case)
        return found.kept if found is not None else frozenset()

    def _beside(self, case: str, label: LabelCheck) -> CheckSettled | None:
        """The comparison of an adjudicator's label with what the readers agree on."""
        found = self.context.settled.get(case)
        if found is None:
            return None
        return CheckSettled(
            name=case,
            labels=files_of(label) / CHECKED_FILE,
            agreed=found.labels,
            settled=found.rows,
            rows=label.rows,
            label_schema=self.manifest.label_schema,
        )

    def _around(self, case: str, label: LabelCheck) -> CheckAround:
        """The comparison of a label that is unlike its proposal with the image and other cases."""
        return CheckAround(
            name=case,
            labels=files_of(label) / CHECKED_FILE,
            shown=label.shown,
            image=self.exported / IMAGES / f"{case}.nii.gz",
            others={name: path for name, path in sorted(self.context.proposals.items()) if name != case},
            looks=self.context.looks(self.manifest.label_schema),
            rows=label.rows,
            label_schema=self.manifest.label_schema,
        )

    def _suspicions(self, case: str, path: str, found: tuple[Found, ...], rows: Mapping[tuple[str, str], Row]) -> None:
        """What is likely not what was meant: a problem, a confirmation that is missing, or a note."""
        for one in found:
            said = one.suspicion
            severity = self.context.severity(one.kind)
            own = [row for (c, n), row in rows.items() if c == case and _is_about(said.class_name, n, row)]
            by_reviewer = bool(own) and all(row.confirmed for row in own)
            by_curator = (self.sha256, case, said.class_name, one.kind) in self.context.confirmed
            into, problem, remedy = self.problems, said.problem, said.remedy
            if severity is Severity.WARNING and (by_reviewer or by_curator):
                who = self.manifest.reviewer if by_reviewer else "a curator"
                into, problem = self.notes, f"{problem}; confirmed by {who}"
            elif severity is Severity.WARNING:
                into = self.missing
                remedy += f"; if it is right as it is, {_CONFIRM if said.class_name else _CONFIRM_ALL}"
            elif severity is Severity.NOTE:
                into = self.notes
            into.append(Finding(self.folder.name, problem, remedy, case, said.class_name, path, one.kind))

    def _label(
        self, case: str, label: CaseLabel, rows: Mapping[tuple[str, str], Row]
    ) -> tuple[LabelCheck, Compared] | None:
        """Compare the label of one case with what was sent; None where it is the same, or cannot be read."""
        job = self._job(case, label, rows)
        if job is None:
            own = {class_name: row for (c, class_name), row in rows.items() if c == case}
            self._contradictions(case, label.path, unchanged(own))
            return None
        try:
            compared = once(job)
        except DiskFailed:
            raise
        except VoxledgerError as error:
            problem = error.problem.removeprefix(f"{self.folder / label.path} ")
            self._problem(problem, self._or_before(error.remedy), case, file=label.path)
            return None
        self._contradictions(case, label.path, compared.contradictions)
        for note in compared.notes:
            told = "nothing to do, unless that is not what was meant"
            self.notes.append(Finding(self.folder.name, note, told, case, file=label.path))
        return job, compared

    def _contradictions(self, case: str, path: str, found: Iterable[Contradiction]) -> None:
        for c in found:
            self._problem(c.problem, c.remedy, case, c.class_name, path)


def _is_about(class_name: str, name: str, row: Row) -> bool:
    """Whether a line of a case can confirm a finding of a class, or, where that is empty, of the whole label map."""
    return name == class_name if class_name else row.decision is Decision.REVISE
