"""One file a class, as AbdomenAtlas and TotalSegmentator have it.

`<case>/ct.nii.gz` (or `mr.nii.gz`) is the image, `<case>/segmentations/<class>.nii.gz` the mask of a class. The mask of
an organ covers what lies inside it; a class that a case does not have is an empty mask.
"""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.volume import write as write_volume
from voxledger.release.handover import Released, copy


def write(released: Released, out: Path) -> None:
    """Write a mask a class, and copy images.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['case-7/ct.nii.gz', 'case-7/segmentations/liver.nii.gz']
    """
    for case in released.cases:
        copy(case.image, out / case.case_id / f"{case.modality.lower()}.nii.gz")
        labels = case.read()
        for name in released.schema.names:
            mask = released.schema.mask(labels.array, name)
            write_volume(out / case.case_id / "segmentations" / f"{name}.nii.gz", mask, labels.grid)
