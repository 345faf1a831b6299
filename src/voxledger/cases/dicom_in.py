"""DICOM series among the images that a person gives: which there are, what their cases and patients are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger.imaging.dicom import is_dicom
from voxledger.imaging.dicom_series import Series, series_of
from voxledger.records.key_check import note_key
from voxledger.records.pseudonyms import Pseudonyms

_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHORTEST_NAME = 3
"""Shorter parts of a name occur in words that are none."""


@dataclass(frozen=True)
class DicomIn:
    """Series by case id, and what is wrong with files and headers; where slices lie is checked when they are read."""

    series: Mapping[str, Series]
    patients: Mapping[str, str]
    """Pseudonym of the patient of a case, where its header names one."""
    problems: Sequence[str]


def find_dicom(folder: Path, pseudonyms: Pseudonyms) -> DicomIn:
    """Sort the DICOM files of a folder into series, however they lie in it.

    A subfolder with one series gives its case the name, unless that holds the patient's id or name; all other cases are
    called by the pseudonym of their series.
    """
    found: dict[str, Series] = {}
    problems: list[str] = []
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        paths = [p for p in (place.iterdir() if place == folder else place.rglob("*")) if p.is_file() and is_dicom(p)]
        if not paths:
            continue
        series, wrong = series_of(paths)
        problems += wrong
        for one in series:
            named = len(series) == 1 and place != folder and _is_safe_name(place.name, one)
            case_id = place.name if named else pseudonyms.of("series", one.uid)
            if case_id in found:
                problems.append(f"{place}: the series of case {case_id} lies in {found[case_id].files[0].parent}, too")
            found[case_id] = one
    patients = {
        case_id: pseudonyms.of("patient", one.header["PatientID"])
        for case_id, one in found.items()
        if one.header["PatientID"]
    }
    return DicomIn(found, patients, problems)


def remember(found: DicomIn, pseudonyms: Pseudonyms) -> None:
    """Write down, outside of the repository, whom pseudonyms stand for, and which series cases were made from.

    In the repository stands by what the key is recognised.
    """
    entries = []
    for case_id, one in found.series.items():
        patient = found.patients.get(case_id, case_id)
        entries += [(patient, what, identity) for what, identity in identities(one)]
        entries.append((case_id, "SeriesInstanceUID", one.uid))
        pseudonyms.remember_source(case_id, one)
    pseudonyms.remember(entries)
    if entries:
        note_key(pseudonyms.key)


def identities(series: Series) -> list[tuple[str, str]]:
    """What the header of a series says of who the patient is, by DICOM keyword."""
    fields = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber")
    return [(field, series.header[field]) for field in fields if series.header[field]]


def _is_safe_name(name: str, series: Series) -> bool:
    """Whether a name makes a case id, and holds nothing of the patient."""
    words = {word.casefold() for _, text in identities(series) for word in re.findall(r"\w+", text)}
    told = any(len(word) >= _SHORTEST_NAME and word in name.casefold() for word in words)
    return _CASE_ID.fullmatch(name) is not None and not told
