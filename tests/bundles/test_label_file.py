"""A returned label is what was drawn, whatever a viewer did to its grid and in whatever format it was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from grids import regridded
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.bundles.label_file import Expected, read_returned_label
from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.volume import Grid, Volume, write
from voxledger.schema import LabelClass, LabelSchema

SHAPE = (4, 5, 6)
SCHEMA = LabelSchema(
    name="test", classes=(LabelClass(id=1, name="liver"), LabelClass(id=300, name="cyst", inside="liver"))
)
DIRECTIONS = [
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
]
spacings = st.tuples(*[st.floats(0.2, 8.0).map(lambda v: round(v, 3))] * 3)
origins = st.tuples(*[st.floats(-500, 500).map(lambda v: round(v, 2))] * 3)
sides = st.tuples(st.integers(-2, 1), st.integers(-2, 1))


def save(path: Path, labels: np.ndarray, grid: Grid) -> None:
    """Write a label map, by SimpleITK or nibabel, as viewers do."""
    import SimpleITK as sitk

    if path.suffix != ".mgz" and not path.name.endswith(".hdr"):
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(grid.spacing[::-1])
        image.SetOrigin(grid.origin)
        image.SetDirection(grid.direction)
        sitk.WriteImage(image, str(path), useCompression=True)
        return
    plain = path.with_name("plain.nii")
    write(plain, labels, grid)
    image = nibabel.load(plain)
    voxels = np.asarray(image.dataobj)
    kind = nibabel.MGHImage if path.suffix == ".mgz" else nibabel.Nifti1Pair
    nibabel.save(kind(voxels.astype(np.int32 if path.suffix == ".mgz" else np.uint16), image.affine), path)
    plain.unlink()


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".hdr", ".mgz"]),
    st.sampled_from(["unchanged", "empty"]),
)
def test_what_is_accepted_is_what_was_drawn(tmp_path_factory: Any, data: Any, suffix: str, outside: Any) -> None:
    image = Grid(SHAPE, data.draw(spacings), data.draw(origins), data.draw(st.sampled_from(DIRECTIONS)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shown, drawn = (rng.choice([0, 1, 300], SHAPE).astype(np.uint16) for _ in range(2))
    axes = tuple(data.draw(st.permutations(range(3))))
    flips = tuple(data.draw(st.booleans()) for _ in range(3))
    moved = data.draw(st.tuples(sides, sides, sides))
    path = tmp_path_factory.mktemp("label") / f"case{suffix}"
    save(path, *regridded(drawn, image, axes, flips, moved))
    expected = Expected(SCHEMA, Volume(shown, image), 1 << 20, outside)
    if any(a for a, _ in moved) and all(a + b == 0 for a, b in moved):
        with pytest.raises(GridMismatch, match="was shifted"):
            read_returned_label([path], False, expected)
        return
    found = read_returned_label([path], False, expected)
    inside = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(SHAPE, moved, strict=True))
    counts = shown.copy() if outside == "unchanged" else np.zeros_like(shown)
    counts[inside] = drawn[inside]
    assert np.array_equal(found.labels, counts)
    assert not found.resampled


def test_a_cropped_label_is_refused_where_nothing_says_what_is_outside(tmp_path: Path) -> None:
    image = Grid.plain(SHAPE)
    write(tmp_path / "a.nii", np.ones((3, 5, 6), np.uint8), Grid.plain((3, 5, 6)))
    with pytest.raises(GridMismatch, match=r"a\.nii was cropped, and says nothing of the rest of its image"):
        read_returned_label([tmp_path / "a.nii"], False, Expected(SCHEMA, Volume(np.zeros(SHAPE), image), 1 << 20))


def test_analyze_is_refused_with_the_reason(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(np.ones(SHAPE[::-1], np.int16), np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(UnreadableImage, match=r"a\.hdr is Analyze 7\.5, which does not say which side is left"):
        read_returned_label(
            [tmp_path / "a.hdr"], False, Expected(SCHEMA, Volume(np.zeros(SHAPE), Grid.plain(SHAPE)), 1 << 20)
        )


@pytest.mark.parametrize("suffix", [".mhd", ".hdr"])
def test_a_header_without_its_voxels_is_refused(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a{suffix}", np.ones(SHAPE, np.uint16), Grid.plain(SHAPE))
    for part in tmp_path.iterdir():
        if part.suffix != suffix:
            part.unlink()
    with pytest.raises(UnreadableImage, match="which holds its voxels, is missing"):
        read_returned_label(
            [tmp_path / f"a{suffix}"], False, Expected(SCHEMA, Volume(np.zeros(SHAPE), Grid.plain(SHAPE)), 1 << 20)
        )


@pytest.mark.parametrize("name", ["../evil.raw", "/etc/passwd", "LIST", "%03d.raw", "a.exe"])
def test_a_header_that_names_another_place_is_refused(tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.mhd", np.ones(SHAPE, np.uint16), Grid.plain(SHAPE))
    header = (tmp_path / "a.mhd").read_text()
    (tmp_path / "a.mhd").write_text(header[: header.index("ElementDataFile")] + f"ElementDataFile = {name}\n")
    with pytest.raises(UnreadableImage, match="its header names"):
        read_returned_label(
            [tmp_path / "a.mhd"], False, Expected(SCHEMA, Volume(np.zeros(SHAPE), Grid.plain(SHAPE)), 1 << 20)
        )
