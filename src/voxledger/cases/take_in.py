"""Taking one case in: its files are read once, checked, and written anew without header text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.label_file import Expected, read_returned_label
from voxledger.casemap.job import Job, content, place
from voxledger.errors import CaseRefused, UnreadableImage
from voxledger.imaging.dicom_series import Series, read_series
from voxledger.imaging.intact import MOST_BYTES, read_whole
from voxledger.imaging.volume import (
    Grid,
    Volume,
    mask_sha256,
    read_grid,
    require_same_grid,
    write,
)
from voxledger.registry import WEAK_READERS
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text
from voxledger.weak.marks import Marks, parse_marks
from voxledger.weak.reader import Given, Reader

AIR_HU = -200
"""An image whose darkest voxel lies below this is taken for CT: MR intensities are not negative."""
STAGED_IMAGES, STAGED_LABELS, STAGED_WEAK = "images", "labels", "weak"
"""Folders of what was written anew."""


@dataclass(frozen=True)
class MaskFacts:
    """Mask of one class in the label of a case."""

    sha256: str
    ml: float


@dataclass(frozen=True)
class TakenIn:
    """What is known of a case once its files were read."""

    modality: str
    """Told from the intensities: CT or MR."""
    masks: Mapping[str, MaskFacts]
    """By class that the label covers; empty where there is no label."""
    weak: str
    """Name of the weak label; empty where there is none."""


class TakeIn(Job[TakenIn]):
    """Reads, checks and writes anew the image of a case, its label and its weak label."""

    stage, algorithms = "cases", ("intake",)
    image: Path = place()
    image_sha256: str = content()
    series: Series | None = place()
    """Of an image that is a DICOM series."""
    label: Path | None = place()
    label_sha256: str = content()
    weak: Given | None = content()
    files: tuple[str, ...] = content()
    """Names of the files: suffixes tell how they are read."""
    classes: tuple[str, ...] = content()
    """Classes that the label covers."""
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> TakenIn:
        """Write `images/`, `labels/` and `weak/` of the case.

        Raises
        ------
        UnreadableImage, GridMismatch, UnknownLabel, CaseRefused
            A file is damaged, says nothing, or does not fit; none of it enters.
        """
        image = self._image()
        stored = folder / STAGED_IMAGES / f"{self.name}.nii.gz"
        write(stored, image.array, image.grid)
        grid = read_grid(stored)
        require_same_grid(grid, image.grid, f"{self.image}, rewritten as NIfTI,")
        return TakenIn(
            "CT" if image.array.min() < AIR_HU else "MR",
            self._label(folder, self.label, image.grid, grid) if self.label is not None else {},
            self._weak(folder / STAGED_WEAK, self.weak, grid) if self.weak is not None else "",
        )

    def _image(self) -> Volume:
        volume = read_series(self.series) if self.series is not None else read_whole(self.image)
        if volume.array.dtype.kind not in "iuf":
            raise UnreadableImage(f"{self.image} holds {volume.array.dtype} values", "export it as numbers")
        if not np.isfinite(volume.array).all():
            raise UnreadableImage(f"{self.image} holds NaN or infinite values", "mend the image and add it again")
        if volume.array.min() == volume.array.max():
            raise UnreadableImage(f"{self.image} is empty: every voxel is {volume.array.min()}", "leave it out")
        return volume

    def _label(self, folder: Path, path: Path, image: Grid, stored: Grid) -> dict[str, MaskFacts]:
        """Check the label on the grid of the image as it came, and write it on that of the image as it is stored."""
        schema = self.label_schema
        shown = Volume(np.zeros(image.shape, np.uint8), image)
        expected = Expected(schema, shown, MOST_BYTES, save_as="save it on the grid of its image")
        labels = read_returned_label([path], False, expected).labels
        uncovered = sorted(c.name for c in schema.classes if c.name not in self.classes and (labels == c.id).any())
        if uncovered:
            raise CaseRefused(
                f"{path} holds {', '.join(uncovered)}, which --classes leaves out",
                "name every class that the label maps cover",
            )
        write(folder / STAGED_LABELS / f"{self.name}.nii.gz", labels, stored)
        masks = {name: schema.mask(labels, name) for name in self.classes}
        return {
            name: MaskFacts(mask_sha256(mask, stored), float(mask.sum()) * stored.voxel_ml)
            for name, mask in masks.items()
        }

    def _weak(self, folder: Path, given: Given, image: Grid) -> str:
        reader: Reader = WEAK_READERS.get(given.reader)
        kept = reader.read(given, self.name, image, self.label_schema)
        folder.mkdir(exist_ok=True)
        if isinstance(kept, Marks):
            # What another package's reader made is checked as what a person wrote.
            checked = parse_marks(kept.to_json().encode(), given.what, self.name, image, self.label_schema)
            path = folder / layout.weak_marks(self.name).name
            replace_text(path, checked.to_json())
        else:
            path = folder / layout.label_map(layout.WEAK, self.name).name
            write(path, kept, image)
        return path.name
