"""What the readers of a case agree on, and what goes to an adjudicator: found once per content of their returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.case_return import CaseReturn, Panel, read_all, read_by_readers
from voxledger.bundles.context import SettledCase
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.returned import Return
from voxledger.bundles.settle import Reader, lay
from voxledger.casemap.job import Job, content
from voxledger.casemap.once import files_of, once
from voxledger.imaging.volume import Grid, file_sha256, read_grid, read_label, write
from voxledger.records.bundle import Asked, Manifest
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelSchema
from voxledger.textfile import as_text, read_text, table

READINGS = "readings"
"""Folder of the adjudicator's bundle with what every reader drew."""
COLUMNS = ["case_id", "class_name", "why", "reader", "decision", "error_type", "comment"]
"""Of its table of what they decided."""
AGREED = "agreed.nii.gz"
AGAIN = (
    f"`rm -r {layout.ADJUDICATION}`, then `voxledger round run`, make it anew; what the adjudicator has decided can "
    "then be taken over where nothing has changed"
)
"""How the adjudicator's bundle is made of what readers say now."""


class FindDisputes(Job[dict[str, str]]):
    """Finds the classes of a case that its readers do not agree on, with the reason, and writes what they drew."""

    stage, algorithms = "adjudicate", ("adjudicate",)
    bundle: str = content()
    """Name of the bundle."""
    returns: tuple[CaseReturn, ...] = content()
    panel: Panel = content()
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> dict[str, str]:
        shown = self.returns[0].shown
        grid, proposal = read_grid(shown), read_label(shown)
        labels = read_all(self.returns, grid)
        disputed = dict(self.panel.settle(self.label_schema, proposal, self.returns, labels).disputed)
        out = folder / self.bundle
        for one, own in zip(self.returns, labels, strict=True) if disputed else ():
            self._write_drawn(one.reader(own), proposal, disputed, out / READINGS / one.reviewer, grid)
        return disputed

    def _write_drawn(
        self, reader: Reader, proposal: LabelMap, disputed: Mapping[str, str], out: Path, grid: Grid
    ) -> None:
        """What a reader drew of these classes; all others are as they were proposed, so that it may be copied."""
        schema, rows = self.label_schema, reader.rows
        revised = [n for n in disputed if n in rows and rows[n].decision is Decision.REVISE]
        labels = proposal.copy()
        for name in sorted(revised, key=lambda n: (len(schema.chain(n)), schema[n].id)):
            around = next((n for n in schema.chain(name)[1:] if n in revised), None)
            lay(schema, labels, name, schema.mask(reader.labels, name), [reader.labels], around)
        if revised:
            write(layout.label_map(out, self.name), labels, grid)


class SettleCase(Job[tuple[Row, ...]]):
    """Writes the label map that the readers of a case agree on as `AGREED`, and says what they decided together."""

    stage, algorithms = "adjudicate", ("adjudicate",)
    returns: tuple[CaseReturn, ...] = content()
    """Those of readers."""
    panel: Panel = content()
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> tuple[Row, ...]:
        shown = self.returns[0].shown
        grid, proposal = read_grid(shown), read_label(shown)
        labels = read_all(self.returns, grid)
        found = self.panel.settle(self.label_schema, proposal, self.returns, labels)
        write(folder / AGREED, found.labels, grid)
        return tuple(found.rows.values())


def settled_cases(
    cases: Iterable[str], schema: LabelSchema, returns: Sequence[Return], panel: Panel
) -> dict[str, SettledCase]:
    """What readers agree on, by case; cases with a label that cannot be read, which is a finding, are left out.

    Parameters
    ----------
    cases, schema
        Those of the adjudicator's bundle.
    returns
        Those of the readers.
    """
    found = {}
    for case in cases:
        of_case = [one for one in returns if case in one.manifest.cases]
        if of_case and all(one.label_file(case) is not None for one in of_case):
            own = tuple(CaseReturn.of(one, case) for one in of_case)
            job = SettleCase(name=case, returns=own, panel=panel, label_schema=schema)
            rows = once(job)
            found[case] = SettledCase(files_of(job) / AGREED, rows)
    return found


def what_was_said(asked: Asked, why: str, returns: Iterable[Return]) -> list[dict[str, str]]:
    """What the readers of a class said of it: lines of the adjudicator's table; `why` they do not agree."""
    found = []
    for one in returns:
        row = one.decisions(asked.case_id).get(asked.class_name)
        if row is not None and row.decision is not None:
            said = (row.decision.value, row.error_type.value, as_text(row.comment))
            cells = (asked.case_id, asked.class_name, why, one.reviewer, *said)
            found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


Said = dict[tuple[str, str], list[dict[str, str]]]
"""Lines of the adjudicator's table, by case and class."""


def said_in(bundle: Path) -> Said:
    """What an adjudicator's bundle shows that readers said."""
    path, found = bundle / layout.RELEASE_READINGS.name, Said()
    with table(read_text(path), path, COLUMNS) as rows:
        for row in rows:
            found.setdefault((row["case_id"], row["class_name"]), []).append(row)
    return found


@dataclass(frozen=True)
class Changed:
    """A dispute that is not what it was when the adjudicator's bundle was made."""

    case_id: str
    class_name: str
    what: str


def changed_disputes(manifest: Manifest, exported: Path, returns: Sequence[Return], panel: Panel) -> list[Changed]:
    """What readers say otherwise than the adjudicator's bundle shows; nothing of cases with a label nobody can read.

    Parameters
    ----------
    manifest, exported
        The adjudicator's bundle, and its folder.
    returns
        Those of all readers.
    """
    shown, found = said_in(exported), list[Changed]()
    for case in sorted(read_by_readers(returns) | {a.case_id for a in manifest.asked}):
        of_case = [one for one in returns if case in one.manifest.cases]
        if all(one.label_file(case) is not None for one in of_case):
            found += _changed(case, manifest, exported, of_case, panel, shown)
    return found


def _changed(
    case: str, manifest: Manifest, exported: Path, returns: Sequence[Return], panel: Panel, shown: Said
) -> list[Changed]:
    own, schema = tuple(CaseReturn.of(one, case) for one in returns), manifest.label_schema
    job = FindDisputes(name=case, bundle=manifest.name, returns=own, panel=panel, label_schema=schema)
    why = once(job)
    drawn = files_of(job) / manifest.name / READINGS
    pairs = [(drawn / one.reviewer, exported / READINGS / one.reviewer) for one in returns]
    found = []
    for name in schema.names:
        before = shown.get((case, name))
        if name not in why:
            what = "" if before is None else "its readers agree on it now"
        elif before is None:
            what = f"its readers do not agree on it any more: {why[name]}"
        elif what_was_said(Asked(case_id=case, class_name=name), why[name], returns) != before:
            what = "its readers do not say the same of it as before"
        else:
            what = drawn_otherwise(schema, name, case, pairs)
        if what:
            found.append(Changed(case, name, what))
    if not found and any(_sha256(now, case) != _sha256(before, case) for now, before in pairs):
        found.append(Changed(case, "", "its readers drew otherwise around what they do not agree on"))
    return found


def drawn_otherwise(schema: LabelSchema, name: str, case: str, folders: Iterable[tuple[Path, Path]]) -> str:
    """Whether readers drew a class of a case otherwise than before, in words; empty where they did not.

    Parameters
    ----------
    folders
        Where what a reader drew lies, now and before, by a name that is the reader's.
    """
    for now, before in folders:
        if _sha256(now, case) == _sha256(before, case):
            continue
        files = [layout.label_map(folder, case) for folder in (now, before)]
        masks = [schema.mask(read_label(file), name) for file in files if file.is_file()]
        if len(masks) < 2 or not np.array_equal(masks[0], masks[1]):
            return f"{now.name} drew it otherwise before"
    return ""


def _sha256(folder: Path, case: str) -> str:
    file = layout.label_map(folder, case)
    return file_sha256(file) if file.is_file() else ""
