"""What is written in a format of named masks, and read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.errors import UnreadableImage
from voxledger.imaging.format import Origin, format_of
from voxledger.imaging.formats import dicom_seg, rtstruct, seg_nrrd
from voxledger.imaging.intact import intact
from voxledger.imaging.placement import placement
from voxledger.imaging.segments import classes_of, draw, placed
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="test",
    classes=(
        LabelClass(id=1, name="liver", code="10200004", color=(221, 130, 101)),
        LabelClass(id=2, name="pancreas", code="15776009"),
        LabelClass(id=7, name="lesion", inside="pancreas", lesion=True),
    ),
)
WRITERS = {".seg.nrrd": seg_nrrd, "_seg.dcm": dicom_seg, "_rt.dcm": rtstruct}
GRIDS = {
    "plain": Grid.plain((5, 6, 7)),
    "anisotropic": Grid((5, 6, 7), (2.5, 0.8, 0.7), (-31.25, 12.5, 100.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1)),
    "as NIfTI has it": Grid((5, 6, 7), (3.0, 1.5, 1.5), (177.9, -11.3, 94.3), (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)),
    "sagittal": Grid((5, 6, 7), (2.5, 0.8, 0.7), (1.0, 2.0, 3.0), (0.0, 0, 1, 1, 0, 0, 0, -1, 0)),
    "oblique": Grid((5, 6, 7), (2.5, 0.8, 0.7), (1.0, 2.0, 3.0), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)),
    "one slice": Grid((1, 6, 7), (2.5, 0.8, 0.7), (1.0, 2.0, 3.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1)),
}


def read_back(path: Path, grid: Grid) -> np.ndarray:
    form = format_of(path)
    assert form.read_segments is not None
    with intact(path, 1 << 24) as plain:
        found = form.read_segments(plain, grid)
    at = placement(found.grid, grid)
    assert at is not None
    segments = placed(classes_of(found.segments, SCHEMA, str(path)), at, str(path))
    assert set(segments) == set(SCHEMA.names)
    return draw(SCHEMA, segments, np.zeros(grid.shape, np.uint8), str(path)).labels


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("where", GRIDS)
@pytest.mark.parametrize("what", ["full", "empty", "single voxel"])
def test_a_label_comes_back_as_it_was(tmp_path: Path, suffix: str, where: str, what: str) -> None:
    grid = GRIDS[where]
    labels = np.random.default_rng(0).choice([0, 1, 2, 7], grid.shape).astype(np.uint8)
    if what != "full":
        labels[:] = 0
    if what == "single voxel":
        labels[-1, 0, 3] = 7
    path = tmp_path / f"case{suffix}"
    WRITERS[suffix].write_labels(path, labels, grid, SCHEMA, Origin("test/case"))
    assert np.array_equal(read_back(path, grid), labels)
    first = path.read_bytes()
    WRITERS[suffix].write_labels(path, labels, grid, SCHEMA, Origin("test/case"))
    assert path.read_bytes() == first


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(WRITERS)), st.sampled_from([0.1, 0.5, 0.9]))
def test_whatever_was_drawn_comes_back(tmp_path_factory: Any, seed: int, suffix: str, share: float) -> None:
    rng = np.random.default_rng(seed)
    grid = GRIDS["oblique"]
    labels = np.where(rng.random(grid.shape) < share, rng.choice([1, 2, 7], grid.shape), 0).astype(np.uint8)
    path = tmp_path_factory.mktemp("written") / f"case{suffix}"
    WRITERS[suffix].write_labels(path, labels, grid, SCHEMA, Origin("test/case"))
    assert np.array_equal(read_back(path, grid), labels)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    grid = GRIDS["anisotropic"]
    labels = np.random.default_rng(0).choice([0, 1, 2, 7], grid.shape).astype(np.uint8)
    path = tmp_path / f"case{suffix}"
    WRITERS[suffix].write_labels(path, labels, grid, SCHEMA, Origin("test/case"))
    whole = path.read_bytes()
    form = format_of(path)
    assert form.read_segments is not None
    for length in (0, 50, 200, len(whole) // 3, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableImage), intact(path, 1 << 24) as plain:
            form.read_segments(plain, grid)
