"""DICOM Segmentations that others wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import UnreadableImage
from voxledger.imaging.dicom import slices_of
from voxledger.imaging.format import Origin
from voxledger.imaging.formats.dicom_seg import read_segments
from voxledger.imaging.placement import placement
from voxledger.imaging.volume import Grid

highdicom = pytest.importorskip("highdicom")

GRID = Grid((6, 5, 7), (2.5, 0.8, 0.7), (-31.25, 12.5, 100.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def save(path: Path, masks: np.ndarray, kind: str, **more: object) -> None:
    """Masks (z, y, x, segment) as highdicom writes them."""
    from pydicom.sr.codedict import codes

    described = [
        highdicom.seg.SegmentDescription(
            n + 1, name, codes.SCT.AnatomicalStructure, code, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for n, (name, code) in enumerate([("liver", codes.SCT.Liver), ("other", codes.SCT.Spleen)])
    ]
    seg = highdicom.seg.Segmentation(
        slices_of(GRID, Origin("x")), masks, kind, described[: masks.shape[-1]], highdicom.UID(), 1, highdicom.UID(), 1,
        "m", "m", "1", "1", **more,
    )  # fmt: skip
    seg.save_as(path)


def drawn() -> np.ndarray:
    masks = np.zeros((*GRID.shape, 2), np.uint8)
    masks[2:4, 1:3, 2, 0], masks[3, 2:4, 2:6, 1] = 1, 1
    return masks


@pytest.mark.parametrize("overlap", [False, True])
def test_binary_segments_without_their_empty_frames(tmp_path: Path, overlap: bool) -> None:
    masks = drawn()
    masks[..., 1] &= ~masks[..., 0] if not overlap else 255
    save(tmp_path / "a.dcm", masks, "BINARY")
    found = read_segments(tmp_path / "a.dcm", GRID)
    at = placement(found.grid, GRID)
    assert at is not None
    assert [(s.name, s.code) for s in found.segments] == [("liver", "10200004"), ("other", "78961009")]
    for number, segment in enumerate(found.segments):
        whole = np.zeros(GRID.shape, bool)
        box = at.to_image(segment.box)
        whole[box] = at.ordered(segment.mask)
        assert np.array_equal(whole, masks[..., number] != 0)


def test_slices_between_which_there_are_empty_ones_keep_their_distance(tmp_path: Path) -> None:
    masks = np.zeros((*GRID.shape, 1), np.uint8)
    masks[[0, 2, 4], 1, 1, 0] = 1
    save(tmp_path / "a.dcm", masks, "BINARY")
    found = read_segments(tmp_path / "a.dcm", GRID)
    at = placement(found.grid, GRID)
    assert at is not None
    whole = np.zeros(GRID.shape, bool)
    whole[at.to_image(found.segments[0].box)] = at.ordered(found.segments[0].mask)
    assert np.array_equal(whole, masks[..., 0] != 0)


def test_fractions_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.dcm", drawn().astype(np.float32) / 2, "FRACTIONAL")
    with pytest.raises(UnreadableImage, match="is a fractional segmentation"):
        read_segments(tmp_path / "a.dcm", GRID)
