"""Taking cases in: check, strip identifiers, write on canonical files, assign splits once and for good."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from voxledger import layout
from voxledger.casemap.run import ONE_PROCESS, casemap
from voxledger.cases.patients import read_patients
from voxledger.cases.splits import assign_splits
from voxledger.cases.take_in import TakeIn, TakenIn
from voxledger.errors import CaseRefused, CasesFailed, Misuse
from voxledger.imaging.format import refused_suffixes, suffixes
from voxledger.params import CasesParams, MachineParams
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.ledger import Entry, Origin, read_ledger, write_ledger
from voxledger.schema import LabelSchema
from voxledger.textfile import parse_json, read_text, replace_text

_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_JOURNAL = layout.MEMO / "cases" / "adding.json"
"""The cases that are being written; gone once they are registered and under version control."""


@dataclass(frozen=True)
class Added:
    """What `add_cases` registered."""

    cases: list[Case]
    labelled: int


def add_cases(
    folder: Path,
    schema: LabelSchema,
    params: CasesParams,
    *,
    labels: Path | None = None,
    weak: Path | None = None,
    patients: Path | None = None,
    source: str = "unspecified",
    licence: str = "unspecified",
    split: Split | None = None,
    modality: str | None = None,
    classes: list[str] | None = None,
    version: int = 0,
    machine: MachineParams = ONE_PROCESS,
    track: Callable[[], None] = lambda: None,
) -> Added:
    """Register every image of a folder, with its label if there is one; all of them or none.

    Killed at any point, it is finished by calling it again with the same arguments.

    Images are written anew as `data/images/<case>.nii.gz` without any header text, so that no identifier
    enters the repository. The name of the file is the case id, without its suffix and nnU-Net's `_0000`.

    Parameters
    ----------
    labels
        Label maps named like their images. Their classes enter the ledger with origin `source`.
    weak
        Weak labels named like their images: a label map with a few slices, or a RECIST diameter as JSON. Both are
        checked and written anew.
    patients
        Table with the columns `case_id` and `patient`, for cases that share a person; by default each has its own.
    split
        Split of all these cases. By default those of patients with a label are dealt out by `params`, patient by
        patient, and others go to the pool. Cases of a patient who is registered go where that patient is.
    classes
        Classes that the label maps really cover; by default all of the schema.
    version
        Round in which the labels enter the ledger.
    track
        Puts what was written under version control.

    Raises
    ------
    CaseRefused
        Lists every file that is unreadable, a duplicate, or whose label does not fit.
    """
    covered = list(schema.names) if classes is None else [schema[name].name for name in classes]
    images = _images_by_case(folder)
    label_files = _images_by_case(labels) if labels else {}
    weak_files = _weak_by_case(weak) if weak else {}
    registered = read_cases()
    unfinished = take_back_interrupted(registered, schema)
    patient_of = read_patients(patients, images, registered) if patients else {c: c for c in images}
    problems = [
        f"{path}: there is no image for case {case_id} in {folder}"
        for case_id, path in sorted({**label_files, **weak_files}.items())
        if case_id not in images
    ]
    known_ids = {c.case_id: c for c in registered}
    problems += [
        f"{path}: case {case_id} is registered already"
        for case_id, path in images.items()
        if case_id in known_ids and known_ids[case_id] not in unfinished
    ]
    folded = Counter(c.casefold() for c in {*images, *known_ids})
    problems += [
        f"{path}: case {case_id} differs from another case in capitals alone, which not every machine can tell apart"
        for case_id, path in images.items()
        if folded[case_id.casefold()] > 1
    ]
    jobs = [
        TakeIn(
            name=case_id,
            image=path,
            label=label_files.get(case_id),
            weak=weak_files.get(case_id),
            classes=tuple(covered),
            schema=schema,
        )
        for case_id, path in images.items()
    ]
    staging = layout.MEMO / "cases" / "staging"
    taken: list[TakenIn] = []
    try:
        taken = casemap(jobs, staging, machine)
    except CasesFailed as error:
        problems += [line.strip() for line in error.problem.splitlines()[1:]]
    by_content = {c.sha256: f"case {c.case_id}" for c in registered}
    for job, found in zip(jobs, taken, strict=False):
        if found.sha256 in by_content and job.name not in known_ids:
            problems.append(f"{job.image}: the same image as {by_content[found.sha256]}")
        by_content.setdefault(found.sha256, str(job.image))
    _require_none(problems, folder)
    splits = assign_splits(patient_of, label_files, split, params, registered)
    cases = [
        Case(
            case_id=job.name,
            image=layout.label_map(layout.IMAGES, job.name).as_posix(),
            sha256=found.sha256,
            original_sha256=found.original_sha256,
            source=source,
            licence=licence,
            split=splits[job.name],
            modality=modality or found.modality,
            weak_label=f"{layout.WEAK}/{found.weak}" if found.weak else "",
            patient=patient_of[job.name],
        )
        for job, found in zip(jobs, taken, strict=True)
    ]
    _require_none(
        [
            f"{job.image}: case {case.case_id} was registered by a command that was interrupted, with "
            "other files or options than now"
            for job, case in zip(jobs, cases, strict=True)
            if case.case_id in known_ids and case != known_ids[case.case_id]
        ],
        folder,
        "run that command once more, as it was",
    )
    replace_text(_JOURNAL, json.dumps([asdict(case) for case in cases]))
    _store(staging, cases)
    ledger = read_ledger(layout.BASE_LEDGER)
    for case, found in zip(cases, taken, strict=True):
        for name, mask in found.masks.items():
            ledger[case.case_id, name] = Entry(
                case.case_id, name, version, Origin.SOURCE, (), "", "", mask.sha256, "", mask.ml
            )
    write_ledger(layout.BASE_LEDGER, ledger, schema.names)
    # The table comes last: cases that it names are whole, and what it does not name is taken back.
    write_cases(layout.CASES, [*(c for c in registered if c not in cases), *cases])
    track()
    shutil.rmtree(layout.MEMO / "cases", ignore_errors=True)
    return Added(cases, sum(bool(found.masks) for found in taken))


def take_back_interrupted(registered: list[Case], schema: LabelSchema) -> list[Case]:
    """Take back what an interrupted `add_cases` wrote of cases that it had not registered yet; returns those it had."""
    if not _JOURNAL.is_file():
        return []
    began = [Case(**{**row, "split": Split(row["split"])}) for row in parse_json(read_text(_JOURNAL), _JOURNAL)]
    known = {c.case_id for c in registered}
    for case in began:
        if case.case_id not in known:
            for path in (case.image, layout.label_map(layout.BASE_LABELS, case.case_id), case.weak_label):
                if path:
                    Path(path).unlink(missing_ok=True)
    taken_back = {c.case_id for c in began} - known
    ledger = read_ledger(layout.BASE_LEDGER)
    kept = {key: entry for key, entry in ledger.items() if key[0] not in taken_back}
    if kept != ledger:
        write_ledger(layout.BASE_LEDGER, kept, schema.names)
    return [c for c in began if c in registered]


def _require_none(
    problems: list[str], folder: Path, remedy: str = "mend or take out these files and run the command again"
) -> None:
    if problems:
        raise CaseRefused(f"no case was added from {folder}:\n  " + "\n  ".join(problems), remedy)


def _store(staging: Path, cases: list[Case]) -> None:
    for kind, target in (("images", layout.IMAGES), ("labels", layout.BASE_LABELS), ("weak", layout.WEAK)):
        for case in cases:
            for suffix in (".nii.gz", ".json"):
                found = staging / kind / f"{case.case_id}{suffix}"
                if found.is_file():
                    Path(target).mkdir(parents=True, exist_ok=True)
                    shutil.move(found, Path(target) / found.name)


def _images_by_case(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise Misuse(f"{folder} is not a folder", "give the folder that holds the files")
    found = [(p.name, p) for p in sorted(folder.iterdir()) if p.is_file() and p.name.endswith(_suffixes())]
    if not found:
        raise Misuse(f"{folder} holds no image", f"images end in {', '.join(suffixes())}")
    _require_one_channel([path for _, path in found])
    return _by_case([(_stem(name), path) for name, path in found])


def _require_one_channel(paths: list[Path]) -> None:
    """Raise where nnU-Net's names tell several channels of a case: each would become a case of its own."""
    stems = {re.sub(rf"({'|'.join(map(re.escape, suffixes()))})$", "", path.name): path.name for path in paths}
    further = [
        name
        for stem, name in stems.items()
        if (found := re.fullmatch(r"(.+)_(?!0000)\d{4}", stem)) and f"{found[1]}_0000" in stems
    ]
    if further:
        raise CaseRefused(
            f"{', '.join(further[:10])}: further channels of a case, and the backends of this voxledger take one",
            "leave one file a case in the folder: the image that the labels were drawn on",
        )


def _weak_by_case(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise Misuse(f"{folder} is not a folder", "give the folder that holds the files")
    kinds = (*_suffixes(), ".json")
    return _by_case([(_stem(p.name), p) for p in sorted(folder.iterdir()) if p.name.endswith(kinds)])


def _by_case(found: list[tuple[str, Path]]) -> dict[str, Path]:
    twice = [case_id for case_id, n in Counter(case_id for case_id, _ in found).items() if n > 1]
    bad = [path.name for case_id, path in found if not _CASE_ID.fullmatch(case_id)]
    if twice or bad:
        problems = [f"two files for case {c}: {', '.join(str(p) for k, p in found if k == c)}" for c in twice]
        problems += [f"{name!r} does not make a case id (letters, digits, '_', '-', '.')" for name in bad]
        raise CaseRefused("; ".join(problems), "rename or take out these files")
    return dict(found)


def _suffixes() -> tuple[str, ...]:
    """Suffixes of images and labels, also of those that are refused with a reason when they are read."""
    return (*refused_suffixes(), *suffixes())


def _stem(name: str) -> str:
    for suffix in (*_suffixes(), ".json"):
        if name.endswith(suffix):
            return name.removesuffix(suffix).removesuffix("_0000")
    return name
