"""What a returned folder says by itself: to be put together with another one, or read again where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger.bundles.counted import all_labels, counting, data_files, is_one, tables
from voxledger.bundles.label_file import Expected, ReturnedLabel, read_returned_label
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import read, read_label
from voxledger.params import Outside
from voxledger.records.bundle import (
    LABELS,
    Manifest,
    Resample,
    is_class_file,
    list_files,
    read_resample,
    returned_files,
)
from voxledger.records.decisions import Row, read_decisions


@dataclass(frozen=True)
class Part:
    """One return."""

    manifest: Manifest
    folder: Path
    rows: Mapping[tuple[str, str], Row]
    """Lines with a decision or a confirmation."""
    all_labels: Mapping[str, list[str]]
    """All labels by case."""
    counting: Mapping[str, list[str]]
    """Those of them that count."""
    noted: Resample
    outside: Outside
    """What voxels outside of the extent of a cropped label are."""

    @classmethod
    def of(cls, manifest: Manifest, folder: Path, outside: Outside) -> Part | None:
        """Read it; None where its table cannot be read without a doubt."""
        files = returned_files(folder)
        paths = tables(files, manifest)
        found = [read_decisions(folder / path) for path in paths]
        if len(found) > 1 or any(table.problems for table in found):
            return None
        rows = {key: row for t in found for key, row in t.rows.items() if row.decision is not None or row.confirmed}
        labels = all_labels(files, manifest)
        count = {case: counting(case, found, files, manifest) for case, found in labels.items()}
        return cls(manifest, folder, rows, labels, count, read_resample(folder), outside)

    def decided(self, case_id: str) -> dict[str, Row]:
        """Lines of a case, by class."""
        return {name: row for (case, name), row in self.rows.items() if case == case_id}

    def labels(self, case_id: str) -> list[str]:
        """Files that are labels of a case, with those of their voxels."""
        paths = self.all_labels.get(case_id, [])
        return [*paths, *data_files(self.folder, paths, list_files(self.folder))] if paths else []

    def read(self, case_id: str, sent: Path) -> ReturnedLabel | None:
        """The label of a case on the grid of the one that was sent; None where there is none to read."""
        shown, headers = sent / LABELS / f"{case_id}.nii.gz", self.counting.get(case_id, [])
        if not headers:
            return ReturnedLabel(read_label(shown))
        if not is_one(headers):
            return None
        most, resample = self.manifest.most_label_bytes(case_id), case_id in self.noted.cases
        expected = Expected(self.manifest.label_schema, read(shown), most, self.outside, resample)
        try:
            return read_returned_label([self.folder / path for path in headers], is_class_file(headers[0]), expected)
        except VoxledgerError:
            return None
