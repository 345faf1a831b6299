"""DICOM SEG: `labels/<case>.dcm`, label map segmentations; they refer to series whose UIDs are in the folder of keys.

Images are NIfTI, beside them: DICOM images are never written.
"""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.formats.dicom_seg import write_labels
from voxledger.release.handover import Released, write_in_format


def write(released: Released, out: Path) -> None:
    """Write labels, and copy images.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['images/case-7.nii.gz', 'labels/case-7.dcm']
    """
    write_in_format(released, out, ".dcm", write_labels)
