"""DICOM SEG: `labels/<case>.dcm`, label map segmentations; they refer to series whose UIDs are in the folder of keys.

Images are NIfTI, beside them: DICOM images are never written.
"""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.formats.dicom_seg import write_labels
from voxledger.release.handover import Released, copy


def write(released: Released, out: Path) -> None:
    """Write labels, and copy images.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['images/case-7.nii.gz', 'labels/case-7.dcm']
    """
    for case in released.cases:
        copy(case.image, out / "images" / f"{case.case_id}.nii.gz")
        labels = case.read()
        target = out / "labels" / f"{case.case_id}.dcm"
        write_labels(target, labels.array, labels.grid, released.schema, case.origin)
