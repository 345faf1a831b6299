"""What an interrupted `cases add` leaves: it is finished by the same command, or taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from voxledger import layout
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import read_ledger, write_ledger
from voxledger.schema import LabelSchema
from voxledger.textfile import parse_json, read_text, replace_text


def begin(cases: Sequence[Case]) -> None:
    """Note which cases are about to be written."""
    replace_text(layout.INTAKE_JOURNAL, json.dumps([asdict(case) for case in cases]))


def finished() -> None:
    """Forget the note, and what was remembered of the files."""
    shutil.rmtree(layout.INTAKE, ignore_errors=True)


def take_back_interrupted(registered: list[Case], schema: LabelSchema) -> list[Case]:
    """Take back what an interrupted `add_cases` wrote of cases that it had not registered yet; returns those it had."""
    if not layout.INTAKE_JOURNAL.is_file():
        return []
    began = [
        Case(**{**row, "split": Split(row["split"])})
        for row in parse_json(read_text(layout.INTAKE_JOURNAL), layout.INTAKE_JOURNAL)
    ]
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
    complete = set(registered)
    return [c for c in began if c in complete]
