"""Several returns of one bundle: what they say together, class by class; of two that decide on one, the newer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger.bundles.label_file import read_returned_label
from voxledger.bundles.merge import LabelMap, paint
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import read_grid, read_label, write
from voxledger.records.bundle import LABELS, Manifest, label_case, list_files
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, read_decisions, to_csv
from voxledger.textfile import replace_text


@dataclass(frozen=True)
class Part:
    """One return, as far as it is put together with another one."""

    manifest: Manifest
    folder: Path
    rows: Mapping[tuple[str, str], Row]
    """Lines with a decision or a confirmation."""

    @classmethod
    def of(cls, manifest: Manifest, folder: Path) -> Part | None:
        """Read it; None where its table cannot be read without a doubt."""
        if not (folder / DECISIONS).is_file():
            return cls(manifest, folder, {})
        table = read_decisions(folder / DECISIONS)
        rows = {key: row for key, row in table.rows.items() if row.decision is not None or row.confirmed}
        return None if table.problems else cls(manifest, folder, rows)

    def decided(self, case_id: str) -> dict[str, Row]:
        """Lines of a case, by class."""
        return {name: row for (case, name), row in self.rows.items() if case == case_id}

    def labels(self, case_id: str) -> list[str]:
        """Files that are labels of a case."""
        folder = self.folder / LABELS
        found = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        return [f"{LABELS}/{name}" for name in found if label_case(f"{LABELS}/{name}", [case_id]) is not None]

    def read(self, case_id: str, sent: Path) -> LabelMap | None:
        """The label map of a case on the grid of the one that was sent; None where there is none to read."""
        shown, files = sent / LABELS / f"{case_id}.nii.gz", self.labels(case_id)
        if not files:
            return read_label(shown)
        try:
            most = self.manifest.most_label_bytes(case_id)
            return read_returned_label(self.folder / files[0], read_grid(shown), most) if len(files) == 1 else None
        except VoxledgerError:
            return None


def says_all(newer: Part, older: Part) -> bool:
    """Whether a return decides on all that an older one decided on, with the labels that this needs."""
    return older.rows.keys() <= newer.rows.keys() and all(
        newer.labels(case) or not older.labels(case) or not _revises(newer, case) for case in newer.manifest.cases
    )


def combine(newer: Part, older: Part, sent: Path, out: Path) -> None:
    """Write a return that says what two say together.

    Where both drew in the label of one case, a class that only the older one decided on is taken from it.

    Parameters
    ----------
    sent
        The bundle that both are returns of.
    out
        A folder that is not there yet.
    """
    out.mkdir()
    for path in list_files(newer.folder):
        if label_case(path, newer.manifest.cases) is None and path != DECISIONS:
            _copy(newer.folder / path, out / path)
    for case in newer.manifest.cases:
        _combine_label(case, newer, older, sent, out)
    rows = {(a.case_id, a.class_name): Row(a.case_id, a.class_name) for a in newer.manifest.asked}
    replace_text(out / DECISIONS, to_csv({**rows, **older.rows, **newer.rows}.values()))


def _combine_label(case: str, newer: Part, older: Part, sent: Path, out: Path) -> None:
    now, before = newer.decided(case), older.decided(case)
    only_before = [name for name, row in before.items() if name not in now and row.decision is Decision.REVISE]
    left_out = not newer.labels(case) and _revises(newer, case)
    source = older if left_out or not now else newer
    if only_before and now and not left_out:
        drawn, base = older.read(case, sent), newer.read(case, sent)
        if drawn is not None and base is not None:
            for name in only_before:
                base = paint(newer.manifest.label_schema, base, drawn, name)
            write(out / LABELS / f"{case}.nii.gz", base, read_grid(sent / LABELS / f"{case}.nii.gz"))
            return
    for path in source.labels(case):
        _copy(source.folder / path, out / path)


def _revises(part: Part, case: str) -> bool:
    return any(row.decision is Decision.REVISE for row in part.decided(case).values())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
