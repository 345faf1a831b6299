"""What the readers of a case agree on, and what goes to an adjudicator: found once per content of their returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.bundles.case_return import CaseReturn, Panel, read_all
from voxledger.bundles.context import SettledCase
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.returned import Return
from voxledger.bundles.settle import Reader, lay
from voxledger.casemap.job import Job, content
from voxledger.casemap.once import files_of, once
from voxledger.imaging.volume import Grid, read_grid, read_label, write
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelSchema

READINGS = "readings"
"""Folder of the adjudicator's bundle with what every reader drew."""
AGREED = "agreed.nii.gz"


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
