"""The job of taking one case in: its files are checked, and written anew without any header text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger.casemap.job import Job, content
from voxledger.cases.weak import parse_recist
from voxledger.errors import CaseRefused, UnreadableImage
from voxledger.imaging.intact import read_whole, read_whole_label
from voxledger.imaging.volume import (
    Grid,
    Volume,
    file_sha256,
    mask_sha256,
    read,
    require_same_grid,
    smallest_unsigned,
    write,
)
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

AIR_HU = -200
"""An image whose darkest voxel lies below this is taken for CT: MR intensities are not negative."""


@dataclass(frozen=True)
class SourceMask:
    """One class of a label that came with its image."""

    sha256: str
    ml: float


@dataclass(frozen=True)
class TakenIn:
    """What is known of a case once its files are written."""

    sha256: str
    """Of the image as it is kept."""
    original_sha256: str
    modality: str
    masks: dict[str, SourceMask]
    """By class that the label covers; empty without a label."""
    weak: str
    """Name of the weak label; empty without one."""


class TakeIn(Job[TakenIn]):
    """Takes one case in: writes `images/<case>.nii.gz`, and label and weak label under `labels/` and `weak/`."""

    stage, algorithms = "cases", ("intake",)
    image: Path = content()
    label: Path | None = content()
    weak: Path | None = content()
    classes: tuple[str, ...] = content()
    """Those that the label covers."""
    schema: LabelSchema = content()

    def compute(self, folder: Path) -> TakenIn:
        """Check and write the files.

        Raises
        ------
        UnreadableImage
            The image holds no usable numbers.
        CaseRefused
            The label holds a class that it is not said to cover.
        VoxledgerError
            A file is damaged, or does not fit the image.
        """
        volume = read_whole(self.image)
        _require_numbers(volume, self.image)
        stored = folder / "images" / f"{self.name}.nii.gz"
        write(stored, volume.array, volume.grid)
        grid = read(stored).grid
        require_same_grid(grid, volume.grid, f"{self.image}, rewritten as NIfTI,")
        return TakenIn(
            sha256=file_sha256(stored),
            original_sha256=file_sha256(self.image),
            modality="CT" if volume.array.min() < AIR_HU else "MR",
            masks=self._label(folder, self.label, volume.grid, grid) if self.label else {},
            weak=self._weak(folder, self.weak, volume.grid) if self.weak else "",
        )

    def _label(self, folder: Path, path: Path, given: Grid, stored: Grid) -> dict[str, SourceMask]:
        labels = read_whole_label(path, given)
        self.schema.check(labels, str(path))
        classes = [c for c in self.schema.classes if c.name not in self.classes]
        if uncovered := sorted(c.name for c in classes if (labels == c.id).any()):
            raise CaseRefused(
                f"{path} holds {', '.join(uncovered)}, which --classes leaves out",
                "name every class that the label maps cover",
            )
        write(folder / "labels" / f"{self.name}.nii.gz", labels, stored)
        masks = {}
        for name in self.classes:
            mask = self.schema.mask(labels, name)
            masks[name] = SourceMask(mask_sha256(mask, stored), float(mask.sum()) * stored.voxel_ml)
        return masks

    def _weak(self, folder: Path, path: Path, grid: Grid) -> str:
        if path.suffix == ".json":
            recist = parse_recist(path.read_bytes(), str(path), self.name, grid, self.schema)
            (folder / "weak").mkdir(exist_ok=True)
            replace_text(folder / "weak" / f"{self.name}.json", recist.to_json())
            return f"{self.name}.json"
        labels = read_whole_label(path, grid)
        self.schema.check(labels, str(path))
        write(folder / "weak" / f"{self.name}.nii.gz", smallest_unsigned(labels), grid)
        return f"{self.name}.nii.gz"


def _require_numbers(volume: Volume, path: Path) -> None:
    if volume.array.dtype.kind not in "iuf":
        raise UnreadableImage(f"{path} holds {volume.array.dtype} values", "export it as numbers")
    if not np.isfinite(volume.array).all():
        raise UnreadableImage(f"{path} holds NaN or infinite values", "mend the image and add it again")
    if volume.array.min() == volume.array.max():
        raise UnreadableImage(f"{path} is empty: every voxel is {volume.array.min()}", "leave it out")
