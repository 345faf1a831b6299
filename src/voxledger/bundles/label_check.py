"""A returned label map, read and compared with what was sent once per content; what is remembered is what counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.contradictions import Contradiction, contradictions
from voxledger.bundles.label_file import Expected, read_returned_label
from voxledger.casemap.job import Job, content, place
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import file_sha256, read, write
from voxledger.params import Outside
from voxledger.records.bundle import is_class_file
from voxledger.records.decisions import Row
from voxledger.schema import LabelSchema

FILE = "labels.nii.gz"
"""The label map as it was read, on the grid of its image: all that others look at."""
OTHER_CASE = 0.6
"""Dice of the foreground with its own proposal below which a label is compared with other cases."""


@dataclass(frozen=True)
class Compared:
    """What a returned label map says beside the proposal and the decisions."""

    contradictions: tuple[Contradiction, ...]
    unlike: bool
    """Whether it looks so little like its proposal that it may be of another case."""
    notes: tuple[str, ...] = ()
    """What was undone or decided to read it, see `voxledger.bundles.label_file`."""
    resampled: bool = False
    """Whether it lay on other voxels than its image."""


class LabelCheck(Job[Compared]):
    """Reads the label of one case, writes it as `FILE`, and compares it with the proposal and the decisions."""

    stage, algorithms = "gate", ("gate",)
    folder: Path = place()
    """The return."""
    files: tuple[str, ...] = content()
    """Paths in it of the returned files; suffixes tell how they are read."""
    sha256: tuple[str, ...] = content()
    """SHA-256 of each."""
    parts: tuple[str, ...] = content()
    """Those of the files that hold the voxels of another one, such as `.raw`."""
    outside: Outside = content()
    """What voxels outside of the extent of a cropped label are."""
    resample: bool = content()
    """Whether the curator wants labels on other voxels resampled."""
    shown: Path = place()
    """The proposal that was sent."""
    shown_sha256: str = content()
    most_bytes: int = content()
    """Bound on the unpacked size of the returned file."""
    label_schema: LabelSchema = content()
    rows: tuple[Row, ...] = content()
    """Lines of `decisions.csv` about the case."""
    asked: tuple[str, ...] = content()
    """Classes that the reviewer was asked about."""

    def compute(self, folder: Path) -> Compared:
        """Read and compare.

        Raises
        ------
        VoxledgerError
            It is no label map of this schema on the grid of its image, or changes just now: not remembered.
        """
        shown = read(self.shown)
        expected = Expected(self.label_schema, shown, self.most_bytes, self.outside, self.resample)
        headers = [self.folder / path for path in self.files if path not in self.parts]
        found = read_returned_label(headers, any(map(is_class_file, self.files)), expected)
        labels = found.labels
        if tuple(file_sha256(self.folder / path) for path in self.files) != self.sha256:
            raise BundleRefused("changed while it was read", "run the command again once nobody writes there any more")
        write(folder / FILE, labels, shown.grid)
        rows = {row.class_name: row for row in self.rows}
        return Compared(
            tuple(contradictions(self.label_schema, shown.array, labels, rows, self.asked)),
            bool(shown.array.any() and foreground_dice(labels, shown.array) < OTHER_CASE),
            found.notes,
            found.resampled,
        )


def foreground_dice(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Dice of all classes together of two label maps (z, y, x); 0 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero((a != 0) & (b != 0)) / total if total else 0.0
