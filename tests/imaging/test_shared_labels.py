"""Every real label, written in each format of named masks and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.imaging.format import Origin, format_of
from voxledger.imaging.formats import dicom_seg, rtstruct, seg_nrrd
from voxledger.imaging.placement import placement
from voxledger.imaging.segments import classes_of, draw, placed
from voxledger.imaging.volume import read_grid, read_label
from voxledger.schema import LabelClass, LabelSchema

pytest.importorskip("highdicom")

WRITERS = {".seg.nrrd": seg_nrrd, "_seg.dcm": dicom_seg, "_rt.dcm": rtstruct}
FOLDERS = {
    "totalsegmentator": "example_seg*.nii.gz",
    "kits23-raters": "*/segmentation.nii.gz",
    "hippocampus": "labels*/*.nii.gz",
    "hippocampus-external": "labels*/*.nii.gz",
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_label_comes_back_as_it_was(shared_data: Path, tmp_path: Path, folder: str, suffix: str) -> None:
    """Voxel by voxel, RTSTRUCT too: its outlines run half-way between voxels inside and outside."""
    paths = sorted((shared_data / folder).glob(FOLDERS[folder]))
    assert paths
    for path in paths[:: max(len(paths) // 12, 1)]:
        labels, grid = read_label(path), read_grid(path)
        ids = [int(i) for i in np.unique(labels) if i]
        schema = LabelSchema(name="all", classes=tuple(LabelClass(id=i, name=f"class-{i}") for i in ids or [1]))
        target = tmp_path / f"case{suffix}"
        WRITERS[suffix].write_labels(target, labels, grid, schema, Origin("all/case"))
        form = format_of(target)
        assert form.read_segments is not None
        found = form.read_segments(target, grid)
        at = placement(found.grid, grid)
        assert at is not None, path
        segments = placed(classes_of(found.segments, schema, str(path)), at, str(path))
        drawn = draw(schema, segments, np.zeros(grid.shape, np.uint8), str(path))
        assert np.array_equal(drawn.labels, labels), path
