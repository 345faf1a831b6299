"""3D Slicer: `labels/<case>.seg.nrrd`, a segment a class with colour and SNOMED CT code; images are NIfTI."""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.formats.seg_nrrd import write_labels
from voxledger.release.handover import Released, write_in_format


def write(released: Released, out: Path) -> None:
    """Write labels, and copy images.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['images/case-7.nii.gz', 'labels/case-7.seg.nrrd']
    """
    write_in_format(released, out, ".seg.nrrd", write_labels)
