"""Registering cases: all of them or none, and finished by the same command after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.casemap.run import ONE_PROCESS, casemap
from voxledger.cases import interrupted
from voxledger.cases.check import require_here
from voxledger.cases.dicom_in import remember
from voxledger.cases.incoming import Files, Incoming, files_of, problems_of
from voxledger.cases.patients import read_patients
from voxledger.cases.splits import assign_splits
from voxledger.cases.take_in import STAGED_IMAGES, STAGED_LABELS, STAGED_WEAK, TakeIn, TakenIn
from voxledger.errors import CaseRefused, CasesFailed
from voxledger.imaging.format import parts_of
from voxledger.imaging.volume import file_sha256
from voxledger.params import CasesParams, MachineParams
from voxledger.records.acquisition import Acquisition, add_acquisitions
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.ledger import Entry, Origin, read_ledger, write_ledger
from voxledger.records.withdrawn import require_not_withdrawn
from voxledger.schema import LabelSchema
from voxledger.textfile import read_text
from voxledger.weak.reader import Given


@dataclass(frozen=True)
class Added:
    """What `add_cases` registered."""

    cases: list[Case]
    labelled: int
    marked: int
    """How many have weak labels."""


def add_cases(
    incoming: Incoming,
    schema: LabelSchema,
    params: CasesParams,
    *,
    version: int = 0,
    machine: MachineParams = ONE_PROCESS,
    track: Callable[[], None] = lambda: None,
) -> Added:
    """Register every image of a folder, with its label if there is one; all of them or none.

    Killed at any point, it is finished by calling it again with the same arguments. Files are written anew without any
    header text, so that no identifier enters the repository.

    Parameters
    ----------
    incoming
        The files, and what is said of them.
    schema
        Classes that label maps may hold.
    params
        How cases are dealt out to splits; cases of a patient who is registered go where that patient is.
    version
        Round in which the labels enter the ledger.
    track
        Puts what was written under version control.

    Raises
    ------
    CaseRefused
        Lists every file that is unreadable, a duplicate, or whose label does not fit.
    """
    files, (registered, unfinished) = files_of(incoming), _registered(schema)
    patients = _patients(files, incoming, registered)
    problems = problems_of(files, incoming.folder, registered, unfinished)
    jobs = _jobs(files, incoming, schema)
    try:
        taken = casemap(jobs, layout.INTAKE_STAGING, machine, manifest=layout.INTAKE_WRITTEN)
        stored = _stored_sha256()
        problems += _the_same_image(jobs, stored, registered)
    except CasesFailed as error:
        problems += [line.strip() for line in error.problem.splitlines()[1:]]
    _require_none(problems, incoming.folder)
    splits = assign_splits(patients, files.labels, incoming.split, params, registered)
    cases = [
        _case(incoming, job, stored[job.name], facts, splits[job.name], patients[job.name])
        for job, facts in zip(jobs, taken, strict=True)
    ]
    _require_as_registered(jobs, cases, registered, incoming.folder)
    interrupted.begin(cases)
    _place(cases)
    _enter_masks(cases, taken, schema, version)
    _enter_acquisitions(files, incoming)
    # The table comes last: cases that it names are whole, and what it does not name is taken back.
    new = {c.case_id for c in cases}
    write_cases(layout.CASES, [*(c for c in registered if c.case_id not in new), *cases])
    track()
    interrupted.finished()
    return Added(cases, sum(bool(facts.masks) for facts in taken), sum(bool(facts.weak) for facts in taken))


def _registered(schema: LabelSchema) -> tuple[list[Case], list[Case]]:
    """The case table, and those of it that an interrupted call entered; what it wrote of others is taken back.

    Raises `Misuse` where files of registered cases are not here.
    """
    registered = read_cases()
    unfinished = interrupted.take_back_interrupted(registered, schema)
    # Put under DVC without what is not here, the folders would lose it.
    require_here(registered, read_ledger(layout.BASE_LEDGER))
    return registered, unfinished


def _patients(files: Files, incoming: Incoming, registered: Sequence[Case]) -> dict[str, str]:
    """The patient of every case: as the table says, as headers of DICOM say, or the case itself; none was withdrawn."""
    if incoming.patients is not None:
        found = read_patients(incoming.patients, files.images, registered)
    else:
        found = {case_id: files.dicom.patients.get(case_id, case_id) for case_id in files.images}
    if incoming.pseudonyms is not None:
        require_not_withdrawn(found.items(), incoming.pseudonyms)
    return found


def _jobs(files: Files, incoming: Incoming, schema: LabelSchema) -> list[TakeIn]:
    names = incoming.classes
    if incoming.weak_class:
        schema[incoming.weak_class]
    covered = tuple(schema.names if names is None else (schema[name].name for name in names))
    return [
        TakeIn(
            name=case_id,
            image=path,
            image_sha256=_sha256(series.files if series is not None else parts_of(path)),
            series=series,
            label=files.labels.get(case_id),
            label_sha256=_sha256(parts_of(files.labels[case_id])) if case_id in files.labels else "",
            weak=files.weak.get(case_id),
            files=tuple(
                p.name for p in (path, files.labels.get(case_id), _file(files.weak.get(case_id))) if p is not None
            ),
            classes=covered,
            label_schema=schema,
        )
        for case_id, path in files.images.items()
        for series in [files.dicom.series.get(case_id)]
    ]


def _file(given: Given | None) -> Path | None:
    return given.file if given is not None else None


def _sha256(paths: Sequence[Path]) -> str:
    """Hash of a file, or of several together, whatever they are called."""
    digests = [file_sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _stored_sha256() -> dict[str, str]:
    """SHA-256 of every image that was written anew, by case: `casemap` has hashed it, and nobody has to do so again."""
    written = [json.loads(line) for line in read_text(layout.INTAKE_WRITTEN).splitlines()]
    return {line["case"]: line["outputs"][f"{STAGED_IMAGES}/{line['case']}.nii.gz"] for line in written}


def _the_same_image(jobs: Sequence[TakeIn], stored: Mapping[str, str], registered: Sequence[Case]) -> list[str]:
    """Images that are here already, or come twice."""
    known = {c.case_id for c in registered}
    seen = {c.sha256: f"case {c.case_id}" for c in registered}
    problems = []
    for job in jobs:
        digest = stored[job.name]
        if digest in seen and job.name not in known:
            problems.append(f"{job.image}: the same image as {seen[digest]}")
        seen.setdefault(digest, str(job.image))
    return problems


def _case(incoming: Incoming, job: TakeIn, sha256: str, facts: TakenIn, split: Split, patient: str) -> Case:
    return Case(
        case_id=job.name,
        image=layout.label_map(layout.IMAGES, job.name).as_posix(),
        sha256=sha256,
        original_sha256=job.image_sha256,
        source=incoming.source,
        licence=incoming.licence,
        split=split,
        modality=incoming.modality or _stated(job) or facts.modality,
        weak_label=f"{layout.WEAK}/{facts.weak}" if facts.weak else "",
        patient=patient,
    )


def _stated(job: TakeIn) -> str:
    """The modality that the header of a series says, if it is one of ours."""
    said = job.series.header["Modality"] if job.series is not None else ""
    return said if said in ("CT", "MR") else ""


def _require_as_registered(
    jobs: Sequence[TakeIn], cases: Sequence[Case], registered: Sequence[Case], folder: Path
) -> None:
    """Cases that an interrupted command registered must come out the same."""
    known = {c.case_id: c for c in registered}
    changed = [
        f"{job.image}: case {case.case_id} was registered by a command that was interrupted, with other files or "
        "options than now"
        for job, case in zip(jobs, cases, strict=True)
        if case.case_id in known and case != known[case.case_id]
    ]
    _require_none(changed, folder, "run that command once more, as it was")


def _require_none(
    problems: list[str], folder: Path, remedy: str = "mend or take out these files and run the command again"
) -> None:
    if problems:
        raise CaseRefused(f"no case was added from {folder}:\n  " + "\n  ".join(problems), remedy)


def _place(cases: Sequence[Case]) -> None:
    """Move what was written anew to where it belongs."""
    places = {STAGED_IMAGES: layout.IMAGES, STAGED_LABELS: layout.BASE_LABELS, STAGED_WEAK: layout.WEAK}
    for kind, target in places.items():
        for case in cases:
            for suffix in (".nii.gz", ".json"):
                found = layout.INTAKE_STAGING / kind / f"{case.case_id}{suffix}"
                if found.is_file():
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.move(found, target / found.name)


def _enter_acquisitions(files: Files, incoming: Incoming) -> None:
    """Technical fields of DICOM series here, and whom pseudonyms stand for elsewhere."""
    add_acquisitions(Acquisition.of(case_id, one.header) for case_id, one in files.dicom.series.items())
    if incoming.pseudonyms is not None:
        remember(files.dicom, incoming.pseudonyms)


def _enter_masks(cases: Sequence[Case], taken: Sequence[TakenIn], schema: LabelSchema, version: int) -> None:
    """Rows of the ledger for the labels that came along."""
    ledger = read_ledger(layout.BASE_LEDGER)
    for case, facts in zip(cases, taken, strict=True):
        for name, mask in facts.masks.items():
            ledger[case.case_id, name] = Entry(
                case.case_id, name, version, Origin.SOURCE, (), "", "", mask.sha256, "", mask.ml
            )
    write_ledger(layout.BASE_LEDGER, ledger, schema.names)
