"""Segmentations of 3D Slicer in all their forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from voxledger.errors import UnreadableImage
from voxledger.imaging.formats.seg_nrrd import is_segmentation, read_segments
from voxledger.imaging.intact import intact
from voxledger.imaging.volume import Grid

IMAGE = Grid.plain((4, 5, 6), (2.0, 1.0, 1.0))
LIVER = "TerminologyEntry:General Anatomy list~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~~^^~^^|"


def save(path: Path, voxels: np.ndarray, origin: tuple[float, ...] = (0, 0, 0), **fields: str) -> Path:
    """Voxels (z, y, x), or (z, y, x, layer), as Slicer writes them."""
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin(origin)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def read(path: Path) -> Any:
    with intact(path, 1 << 20) as plain:
        return read_segments(plain, IMAGE)


def test_cropped_to_what_it_covers_with_numbers_in_any_order(tmp_path: Path) -> None:
    voxels = np.array([[[9, 0, 3]]], np.uint8)
    fields = {
        "Segment0_Name": "spleen", "Segment0_LabelValue": "9", "Segment0_Layer": "0",
        "Segment1_ID": "Segment_2", "Segment1_Name": "Segment_2", "Segment1_LabelValue": "3", "Segment1_Layer": "0",
        "Segment1_Tags": f"Segmentation.Status:inprogress|{LIVER}",
    }  # fmt: skip
    found = read(save(tmp_path / "a.seg.nrrd", voxels, (2.0, 1.0, 4.0), **fields))
    assert (found.grid.shape, found.grid.origin) == ((1, 1, 3), (2.0, 1.0, 4.0))
    assert [(s.name, s.code, s.box) for s in found.segments] == [
        ("spleen", "", (slice(0, 1), slice(0, 1), slice(0, 1))),
        ("Segment_2", "10200004", (slice(0, 1), slice(0, 1), slice(2, 3))),
    ]


def test_layers_hold_segments_that_overlap(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6, 2), np.uint8)
    voxels[0, 0, :3, 0], voxels[0, 0, 2:, 1], voxels[1, 1, 1, 1] = 1, 1, 2
    fields = {f"Segment{n}_Name": name for n, name in enumerate("abc")}
    fields |= {"Segment0_Layer": "0", "Segment1_Layer": "1", "Segment2_Layer": "1"}
    fields |= {"Segment0_LabelValue": "1", "Segment1_LabelValue": "1", "Segment2_LabelValue": "2"}
    found = read(save(tmp_path / "a.seg.nrrd", voxels, **fields))
    assert [(s.name, int(s.mask.sum())) for s in found.segments] == [("a", 3), ("b", 4), ("c", 1)]


def test_a_layer_a_segment_without_numbers_is_what_old_slicers_wrote(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6, 2), np.uint8)
    voxels[0, 0, :3, 0], voxels[0, 0, 2:, 1] = 1, 1
    found = read(save(tmp_path / "a.seg.nrrd", voxels, Segment0_Name="a", Segment1_Name="b"))
    assert [(s.name, int(s.mask.sum())) for s in found.segments] == [("a", 3), ("b", 4)]


def test_a_segment_without_a_voxel_is_there(tmp_path: Path) -> None:
    fields = {"Segment0_Name": "a", "Segment0_LabelValue": "1", "Segment0_Layer": "0"}
    (segment,) = read(save(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 1), np.uint8), **fields)).segments
    assert not segment.mask.any()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "is not a segmentation that 3D Slicer wrote"),
        ({"Segment0_Name": "a", "Segment0_Layer": "3"}, "segment 'a' lies in a layer that is not there"),
        ({"Segment0_Name": "a", "Segment0_LabelValue": "0"}, "lies in a layer that is not there"),
        ({"Segment0_Name": "a", "Segment0_LabelValue": "one"}, "is not a segmentation that 3D Slicer wrote"),
        ({"Segment0_Name": "a", "Segmentation_MasterRepresentation": "Fractional labelmap"}, "fractional"),
    ],
)
def test_what_slicer_does_not_write_is_refused(tmp_path: Path, fields: dict[str, str], told: str) -> None:
    with pytest.raises(UnreadableImage, match=told):
        read(save(tmp_path / "a.seg.nrrd", np.ones((1, 1, 1), np.uint8), **fields))


def test_a_segmentation_under_another_name_is_told(tmp_path: Path) -> None:
    assert is_segmentation(save(tmp_path / "a.nrrd", np.ones((1, 1, 1), np.uint8), Segment0_Name="a"))
    assert not is_segmentation(save(tmp_path / "b.nrrd", np.ones((1, 1, 1), np.uint8)))
