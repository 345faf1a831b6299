"""Taking cases in: check, strip identifiers, write on canonical files, assign splits once and for good."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.casemap import Task, casemap, key_of
from voxledger.cases.patients import read_patients
from voxledger.cases.splits import assign_splits
from voxledger.cases.weak import parse_recist
from voxledger.errors import CaseRefused, CasesFailed, Misuse, UnreadableImage
from voxledger.imaging.format import refused_suffixes, suffixes
from voxledger.imaging.intact import read_whole, read_whole_label
from voxledger.imaging.volume import (
    file_sha256,
    mask_sha256,
    read,
    require_same_grid,
    smallest_unsigned,
    write,
)
from voxledger.params import CasesParams
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.ledger import Entry, Origin, read_ledger, write_ledger
from voxledger.schema import LabelSchema
from voxledger.textfile import parse_json, read_text, replace_text

AIR_HU = -200
"""An image whose darkest voxel lies below this is taken for CT: MR intensities are not negative."""

_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ALGORITHM = 2
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
    workers: int = 1,
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
    tasks = []
    for case_id, path in images.items():
        label = label_files.get(case_id)
        payload: dict[str, Any] = {
            "case_id": case_id,
            "image": str(path),
            "label": str(label) if label else None,
            "weak": str(weak_files[case_id]) if case_id in weak_files else None,
            "classes": covered,
            "schema": schema.model_dump(mode="json"),
        }
        files = {name: file_sha256(payload[name]) for name in ("image", "label", "weak") if payload[name]}
        tasks.append(Task(case_id, key_of("cases", _ALGORITHM, files=files, **payload), payload))
    staging = layout.MEMO / "cases" / "staging"
    try:
        infos = casemap("cases", _take_in, tasks, staging, workers=workers)
    except CasesFailed as error:
        problems += [line.strip() for line in error.problem.splitlines()[1:]]
        infos = []
    by_content = {c.sha256: f"case {c.case_id}" for c in registered}
    for task, info in zip(tasks, infos, strict=False):
        if info["sha256"] in by_content and task.case_id not in known_ids:
            problems.append(f"{task.payload['image']}: the same image as {by_content[info['sha256']]}")
        by_content.setdefault(info["sha256"], str(task.payload["image"]))
    _require_none(problems, folder)
    splits = assign_splits(patient_of, label_files, split, params, registered)
    cases = [
        Case(
            case_id=task.case_id,
            image=layout.label_map(layout.IMAGES, task.case_id).as_posix(),
            sha256=info["sha256"],
            original_sha256=info["original_sha256"],
            source=source,
            licence=licence,
            split=splits[task.case_id],
            modality=modality or info["modality"],
            weak_label=f"{layout.WEAK}/{info['weak']}" if info["weak"] else "",
            patient=patient_of[task.case_id],
        )
        for task, info in zip(tasks, infos, strict=True)
    ]
    _require_none(
        [
            f"{task.payload['image']}: case {case.case_id} was registered by a command that was interrupted, with "
            "other files or options than now"
            for task, case in zip(tasks, cases, strict=True)
            if case.case_id in known_ids and case != known_ids[case.case_id]
        ],
        folder,
        "run that command once more, as it was",
    )
    replace_text(_JOURNAL, json.dumps([asdict(case) for case in cases]))
    _store(staging, cases)
    ledger = read_ledger(layout.BASE_LEDGER)
    for case, info in zip(cases, infos, strict=True):
        for name, mask in info["masks"].items():
            ledger[case.case_id, name] = Entry(
                case.case_id, name, version, Origin.SOURCE, (), "", "", mask["sha256"], "", mask["ml"]
            )
    write_ledger(layout.BASE_LEDGER, ledger, schema.names)
    # The table comes last: cases that it names are whole, and what it does not name is taken back.
    write_cases(layout.CASES, [*(c for c in registered if c not in cases), *cases])
    track()
    shutil.rmtree(layout.MEMO / "cases", ignore_errors=True)
    return Added(cases, sum(bool(info["masks"]) for info in infos))


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


def _take_in(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    case_id = payload["case_id"]
    volume = read_whole(payload["image"])
    if volume.array.dtype.kind not in "iuf":
        raise UnreadableImage(f"{payload['image']} holds {volume.array.dtype} values", "export it as numbers")
    if not np.isfinite(volume.array).all():
        raise UnreadableImage(f"{payload['image']} holds NaN or infinite values", "mend the image and add it again")
    if volume.array.min() == volume.array.max():
        raise UnreadableImage(f"{payload['image']} is empty: every voxel is {volume.array.min()}", "leave it out")
    stored = folder / "images" / f"{case_id}.nii.gz"
    write(stored, volume.array, volume.grid)
    stored_grid = read(stored).grid
    require_same_grid(stored_grid, volume.grid, f"{payload['image']}, rewritten as NIfTI,")
    masks: dict[str, dict[str, Any]] = {}
    schema = LabelSchema.model_validate(payload["schema"])
    if payload["label"]:
        labels = read_whole_label(payload["label"], volume.grid)
        schema.check(labels, payload["label"])
        uncovered = sorted(
            c.name for c in schema.classes if c.name not in payload["classes"] and (labels == c.id).any()
        )
        if uncovered:
            raise CaseRefused(
                f"{payload['label']} holds {', '.join(uncovered)}, which --classes leaves out",
                "name every class that the label maps cover",
            )
        write(folder / "labels" / f"{case_id}.nii.gz", labels, stored_grid)
        for name in payload["classes"]:
            mask = schema.mask(labels, name)
            ml = float(mask.sum()) * stored_grid.voxel_ml
            masks[name] = {"sha256": mask_sha256(mask, stored_grid), "ml": ml}
    weak_name = _take_in_weak(payload, folder, volume.grid, schema) if payload["weak"] else ""
    return {
        "sha256": file_sha256(stored),
        "original_sha256": file_sha256(payload["image"]),
        "modality": "CT" if volume.array.min() < AIR_HU else "MR",
        "masks": masks,
        "weak": weak_name,
    }


def _take_in_weak(payload: dict[str, Any], folder: Path, grid: Any, schema: LabelSchema) -> str:
    path = Path(payload["weak"])
    if path.suffix == ".json":
        recist = parse_recist(path.read_bytes(), str(path), payload["case_id"], grid, schema)
        name = f"{payload['case_id']}.json"
        (folder / "weak").mkdir(exist_ok=True)
        replace_text(folder / "weak" / name, recist.to_json())
        return name
    labels = read_whole_label(path, grid)
    schema.check(labels, str(path))
    name = f"{payload['case_id']}.nii.gz"
    write(folder / "weak" / name, smallest_unsigned(labels), grid)
    return name


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
