"""What a reviewer is shown of one case, drawn: the label map to judge, and the one of where to look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.shown import read_sources
from voxledger.casemap.job import Job, content, place
from voxledger.errors import VoxledgerError
from voxledger.imaging.format import Origin
from voxledger.imaging.volume import Grid, file_sha256, smallest_unsigned, write
from voxledger.records.bundle import ATTENTION, LABELS, voxel_count
from voxledger.records.ledger import Entry
from voxledger.registry import FORMATS
from voxledger.schema import LabelSchema


@dataclass(frozen=True)
class Drawn:
    """What the manifest says of a case."""

    voxels: int
    """Of the image."""
    masks: dict[str, str]
    """`mask_sha256` of the proposal by class."""


class DrawCase(Job[Drawn]):
    """Writes `<bundle>/labels/<case>.nii.gz` and, where there is any, attention."""

    stage, algorithms = "export", ("export",)
    case_id: str = content()
    bundle: str = content()
    """Name of the bundle."""
    image: Path = place()
    image_sha256: str = content()
    base: Path | None = content()
    """Label map of the base version."""
    pseudo: Path | None = content()
    """Label map of the models."""
    attention: Path | None = content()
    """Attention file."""
    entries: tuple[Entry, ...] = content()
    """Rows of the base ledger about the case."""
    predicted: tuple[str, ...] = content()
    """Classes that models predict."""
    version: int = content()
    asked: tuple[str, ...] = content()
    """Classes that the reviewer is asked about."""
    label_schema: LabelSchema = content()
    formats: tuple[str, ...] = content()
    """In which the label map is written besides NIfTI."""

    def compute(self, folder: Path) -> Drawn:
        """Draw both.

        Raises
        ------
        VoxledgerError
            The image or the base label is not what it was.
        """
        if file_sha256(self.image) != self.image_sha256:
            raise not_registered(self.image)
        schema, entries = self.label_schema, {entry.class_name: entry for entry in self.entries}
        predicted = frozenset(self.predicted)
        sources = read_sources(schema, self.image, self.base, self.pseudo, entries, predicted, self.version)
        out = folder / self.bundle
        proposal = sources.proposal(schema)
        write(layout.label_map(out / LABELS, self.case_id), proposal, sources.grid)
        for name in self.formats:
            form = FORMATS.get(name)
            target = out / LABELS / f"{self.case_id}{form.plain}"
            form.write_labels(target, proposal, sources.grid, schema, Origin(f"{self.bundle}/{self.case_id}"))
        if self.attention is not None:
            self._write_attention(self.attention, out / ATTENTION, sources.grid)
        boxes = ClassBoxes(schema)
        masks = {name: boxes.mask_sha256(name, proposal, sources.grid) for name in schema.names}
        return Drawn(voxel_count(sources.grid.shape), masks)

    def _write_attention(self, attention: Path, out: Path, grid: Grid) -> None:
        """One label map of the classes in question, inner classes over outer ones."""
        from voxledger.imaging.attention_file import open_attention

        found, schema = open_attention(attention), self.label_schema
        shown = np.zeros(grid.shape, np.uint16)
        for name in sorted(self.asked, key=lambda n: (len(schema.chain(n)), schema[n].id)):
            box = found.boxes.get(name)
            if box is not None:
                shown[box][found.read(name, box) > 0] = schema[name].id
        write(out / f"{self.case_id}_attention.nii.gz", smallest_unsigned(shown), grid)


def not_registered(image: Path | str) -> VoxledgerError:
    """Of an image that is another than the table of cases says."""
    return VoxledgerError(f"{image} is not the registered image", f"run `dvc checkout {layout.IMAGES}`")
