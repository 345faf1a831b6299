"""Which cases show the same person: a table that is checked word by word, since what it says is published."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from voxledger.errors import CaseRefused
from voxledger.records.cases import Case
from voxledger.textfile import read_text, table

COLUMNS = ("case_id", "patient")
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def read_patients(path: Path, case_ids: Iterable[str], registered: Iterable[Case] = ()) -> dict[str, str]:
    """The patient of every new case, from a table with the columns `case_id` and `patient`.

    Parameters
    ----------
    path
        The table (CSV, UTF-8); each new case stands in it once, and other cases may.
    case_ids
        The new cases.
    registered
        Cases that are here already, whose patients the new ones may be.

    Raises
    ------
    CaseRefused
        Lists cases without a row or with two, names that cannot be pseudonyms, and those that differ in capitals alone.
    """
    found: dict[str, str] = {}
    problems = []
    with table(read_text(path).removeprefix("\ufeff"), path, COLUMNS) as rows:
        for row in rows:
            case_id, patient = row["case_id"].strip(), row["patient"].strip()
            if case_id in found:
                problems.append(f"a second row of case {case_id}")
            if not _PSEUDONYM.fullmatch(patient):
                problems.append(f"the patient of case {case_id} is no pseudonym of up to 64 letters, digits, '_-.'")
            found[case_id] = patient
    wanted = list(case_ids)
    problems += [f"no row of case {case_id}" for case_id in wanted if case_id not in found]
    spelled = {c.patient.casefold(): c.patient for c in registered}
    for case_id in wanted:
        patient = found.get(case_id, case_id)
        if spelled.setdefault(patient.casefold(), patient) != patient:
            problems.append(f"patients {spelled[patient.casefold()]} and {patient} differ in capitals alone")
    if problems:
        raise CaseRefused(
            f"{path} does not say who the patients are:\n  " + "\n  ".join(problems),
            "write one row a case with a pseudonym, the same for all cases of one person; it is published with the "
            "dataset, so never a name or a number that the hospital uses",
        )
    return {case_id: found[case_id] for case_id in wanted}
