"""RT Structure Sets that others wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.format import Origin
from voxledger.imaging.formats.rtstruct import read_segments, write_labels
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema

pydicom = pytest.importorskip("pydicom")

GRID = Grid((4, 5, 6), (2.0, 1.0, 1.0), (10.0, 20.0, 30.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
SCHEMA = LabelSchema(name="test", classes=(LabelClass(id=1, name="liver", code="10200004"),))


def save(path: Path, polygons: list[list[tuple[float, ...]]], kind: str = "CLOSED_PLANAR") -> Path:
    """One structure whose outlines are given in voxels (x, y, z)."""
    write_labels(path, np.zeros(GRID.shape, np.uint8), GRID, SCHEMA, Origin("x"))
    dataset = pydicom.dcmread(path)
    for points in polygons:
        contour = pydicom.Dataset()
        contour.ContourGeometricType = kind
        steps = np.array(points) * GRID.spacing[::-1] + GRID.origin
        contour.NumberOfContourPoints, contour.ContourData = len(points), [f"{v:.6f}" for v in steps.ravel()]
        dataset.ROIContourSequence[0].ContourSequence.append(contour)
    dataset.save_as(path)
    return path


def square(low: float, high: float, z: float) -> list[tuple[float, ...]]:
    return [(low, low, z), (high, low, z), (high, high, z), (low, high, z)]


def mask(path: Path) -> Any:
    (segment,) = read_segments(path, GRID).segments
    assert (segment.name, segment.code) == ("liver", "10200004")
    found = np.zeros(GRID.shape, int)
    found[segment.box] = segment.mask
    return found


def test_holes_are_outlines_inside_others(tmp_path: Path) -> None:
    found = mask(save(tmp_path / "a.dcm", [square(0.5, 3.5, 1.04), square(1.5, 2.5, 1.04), square(3.5, 4.5, 2)]))
    assert found[1].tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]
    assert found[2].sum() == found[2, 4, 4] == 1
    assert found.sum() == 9


def test_outlines_may_run_along_another_axis(tmp_path: Path) -> None:
    points = [(0.5, 2.0, 0.5), (2.5, 2.0, 0.5), (2.5, 2.0, 2.5), (0.5, 2.0, 2.5)]
    assert np.argwhere(mask(save(tmp_path / "a.dcm", [points]))).tolist() == [
        [1, 2, 1],
        [1, 2, 2],
        [2, 2, 1],
        [2, 2, 2],
    ]


@pytest.mark.parametrize(
    "polygon",
    [square(0.5, 2.5, 1.3), square(0.5, 2.5, 9.0), square(0.5, 9.5, 1.0), [(0, 0, 0), (3, 0, 1), (3, 3, 2)]],
)
def test_outlines_of_other_slices_or_outside_are_refused(tmp_path: Path, polygon: Any) -> None:
    with pytest.raises(GridMismatch, match="outlines"):
        mask(save(tmp_path / "a.dcm", [polygon]))


def test_what_is_no_closed_outline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="liver has a contour that is POINT"):
        mask(save(tmp_path / "a.dcm", [[(1, 1, 1)]], "POINT"))
