"""RTSTRUCT: `labels/<case>.dcm`, outlines of every class; images are NIfTI."""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.formats.rtstruct import write_labels
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
