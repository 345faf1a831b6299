"""The case table `data/cases.csv`: ids, files, hashes, sources, patients, and splits fixed for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from voxledger import layout
from voxledger.errors import CaseRefused, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.formats import TableFormat
from voxledger.records.ledger import read_ledger
from voxledger.textfile import read_text_if_there, write_table


class Split(StrEnum):
    """What a case is for. Models train on the pool alone; `external` is another site's test set."""

    POOL = "pool"
    CALIBRATION = "calibration"
    TEST = "test"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Channel:
    """One image file of a case."""

    image: str
    """Path in the repository."""
    sha256: str


@dataclass(frozen=True)
class Case:
    """One image volume with its metadata."""

    case_id: str
    image: str
    """Path in the repository, `data/images/<case_id>.nii.gz`; several channels of one grid with `;` between them."""
    sha256: str
    """Hash of the image file in the repository; of several, in their order, with `;` between them."""
    original_sha256: str
    """Hash of the file that was added, before identifiers were removed from its header."""
    source: str
    licence: str
    split: Split
    modality: str
    weak_label: str
    """Path of a weak label (`data/weak/…`), or empty."""
    patient: str = ""
    """Pseudonym of the person in the image, the same for every case of one person; by default the case itself."""

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.case_id)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The image files, in the order in which a network gets them.

        Raises
        ------
        ValueError
            There are not as many hashes as files.
        """
        files = zip(self.image.split(SEPARATOR), self.sha256.split(SEPARATOR), strict=True)
        return tuple(Channel(image, digest) for image, digest in files)


SEPARATOR = ";"
"""Between the files of one case."""
_COLUMNS = tuple(f.name for f in fields(Case))


def _patient_is_the_case(row: dict[str, str]) -> dict[str, str]:
    return {**row, "patient": row["case_id"]}


TABLE = TableFormat("cases", "a case table", (_COLUMNS[:-1], _COLUMNS), (_patient_is_the_case,))
"""1: before patients were told apart from cases; 2: with `patient`, and room for several files in `image`."""
FORMAT = TABLE.number


def read_cases(path: Path | str = layout.CASES) -> list[Case]:
    """Read the case table, sorted by case id; a file that never was there is an empty table.

    Raises
    ------
    VoxledgerError
        It is damaged, or missing though git or the ledger know of cases.
    """
    text = read_text_if_there(path)
    if text is None:
        ledger = read_ledger(Path(path).parent / layout.BASE_LEDGER.relative_to(layout.DATA))
        if known := {case_id for case_id, _ in ledger}:
            raise VoxledgerError(
                f"{path} is missing, though the ledger has {len(known)} cases",
                f"`git log -1 -- {path}` names the commit that took it away; `git restore --source COMMIT^ {path}`",
            )
        return []
    return parse_cases(text, str(path))


def parse_cases(text: str, what: str) -> list[Case]:
    """Parse the text of a case table of any format so far, sorted by case id.

    Parameters
    ----------
    what
        Names it in errors: its path, with " at TAG" where it was read from a version.
    """
    found: dict[str, Case] = {}
    with TABLE.rows(text, what) as rows:
        for row in rows:
            case = Case(**{**row, "split": Split(row["split"])})  # type: ignore[arg-type]
            if case.case_id in found:
                raise ValueError(f"a second row of case {case.case_id}")
            _ = case.channels
            found[case.case_id] = case
    return [found[case_id] for case_id in sorted(found)]


def write_cases(path: Path | str, cases: Iterable[Case]) -> None:
    """Write the case table, sorted by case id."""
    ordered = sorted(cases, key=lambda c: c.case_id)
    write_table(path, TABLE.columns, ({**vars(case), "split": case.split.value} for case in ordered))


def require_patients_apart(cases: Iterable[Case]) -> None:
    """Raise unless every patient has one split: what is learned from a person must not be tested on the same one.

    Raises
    ------
    VoxledgerError
        Names every patient on two sides, with the cases.
    """
    of: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        of[case.patient].append(case)
    torn = {patient: found for patient, found in of.items() if len({c.split for c in found}) > 1}
    if torn:
        shown = [
            f"patient {patient}: {', '.join(f'{c.case_id} ({c.split.value})' for c in found)}"
            for patient, found in sorted(torn.items())
        ]
        raise VoxledgerError(
            "one patient on two sides of a split:\n  " + "\n  ".join(shown[:10]),
            f"give all cases of a patient one split in {layout.CASES}; where models were trained on some of them, no "
            "other case of the patient can be a test case",
        )


def require_one_channel(cases: Iterable[Case]) -> None:
    """Raise if a case has several image files: no backend uses them yet, and leaving one out would not show.

    Raises
    ------
    CaseRefused
        Names the cases.
    """
    several = [c for c in cases if len(c.channels) > 1]
    if several:
        raise CaseRefused(
            f"{', '.join(c.case_id for c in several[:10])}: {len(several)} cases have several channels, and the "
            "backends of this voxledger take one",
            f"keep in {layout.CASES}, column image, the one file of each case that the labels were drawn on, with its "
            "hash in column sha256",
        )


def require_image(image: Path | str, sha256: str) -> None:
    """Raise unless an image file is the one that was registered: what is computed on another one must not be kept."""
    if file_sha256(image) != sha256:
        raise VoxledgerError(f"{image} is not the image that was registered", "restore it with `dvc checkout`")


def in_split(cases: Iterable[Case], *splits: Split) -> list[Case]:
    """The cases of some splits, in the order given."""
    return [c for c in cases if c.split in splits]
