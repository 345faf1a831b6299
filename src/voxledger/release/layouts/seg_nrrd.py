"""3D Slicer: `labels/<case>.seg.nrrd`, a segment a class with colour and SNOMED CT code; images are NIfTI."""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.formats.seg_nrrd import write_labels
from voxledger.release.handover import Released, copy


def write(released: Released, out: Path) -> None:
    """Write labels, and copy images.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['images/case-7.nii.gz', 'labels/case-7.seg.nrrd']
    """
    for case in released.cases:
        copy(case.image, out / "images" / f"{case.case_id}.nii.gz")
        labels = case.read()
        target = out / "labels" / f"{case.case_id}.seg.nrrd"
        write_labels(target, labels.array, labels.grid, released.schema, case.origin)
