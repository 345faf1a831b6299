"""The case table `data/cases.csv`: ids, files, hashes, sources, and splits fixed for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import empty_sha256, file_sha256, read_grid
from voxledger.records.ledger import Ledger, labelled, read_ledger
from voxledger.schema import LabelSchema
from voxledger.textfile import read_text_if_there, restoring, table, write_table


class Split(StrEnum):
    """What a case is for. Models train on the pool alone; `external` is another site's test set."""

    POOL = "pool"
    CALIBRATION = "calibration"
    TEST = "test"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Case:
    """One image volume with its metadata."""

    case_id: str
    image: str
    """Path in the repository, `data/images/<case_id>.nii.gz`."""
    sha256: str
    """Hash of the image file in the repository."""
    original_sha256: str
    """Hash of the file that was added, before identifiers were removed from its header."""
    source: str
    licence: str
    split: Split
    modality: str
    weak_label: str
    """Path of a weak label (`data/weak/…`), or empty."""


COLUMNS = [f.name for f in fields(Case)]


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
    with table(text, path) as rows:
        if rows.fieldnames != COLUMNS:
            raise Misuse(f"{path} is not a case table: its columns are {rows.fieldnames}", restoring(path))
        found: dict[str, Case] = {}
        for row in rows:
            case = Case(**{**row, "split": Split(row["split"])})  # type: ignore[arg-type]
            if case.case_id in found:
                raise ValueError(f"a second row of case {case.case_id}")
            found[case.case_id] = case
    return [found[case_id] for case_id in sorted(found)]


def write_cases(path: Path | str, cases: Iterable[Case]) -> None:
    """Write the case table, sorted by case id."""
    ordered = sorted(cases, key=lambda c: c.case_id)
    write_table(path, COLUMNS, ({**asdict(case), "split": case.split.value} for case in ordered))


def require_image(image: Path | str, sha256: str) -> None:
    """Raise unless an image file is the one that was registered: what is computed on another one must not be kept."""
    if file_sha256(image) != sha256:
        raise VoxledgerError(f"{image} is not the image that was registered", "restore it with `dvc checkout`")


def in_split(cases: Iterable[Case], *splits: Split) -> list[Case]:
    """The cases of some splits, in the order given."""
    return [c for c in cases if c.split in splits]


def check_inputs(cases: list[Case], schema: LabelSchema) -> dict[str, dict[str, int]]:
    """Check that all that a round starts from is there; returns counts of cases by split: all, those of which people
    stand behind every class, and those of which they stand behind some.

    Raises
    ------
    Misuse
        Names what is missing and how to provide it.
    """
    if not cases:
        raise Misuse(
            f"no case is registered in {layout.CASES}, so there is nothing to annotate",
            "`make demo` shows a whole round on example cases in demo/. To start your own dataset: "
            "`voxledger init DIR`, `cd DIR`, `voxledger cases add FOLDER --labels FOLDER`, then `dvc repro`",
        )
    absent = [c for c in cases if not Path(c.image).is_file()]
    if absent:
        raise Misuse(
            f"{len(absent)} of {len(cases)} registered images are not here, the first is {absent[0].image}",
            "run `dvc pull`",
        )
    ledger = read_ledger(layout.BASE_LEDGER)
    known = {c.case_id for c in cases}
    for case_id, class_name in ledger:
        if case_id not in known:
            raise Misuse(
                f"{layout.BASE_LEDGER} speaks of case {case_id}, which is not registered",
                f"restore {layout.CASES} and the ledger from the same commit",
            )
        if class_name not in schema.names:
            raise Misuse(
                f"{layout.BASE_LEDGER} speaks of class {class_name}, which {layout.SCHEMA} lacks",
                schema.way_out(class_name),
            )
    with_rows = {case_id for case_id, _ in ledger}
    for case in cases:
        label = layout.label_map(layout.BASE_LABELS, case.case_id)
        if case.case_id in with_rows and not label.is_file() and not _is_empty(case, ledger):
            raise Misuse(f"{label} is not here", "run `dvc pull`")
    counts = {s.value: labelled(ledger, (c.case_id for c in in_split(cases, s)), schema.names) for s in Split}
    return {
        "cases": {split.value: len(in_split(cases, split)) for split in Split},
        "complete": {name: found.complete for name, found in counts.items()},
        "partly": {name: found.partly for name, found in counts.items()},
    }


def _is_empty(case: Case, ledger: Ledger) -> bool:
    """Whether every mask of a case is empty; older versions wrote no label file then."""
    empty = empty_sha256(read_grid(case.image))
    return all(entry.mask_sha256 == empty for (case_id, _), entry in ledger.items() if case_id == case.case_id)
