"""Whether label files still hold the masks that the ledger names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.casemap.job import Job, content, place
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import mask_sha256, read_grid, read_label
from voxledger.params import MachineParams
from voxledger.records.cases import Case, require_image
from voxledger.records.ledger import Ledger, by_case
from voxledger.schema import LabelSchema


class MaskCheck(Job[list[str]]):
    """Compare the label of a case with the masks that the ledger names; gives the classes whose mask differs."""

    stage, algorithms = "masks", ("cases",)
    image: Path = place()
    image_sha256: str = content()
    label: Path | None = content()
    """None where there is no file."""
    hashes: dict[str, str] = content()
    schema: LabelSchema = content()

    def compute(self, folder: Path) -> list[str]:
        require_image(self.image, self.image_sha256)
        return differing_masks(self.schema, self.image, self.label, self.hashes)


def differing_masks(
    schema: LabelSchema, image: Path | str, label: Path | str | None, hashes: Mapping[str, str]
) -> list[str]:
    """Classes whose mask in a label file is not the one named, in the order given.

    A label that is not there is empty: older versions wrote none for a case in which every mask was.

    Parameters
    ----------
    hashes
        SHA-256 of the mask by class, as `volume.mask_sha256` gives it on the grid of the image.
    """
    grid = read_grid(image)
    labels = read_label(label, grid) if label is not None and Path(label).is_file() else np.zeros(grid.shape, np.uint8)
    return [n for n, digest in hashes.items() if mask_sha256(schema.mask(labels, n), grid) != digest]


def require_masks(
    cases: Sequence[Case], schema: LabelSchema, ledger: Ledger, labels: Path, out: Path, machine: MachineParams
) -> None:
    """Raise `VoxledgerError` naming case and class if a label is not what the ledger says; remembered case by case.

    A class that got another id, or two classes that swapped names in labels.yaml, show here.
    """
    jobs, rows = [], by_case(ledger)
    for case in cases:
        hashes = {name: entry.mask_sha256 for name, entry in rows.get(case.case_id, {}).items()}
        if hashes:
            label = labels / f"{case.case_id}.nii.gz"
            job = MaskCheck(
                name=case.case_id,
                image=Path(case.image),
                image_sha256=case.sha256,
                label=label if label.is_file() else None,
                hashes=hashes,
                schema=schema,
            )
            jobs.append(job)
    found = casemap(jobs, out, machine)
    wrong = [f"case {job.name}: {', '.join(names)}" for job, names in zip(jobs, found, strict=True) if names]
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more cases" if len(wrong) > 5 else "")
        raise VoxledgerError(
            f"labels in {labels} are not the masks that the ledger names ({shown})",
            f"if {layout.SCHEMA} was edited, give every class the id and name it had, and rename or take out classes "
            "with `voxledger schema`; otherwise `dvc checkout` the labels",
        )
