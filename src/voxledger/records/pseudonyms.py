"""Pseudonyms of patients and series: a keyed hash of what DICOM headers say, with key and back-table elsewhere.

The repository holds pseudonyms alone. Whoever has the folder of keys can tell whose they are, and give the same person
the same pseudonym again; nobody else can.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from voxledger import layout
from voxledger.disk import replace_bytes
from voxledger.errors import Misuse
from voxledger.imaging.dicom_series import Series, ordered
from voxledger.imaging.format import Source
from voxledger.records.key_check import check_of, read_key_check

KEY, TABLE, SOURCES = "key", "identities.csv", "sources"
_LETTERS = 12
"""Hexadecimal digits of a pseudonym: 48 bits, so that a million patients meet by chance once in 500 datasets."""


@dataclass(frozen=True)
class Pseudonyms:
    """A key, and the table of whom pseudonyms stand for."""

    folder: Path
    key: bytes

    def of(self, kind: str, identity: str) -> str:
        """The pseudonym of a patient or a series: `p-` or `s-` and a hash."""
        digest = hmac.new(self.key, f"{kind}\0{identity}".encode(), hashlib.sha256).hexdigest()
        return f"{kind[0]}-{digest[:_LETTERS]}"

    def made(self, patients: Collection[str]) -> bool | None:
        """Whether some pseudonyms of patients are by this key; None where the table beside it has nobody of them."""
        known = [(name, identity) for name, what, identity in self._lines() if what == "PatientID" and name in patients]
        return any(self.of("patient", identity) == name for name, identity in known) if known else None

    def remember(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Add lines of pseudonym, what it is and identity to the table."""
        self._write({*entries, *self._lines()})

    def forget(self, patient: str, case_ids: Iterable[str]) -> None:
        """Forget whom a pseudonym stands for, and the series of some cases."""
        names = {patient, *case_ids}
        if (self.folder / TABLE).is_file():
            self._write(line for line in self._lines() if line[0] not in names)
        for case_id in case_ids:
            (self.folder / SOURCES / f"{case_id}.json").unlink(missing_ok=True)

    def _lines(self) -> list[tuple[str, str, str]]:
        if not (self.folder / TABLE).is_file():
            return []
        with open(self.folder / TABLE, newline="", encoding="utf-8") as stream:
            return [(row["pseudonym"], row["what"], row["identity"]) for row in csv.DictReader(stream)]

    def _write(self, lines: Iterable[tuple[str, str, str]]) -> None:
        """Put the table in place whole: whom the others stand for stands nowhere else."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("pseudonym", "what", "identity"))
        writer.writerows(sorted(lines))
        _write_private(self.folder / TABLE, text.getvalue().encode())

    def remember_source(self, case_id: str, series: Series) -> None:
        """Keep the UIDs of a series, so that segmentations can be exported that refer to it."""
        header = series.header
        source = Source(
            header["StudyInstanceUID"],
            series.uid,
            header["FrameOfReferenceUID"],
            header["SOPClassUID"],
            tuple(one.instance for one in ordered(series)),
        )
        _write_private(self.folder / SOURCES / f"{case_id}.json", json.dumps(asdict(source), indent=1).encode())


def known_identities(folder: Path) -> list[str]:
    """Whatever identifies somebody in the table of a folder of keys, names also part by part; sorted."""
    path = folder.expanduser() / TABLE
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        rows = [(row["what"], row["identity"]) for row in csv.DictReader(stream)]
    parts = [part for what, text in rows if what == "PatientName" for part in text.split("^")]
    return sorted({*(text for _, text in rows), *parts} - {""})


def source_of(folder: Path, case_id: str) -> Source | None:
    """The series that the image of a case was made from; None where it is not known."""
    path = folder / SOURCES / f"{case_id}.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text("utf-8"))
    return Source(**{**values, "instances": tuple(values["instances"])})


def default_folder(dataset: str) -> Path:
    """Where the key of a dataset lies, if nothing else is said."""
    return Path.home() / ".voxledger" / "keys" / dataset


def open_pseudonyms(folder: Path, repository: Path, in_use: bool = False) -> Pseudonyms:
    """The key in a folder, made if there is none, unless the dataset has one.

    Of a dataset of before no key is noted: that it has one `in_use`, as once somebody was withdrawn, the caller says.

    Raises
    ------
    Misuse
        The folder lies in the repository, others may read the key, it is not the one that the dataset was made with, or
        it is not here and another one would be of no use.
    """
    folder = folder.expanduser().resolve()
    if folder.is_relative_to(repository.resolve()):
        raise Misuse(
            f"{folder} lies in the repository, and whoever has its key and table knows who the patients are",
            "give a folder elsewhere with --keys",
        )
    path, noted = folder / KEY, read_key_check(repository)
    if not path.is_file() and (in_use or noted is not None):
        raise Misuse(
            f"{path} is not here, and by another key a person of this dataset would get another pseudonym, and who was "
            "withdrawn not be recognised",
            "bring it from where cases were added or withdrawn before, or name its folder with --keys",
        )
    if not path.is_file():
        _write_private(path, secrets.token_hex(32).encode())
    if path.stat().st_mode & 0o077:
        raise Misuse(f"others may read {path}", f"`chmod 600 {path}`")
    key = bytes.fromhex(path.read_text().strip())
    if noted not in (None, check_of(key)):
        raise Misuse(
            f"{path} is not the key of this dataset: {layout.KEY_CHECK} has another check value, and people would get "
            "other pseudonyms by it, and those who were withdrawn not be recognised",
            "name the folder of the key that cases were added or withdrawn with before, with --keys",
        )
    return Pseudonyms(folder, key)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, in a folder that its owner alone may enter."""
    before = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, content)
    finally:
        os.umask(before)
