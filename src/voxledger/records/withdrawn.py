"""Patients who were withdrawn: `data/withdrawn.csv`, and `data/kept_models.csv` for models that learned from them.

What is said of a patient is said under keyed hashes. The key lies where that of pseudonyms does, outside the
repository (`records/pseudonyms.py`): a hash without a key could be tried with every id that a hospital might use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from voxledger import layout
from voxledger.errors import CaseRefused, Misuse
from voxledger.records.formats import TableFormat
from voxledger.records.key_check import read_key_check
from voxledger.records.pseudonyms import KEY, Pseudonyms, default_folder, open_pseudonyms
from voxledger.textfile import as_text, read_text_if_there, write_table

Hashed = Callable[[str], str]
"""The keyed hash of an id."""


def patients_of(key: Pseudonyms) -> Hashed:
    """How patients are called here once they are withdrawn."""
    return lambda patient: key.of("withdrawn patient", patient)


def cases_of(key: Pseudonyms) -> Hashed:
    """How cases of theirs are called."""
    return lambda case_id: key.of("withdrawn case", case_id)


@dataclass(frozen=True)
class Withdrawn:
    """One patient who was withdrawn."""

    patient: str
    """Keyed hash of the pseudonym."""
    cases: tuple[str, ...]
    """Keyed hashes of the ids of the patient's cases in all versions."""
    round: int
    """The first round without the patient."""
    curator: str
    date: str
    reason: str
    models: tuple[str, ...] = ()
    """Ids of the models that learned from the patient, or that go on from one that did."""
    returns: tuple[tuple[str, str], ...] = ()
    """Hashes of returns that were cut, before and after; also of what stands for several of them in the ledger."""


@dataclass(frozen=True)
class Kept:
    """One model that learned from a patient who was withdrawn, and why it goes on."""

    model_id: str
    curator: str
    date: str
    reason: str


TABLE = TableFormat("withdrawn", "a table of withdrawn patients", (tuple(f.name for f in fields(Withdrawn)),))
KEPT_TABLE = TableFormat("kept_models", "a table of models that are kept", (tuple(f.name for f in fields(Kept)),))


def read_withdrawn(path: Path | str = layout.WITHDRAWN) -> list[Withdrawn]:
    """Read the table, in its order; an empty file, or none, names nobody."""
    text = read_text_if_there(path)
    return parse_withdrawn(text, path) if text else []


def parse_withdrawn(text: str, what: Path | str) -> list[Withdrawn]:
    """Parse the text of the table; `what` names it in errors."""
    with TABLE.rows(text, what) as rows:
        return [
            Withdrawn(
                row["patient"],
                tuple(row["cases"].split(";")),
                int(row["round"]),
                row["curator"],
                row["date"],
                row["reason"],
                tuple(filter(None, row["models"].split(";"))),
                tuple((old, new) for old, _, new in (r.partition("/") for r in row["returns"].split(";") if r)),
            )
            for row in rows
        ]


def write_withdrawn(rows: Iterable[Withdrawn], path: Path | str = layout.WITHDRAWN) -> None:
    """Write the table, in the order given."""
    values = (
        asdict(row)
        | {
            "cases": ";".join(row.cases),
            "reason": as_text(row.reason),
            "models": ";".join(row.models),
            "returns": ";".join(map("/".join, row.returns)),
        }
        for row in rows
    )
    write_table(path, TABLE.columns, values)


def names_of_return(bundle: str, rows: Iterable[Withdrawn]) -> set[str]:
    """All hashes that a return had before it was cut, and the one that it has."""
    former = {new: old for row in rows for old, new in row.returns}
    names = {bundle}
    while (bundle := former.get(bundle, "")) and bundle not in names:
        names.add(bundle)
    return names


def read_kept(path: Path | str = layout.KEPT_MODELS) -> list[Kept]:
    """Read the table, in its order; an empty file, or none, keeps no model."""
    text = read_text_if_there(path)
    if not text:
        return []
    with KEPT_TABLE.rows(text, path) as rows:
        return [Kept(**row) for row in rows]


def write_kept(rows: Iterable[Kept], path: Path | str = layout.KEPT_MODELS) -> None:
    """Write the table, in the order given."""
    write_table(path, KEPT_TABLE.columns, (asdict(row) | {"reason": as_text(row.reason)} for row in rows))


def withdrawn_among(missing: set[str], dataset: str) -> set[str]:
    """Those of some cases, which are not registered, that were withdrawn, and not renamed or taken out by hand.

    The key tells that. Where it is not where it lies by default, each may be one as soon as somebody was withdrawn.
    """
    rows, folder, root = read_withdrawn(), default_folder(dataset), Path()
    if not rows:
        return set()
    if read_key_check(root) is None or not (folder / KEY).is_file():
        return missing
    try:
        hashed = cases_of(open_pseudonyms(folder, root))
    except Misuse:  # the key of another dataset
        return missing
    names = {name for row in rows for name in row.cases}
    return {case_id for case_id in missing if hashed(case_id) in names}


def recognise(key: Pseudonyms, ever: Iterable[str]) -> dict[str, str]:
    """The keyed hash of the patient, by the id of every case that was withdrawn; `ever` are the ids of all versions.

    Raises
    ------
    Misuse
        They were withdrawn under another key.
    """
    patients = {name: row.patient for row in read_withdrawn() for name in row.cases}
    hashed = {cases_of(key)(case_id): case_id for case_id in ever}
    if lacking := patients.keys() - hashed.keys():
        raise Misuse(
            f"{len(lacking)} withdrawn cases are not recognised: the key in {key.folder} is not theirs",
            "give with --keys the folder whose key they were withdrawn with",
        )
    return {hashed[name]: patient for name, patient in patients.items()}


def require_not_withdrawn(cases: Iterable[tuple[str, str]], key: Pseudonyms) -> None:
    """Raise if a case, or its patient, was withdrawn; cases are given as (case, patient).

    Raises
    ------
    CaseRefused
        Names the cases.
    """
    rows = read_withdrawn()
    people, files = {row.patient for row in rows}, {name for row in rows for name in row.cases}
    found = [c for c, patient in cases if patients_of(key)(patient) in people or cases_of(key)(c) in files]
    if found:
        raise CaseRefused(
            f"{', '.join(found[:10])}: withdrawn, as {layout.WITHDRAWN} says of the patient or of a case of this name",
            "leave the patient out; where another one has the name now, give the case a name of its own",
        )
