"""What a person gives to register: files by case, and what is said of all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger.cases.dicom_in import DicomIn, find_dicom
from voxledger.errors import CaseRefused, Misuse
from voxledger.imaging.dicom import is_dicom
from voxledger.imaging.format import other_suffixes, suffixes
from voxledger.records.cases import Case, Split
from voxledger.records.pseudonyms import Pseudonyms
from voxledger.registry import WEAK_READERS
from voxledger.weak.reader import Given, Reader

_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Incoming:
    """New images, and what belongs to them."""

    folder: Path
    """Images; the name of a file is the case id, without its suffix and nnU-Net's `_0000`."""
    labels: Path | None = None
    """Label maps named like their images. Their classes enter the ledger with origin `source`."""
    weak: Path | None = None
    """Weak labels: a folder of files named like their images, label maps with a few slices or marks as JSON; or a table
    of all cases, see `voxledger.weak.readers`."""
    weak_class: str = ""
    """Class of weak labels of a table that does not name it."""
    patients: Path | None = None
    """Table with the columns `case_id` and `patient`, for cases that share a person; by default each has its own."""
    source: str = "unspecified"
    licence: str = "unspecified"
    split: Split | None = None
    """Split of all these cases. By default those of patients with a label are dealt out, others go to the pool."""
    modality: str | None = None
    """Of all these cases; by default told from the intensities."""
    classes: tuple[str, ...] | None = None
    """Classes that the label maps really cover; by default all of the schema."""
    pseudonyms: Pseudonyms | None = None
    """Key of the pseudonyms of DICOM series; None: there are none."""


@dataclass(frozen=True)
class Files:
    """The files of every case, by case id."""

    images: Mapping[str, Path]
    """An image file, or the folder of a DICOM series."""
    labels: Mapping[str, Path]
    weak: Mapping[str, Given]
    dicom: DicomIn


def files_of(incoming: Incoming) -> Files:
    """Find the files of every case.

    Raises
    ------
    CaseRefused
        A file does not make a case id, or two make the same.
    Misuse
        A folder is missing or holds no image.
    """
    if incoming.weak_class and incoming.weak is None:
        raise Misuse("--weak-class says of what class weak labels are, and there are none", "give them, with --weak")
    dicom = _dicom(incoming)
    images = _images_by_case(incoming.folder, bool(dicom.series or dicom.problems))
    if twice := images.keys() & dicom.series.keys():
        raise CaseRefused(f"an image file and a DICOM series are both case {', '.join(sorted(twice))}", "rename one")
    return Files(
        images | {case_id: one.files[0].parent for case_id, one in dicom.series.items()},
        _images_by_case(incoming.labels) if incoming.labels else {},
        _weak_by_case(incoming.weak, incoming.weak_class, {*images, *dicom.series}) if incoming.weak else {},
        dicom,
    )


def has_dicom(folder: Path) -> bool:
    """Whether a folder, or one in it, holds DICOM files."""
    return folder.is_dir() and any(p.is_file() and is_dicom(p) for p in folder.rglob("*"))


def _dicom(incoming: Incoming) -> DicomIn:
    if incoming.pseudonyms is None:
        return DicomIn({}, {}, [])
    return find_dicom(incoming.folder, incoming.pseudonyms)


def problems_of(files: Files, folder: Path, registered: Iterable[Case], unfinished: Iterable[Case]) -> list[str]:
    """What is wrong with the files before any is read.

    Parameters
    ----------
    registered
        Cases that are here already.
    unfinished
        Those of them that an interrupted command registered, and that may come again.
    """
    known = {c.case_id: c for c in registered}
    again = {c.case_id for c in unfinished}
    folded = Counter(c.casefold() for c in {*files.images, *known})
    return [
        *files.dicom.problems,
        *(
            f"{path}: there is no image for case {case_id} in {folder}"
            for case_id, path in sorted({**files.labels, **{c: given.what for c, given in files.weak.items()}}.items())
            if case_id not in files.images
        ),
        *(
            f"{path}: case {case_id} is registered already"
            for case_id, path in files.images.items()
            if case_id in known and case_id not in again
        ),
        *(
            f"{path}: case {case_id} differs from another case in capitals alone, which not every machine tells apart"
            for case_id, path in files.images.items()
            if folded[case_id.casefold()] > 1
        ),
    ]


def _images_by_case(folder: Path, may_be_none: bool = False) -> dict[str, Path]:
    if not folder.is_dir():
        raise Misuse(f"{folder} is not a folder", "give the folder that holds the files")
    found = [(p.name, p) for p in sorted(folder.iterdir()) if p.is_file() and p.name.endswith(_suffixes())]
    found = [(name, path) for name, path in found if not (may_be_none and is_dicom(path))]
    if not found and not may_be_none:
        raise Misuse(f"{folder} holds no image", f"images end in {', '.join(suffixes())}, or are DICOM series")
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


def _weak_by_case(path: Path, class_name: str, case_ids: Collection[str]) -> dict[str, Given]:
    readers: dict[str, Reader] = WEAK_READERS.all()
    if path.is_dir():
        if class_name:
            raise Misuse(
                f"--weak-class is for tables, and {path} is a folder", "leave it out: these files name classes"
            )
        single = {name: reader for name, reader in readers.items() if reader.rows is None}
        files = {p: n for p in sorted(path.iterdir()) for n, r in single.items() if p.is_file() and r.recognises(p)}
        if not files:
            raise Misuse(
                f"{path} holds no weak label",
                "label maps are called CASE.nii.gz, and marks CASE.json, in small letters",
            )
        by_case = _by_case([(_stem(p.name) if _stem(p.name) != p.name else p.stem, p) for p in files])
        return {case_id: Given(files[p], str(p), p, "", "") for case_id, p in by_case.items()}
    tables = {name: reader for name, reader in readers.items() if reader.rows is not None and reader.recognises(path)}
    if not path.is_file() or not tables:
        raise Misuse(
            f"{path} is neither a folder of weak labels nor a table of them",
            "give the folder that holds a file a case, DL_info.csv, or a COCO file that ends in .json",
        )
    name, reader = next(iter(tables.items()))
    if not reader.names_classes and not class_name:
        raise Misuse(f"{path} does not say of what class its marks are", "say it: --weak-class NAME")
    assert reader.rows is not None
    rows = reader.rows(path, case_ids)
    if not rows:
        raise Misuse(
            f"{path} names none of these cases", f"docs/curators.md says how a case of the reader {name} is called"
        )
    return {case_id: Given(name, f"{path} (case {case_id})", None, told, class_name) for case_id, told in rows.items()}


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
    return (*other_suffixes(), *suffixes())


def _stem(name: str) -> str:
    for suffix in (*_suffixes(), ".json"):
        if name.endswith(suffix):
            return name.removesuffix(suffix).removesuffix("_0000")
    return name
