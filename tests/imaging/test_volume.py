from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.boxes import Box
from voxledger.imaging.volume import (
    SPACING_TOLERANCE_MM,
    Grid,
    differences,
    file_sha256,
    mask_sha256,
    read,
    read_grid,
    read_label,
    require_same_grid,
    smallest_unsigned,
    write,
)

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((3, 4, 5), (2.5, 0.7, 0.78125), (-10.5, 20.25, 3.0), OBLIQUE)


def test_voxels_live_as_long_as_their_array_and_may_be_written(tmp_path: Path) -> None:
    """They are not copied from ITK, which lets go of its images."""
    grid, path = Grid.plain((64, 128, 128)), tmp_path / "case.nii"
    write(path, np.full(grid.shape, 7, np.int16), grid)
    slices = [read(path).array[n:] for n in range(8)]
    others = [np.full(grid.shape, 9, np.int16) for _ in range(8)]
    assert all((array == 7).all() for array in slices)
    slices[0][:] = 1
    assert (slices[1] == 7).all()
    assert all((array == 9).all() for array in others)


@pytest.mark.parametrize("box", [None, (slice(1, 5), slice(0, 4), slice(2, 9))])
def test_a_mask_has_one_hash_whatever_part_of_it_is_given(box: Box | None) -> None:
    mask = np.zeros((6, 7, 9), bool)
    assert mask_sha256(mask[box or ...], Grid.plain(mask.shape), box) == mask_sha256(mask, Grid.plain(mask.shape))
    mask[2:4, 1:3, 3:8] = True
    mask[2, 1, 3] = False
    assert mask_sha256(mask[box or ...], Grid.plain(mask.shape), box) == mask_sha256(mask, Grid.plain(mask.shape))
    assert mask_sha256(mask[1:], Grid.plain(mask.shape)) != mask_sha256(mask, Grid.plain(mask.shape))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_array_and_geometry_survive_a_file(tmp_path: Path, suffix: str) -> None:
    array = np.arange(60, dtype=np.int16).reshape(GRID.shape) - 30
    path = tmp_path / f"case{suffix}"
    write(path, array, GRID)
    volume = read(path)
    np.testing.assert_array_equal(volume.array, array)
    assert differences(volume.grid, GRID) == []
    assert read_grid(path) == volume.grid
    assert sitk.ReadImage(str(path)).GetPixel(4, 3, 2) == array[2, 3, 4]


def test_bytes_depend_on_content_alone(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 9, GRID.shape, dtype=np.uint8)
    write(tmp_path / "a.nii.gz", array, GRID)
    write(tmp_path / "other" / "b.nii.gz", array.copy(order="F"), GRID)
    assert file_sha256(tmp_path / "a.nii.gz") == file_sha256(tmp_path / "other" / "b.nii.gz")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.nii.gz"]


def test_a_single_frame_of_a_series_is_a_volume(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(np.ones((2, 3, 4), np.uint8))])
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    assert read(tmp_path / "a.nii.gz").array.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": (3, 4, 6)}, "size"),
        ({"spacing": (2.5, 0.7, 0.79)}, "spacing"),
        ({"spacing": (0.7, 2.5, 0.78125)}, "spacing"),
        ({"origin": (-10.5, 20.25, 3.5)}, "origin"),
        ({"direction": (-0.8, -0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)}, "direction"),
    ],
)
def test_other_grids_are_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(GridMismatch, match=said):
        require_same_grid(replace(GRID, **change), GRID, "label of case-7")  # type: ignore[arg-type]


def test_rounding_of_a_header_is_the_same_grid() -> None:
    moved = replace(GRID, spacing=tuple(s + SPACING_TOLERANCE_MM / 2 for s in GRID.spacing))  # type: ignore[arg-type]
    require_same_grid(moved, GRID, "label")


@pytest.mark.parametrize("kind", ["missing", "text", "vector", "series"])
def test_unreadable_files_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "case.nii.gz"
    if kind == "text":
        path.write_text("not an image")
    elif kind == "vector":
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 3), np.uint8), isVector=True), str(path))
    elif kind == "series":
        sitk.WriteImage(sitk.JoinSeries([sitk.Image(4, 4, 4, sitk.sitkUInt8)] * 2), str(path))
    with pytest.raises(UnreadableImage, match=r"case\.nii\.gz"):
        read(path)


def test_float_labels_are_read_and_fractions_refused(tmp_path: Path) -> None:
    labels = np.zeros(GRID.shape, np.float32)
    labels[1, 1, 1] = 3
    write(tmp_path / "ok.nii.gz", labels, GRID)
    assert read_label(tmp_path / "ok.nii.gz", GRID).dtype == np.uint8
    for bad in (0.5, np.nan, -1):
        labels[0, 0, 0] = bad
        write(tmp_path / "bad.nii.gz", labels, GRID)
        with pytest.raises(UnreadableImage, match=r"not a label map|NaN"):
            read_label(tmp_path / "bad.nii.gz", GRID)


@pytest.mark.parametrize(("largest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65536, np.uint32)])
def test_smallest_unsigned(largest: int, dtype: type) -> None:
    assert smallest_unsigned(np.array([[[0, largest]]], np.int64)).dtype == dtype


def test_mask_hash_sees_content_not_form() -> None:
    mask = np.zeros(GRID.shape, bool)
    empty = mask_sha256(mask, GRID)
    mask[1, 2, 3] = True
    one = mask_sha256(mask, GRID)
    assert one == mask_sha256(mask.astype(np.uint16) * 7, GRID) == mask_sha256(np.asfortranarray(mask), GRID)
    assert one not in (empty, mask_sha256(mask, replace(GRID, origin=(0.0, 0.0, 0.0))))
    assert one != mask_sha256(mask[:, :, ::-1], GRID)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=8), st.data())
def test_mask_hash_changes_with_any_voxel(points: list[tuple[int, int, int]], data: st.DataObject) -> None:
    mask = np.zeros(GRID.shape, bool)
    for point in points:
        mask[point] = True
    changed = mask.copy()
    flipped = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)))
    changed[flipped] ^= True
    assert mask_sha256(mask, GRID) != mask_sha256(changed, GRID)


def test_real_images_are_read(shared_data: Path) -> None:
    image = read(shared_data / "totalsegmentator" / "example_ct.nii.gz")
    labels = read_label(shared_data / "totalsegmentator" / "example_seg_fast_force_split.nii.gz", image.grid)
    assert image.array.shape == labels.shape == (112, 101, 122)
    assert labels.max() > 100
    with gzip.open(shared_data / "totalsegmentator" / "example_ct.nii.gz") as stream:
        assert len(stream.read()) > image.array.size
