"""NIfTI: `images/<case>.nii.gz` and `labels/<case>.nii.gz`, a label map of innermost ids; `labels.yaml` names them."""

from __future__ import annotations

from pathlib import Path

from voxledger.release.handover import Released, copy


def write(released: Released, out: Path) -> None:
    """Copy images and labels.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['images/case-7.nii.gz', 'labels/case-7.nii.gz']
    """
    for case in released.cases:
        copy(case.image, out / "images" / f"{case.case_id}.nii.gz")
        copy(case.labels, out / "labels" / f"{case.case_id}.nii.gz")
