"""What looks like the identity of a patient in anything that is about to be pushed or sent.

Looks at names of files, headers of images and labels, and tables and JSON; for identities that are known from the
folder of keys, and for what looks like a date, a person's name, an address or a DICOM UID. **Not covered**: text that
is burnt into an image, a face that the image itself shows, and words of free text that look like nothing of the kind.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.dicom import is_dicom
from voxledger.records.bundle import MANIFEST
from voxledger.records.decisions import COLUMNS as DECISION_COLUMNS
from voxledger.records.pseudonyms import default_folder, known_identities
from voxledger.records.spreadsheet import read_xlsx

NOT_COVERED = "not covered: text burnt into images, faces, and free text that looks like neither date, name nor address"

LOOKED_AT = (
    *(layout.CASES, layout.ACQUISITION, layout.IMAGES, layout.WEAK, layout.BASE_LABELS, layout.BASE_REVISIONS),
    *(layout.INBOX, layout.DECISIONS, layout.RELEASE_LABELS, layout.RELEASE_REVISIONS, layout.RELEASE_READINGS),
    *(layout.WITHDRAWN, layout.KEPT_MODELS),
)
"""What holds words of people, or came from outside. All else is made by us from this."""
_OURS = (".gitignore", "README.md", MANIFEST)
"""Texts in these folders that voxledger wrote; a returned manifest says what was sent, or is refused."""
_TEXTS = (".csv", ".json", ".txt", ".tsv", ".yaml", ".yml")
_MOST_TEXT = 16 << 20
_HEADER = 16 << 10
_NIFTI_WORDS = {"data_type": (4, 14), "db_name": (14, 32), "descrip": (148, 228), "aux_file": (228, 252)}
"""Where free text of a NIfTI-1 header stands."""
_NIFTI_VOXELS = 352
_SHORTEST = 4
"""Shorter identities occur everywhere."""
_LIKE = {
    "a date": re.compile(
        r"(?<![\w.^-])(?:(?:19|20)\d\d([-./]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
        r"|(?:0?[1-9]|[12]\d|3[01])[./](?:0?[1-9]|1[0-2])[./](?:19|20)\d\d)(?![\w-])"
    ),
    "a person's name": re.compile(r"\b[A-Za-z][\w'-]+\^[A-Za-z][\w'-]*(?:\^[\w'-]*)*"),
    "a DICOM UID": re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){6,}(?![\w.])"),
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
}
_DICOM_FIELDS = (
    *("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "AccessionNumber", "StudyDate", "StudyTime"),
    *("InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "OperatorsName", "StudyID", "SeriesDate"),
    *("PerformingPhysicianName", "StationName", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
)


_MADE_UP = "1.2.826.0.1.3680043."
"""UIDs below this are no scanner's: libraries make them."""


@dataclass(frozen=True)
class Suspicion:
    """One thing that looks like identity."""

    path: Path
    where: str
    """In its name, its header, or a line of it."""
    what: str
    """What it looks like."""
    text: str

    def __str__(self) -> str:
        return f"{self.path}, {self.where}: {self.text!r} looks like {self.what}"


def scan(paths: Iterable[Path], known: Sequence[str], allowed: Sequence[str]) -> list[Suspicion]:
    """What looks like identity in files, sorted by path; folders are gone through.

    Parameters
    ----------
    known
        Identities that nothing may hold; of four characters or more.
    allowed
        Texts that are none, whatever they look like.
    """
    words = [re.compile(rf"(?<![^\W_]){re.escape(k)}(?![^\W_])", re.IGNORECASE) for k in known if len(k) >= _SHORTEST]
    found: list[Suspicion] = []
    for path in sorted(_files(paths)):
        for where, text in _texts(path):
            found += [Suspicion(path, where, what, text) for what, text in _suspicious(text, words)]
        found += _in_dicom(path) if _is_dicom_file(path) else []
    return [one for one in found if one.text not in allowed]


def require_no_identity(paths: Sequence[Path], dataset: str, allowed: Sequence[str], command: str) -> None:
    """Raise where something looks like identity in what a command would send or publish."""
    found = scan(paths, known_identities(default_folder(dataset)), allowed)
    if found:
        shown = [f"  {one}" for one in found[:20]] + ([f"  … and {len(found) - 20} more"] if len(found) > 20 else [])
        raise VoxledgerError(
            "\n".join([f"{command} refuses while {len(found)} things look like the identity of a patient:", *shown]),
            f"remove them (`voxledger cases scan-phi` lists them all); what is none is listed in {layout.PARAMS}, "
            "cases.not_identity",
        )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file() and p.name not in _OURS)
        elif path.is_file():
            yield path


def _suspicious(text: str, known: Sequence[re.Pattern[str]]) -> Iterator[tuple[str, str]]:
    for pattern in known:
        if match := pattern.search(text):
            yield "a known identity", match.group()
    for what, pattern in _LIKE.items():
        for match in pattern.finditer(text):
            yield what, match.group()


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """All text of a file, with where it stands: names are looked at word by word."""
    name = path.relative_to(layout.DATA).as_posix() if path.is_relative_to(layout.DATA) else path.name
    yield "its name", re.sub(r"[/_]", " ", name)
    lower = path.name.lower()
    if lower.endswith((".nii", ".nii.gz")):
        yield from _in_nifti(path)
    elif lower.endswith((".nrrd", ".mha", ".mhd")):
        yield "its header", _beginning(path).partition(b"\n\n")[0].decode("utf-8", "replace")
    elif lower.endswith(".xlsx"):
        yield from ((f"line {number}", " ".join(line)) for number, line in enumerate(_cells(path), start=1))
    elif lower.endswith(_TEXTS):
        with open(path, "rb") as stream:
            lines = stream.read(_MOST_TEXT).decode("utf-8", "replace").splitlines()
        yield from ((f"line {number}", line) for number, line in enumerate(lines, start=1))


def _cells(path: Path) -> list[list[str]]:
    try:
        return read_xlsx(path, DECISION_COLUMNS[0])
    except ValueError:
        return []  # said where it is read


def _in_nifti(path: Path) -> Iterator[tuple[str, str]]:
    header = _beginning(path)
    for name, (start, stop) in _NIFTI_WORDS.items():
        yield f"its header ({name})", header[start:stop].split(b"\0")[0].decode("utf-8", "replace")
    if len(header) > _NIFTI_VOXELS and header[348:349] == b"\1":
        yield "its header (extensions)", header[_NIFTI_VOXELS:].decode("latin-1")


def _beginning(path: Path) -> bytes:
    """The first bytes of a file, unpacked; of a damaged one nothing, which others report."""
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else open(path, "rb") as stream:
            content: bytes = stream.read(_HEADER)
    except (OSError, EOFError, zlib.error):
        return b""
    return content


def _is_dicom_file(path: Path) -> bool:
    return path.suffix.lower() in (".dcm", "") and is_dicom(path)


def _in_dicom(path: Path) -> list[Suspicion]:
    from voxledger.imaging.dicom import library

    try:
        header = library("pydicom").dcmread(path, stop_before_pixels=True)
    except Misuse as error:
        return [Suspicion(path, "its header", "what cannot be looked at", error.problem)]
    except Exception as error:  # whatever a damaged file makes of the parser
        return [Suspicion(path, "its header", "what cannot be looked at", str(error))]
    fields = [(f, str(header.get(f, "") or "")) for f in _DICOM_FIELDS]
    private = [str(element.tag) for element in header if element.tag.is_private]
    told = [(field, text) for field, text in fields if text and not text.startswith(_MADE_UP)]
    found = [Suspicion(path, f"its header ({field})", "identity", text) for field, text in told]
    return found + [Suspicion(path, "its header", "a private field", tag) for tag in private[:1]]
