"""A DICOM series is a volume, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import STORED, write_multiframe, write_series

from voxledger.errors import UnreadableImage
from voxledger.imaging.dicom_series import Series, problems_of, read_series, series_of
from voxledger.imaging.placement import placement
from voxledger.imaging.volume import read

pytest.importorskip("pydicom")

ARRAY = np.random.default_rng(0).integers(-1000, 1500, (6, 40, 48)).astype(np.int16)


def one(folder: Path) -> Series:
    (found,), problems = series_of(list(folder.iterdir()))
    assert problems == []
    return found


@pytest.mark.parametrize("stored", STORED)
def test_slices_in_no_order_are_a_volume(tmp_path: Path, stored: str) -> None:
    write_series(tmp_path, ARRAY, stored=stored)
    volume = read_series(one(tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    assert volume.grid.spacing == (2.5, 0.8, 0.7)
    assert volume.grid.origin == (-31.25, 12.5, 100.0)
    assert volume.grid.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize("orientation", [(0.0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, -0.6, 0.8, 0), (1.0, 0, 0, 0, -1, 0)])
def test_any_orientation(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    write_series(tmp_path, ARRAY, orientation=orientation)
    volume = read_series(one(tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    directions = np.reshape(volume.grid.direction, (3, 3))
    assert np.allclose(directions[:, 0], orientation[:3])
    assert np.allclose(directions[:, 1], orientation[3:])
    assert np.allclose(directions[:, 2], np.cross(orientation[:3], orientation[3:]))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
def test_frames_of_one_file_are_a_volume(tmp_path: Path, order: list[int]) -> None:
    write_multiframe(tmp_path / "a.dcm", ARRAY, order)
    volume = read_series(one(tmp_path))
    assert np.array_equal(volume.array, ARRAY)
    assert volume.grid.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert volume.grid.origin == (-31.25, 12.5, 100.0)


def test_several_series_in_a_folder_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "a", ARRAY)
    write_series(tmp_path / "b", ARRAY + 1, SeriesInstanceUID="1.2.3.9")
    found, _ = series_of([p for p in tmp_path.rglob("*") if p.is_file()])
    assert [(s.uid, len(s.slices)) for s in found] == [("1.2.3.4", 6), ("1.2.3.9", 6)]


def without(*slices: int) -> Any:
    return lambda folder: [path.unlink() for z, path in enumerate(write_series(folder, ARRAY)) if z in slices]


def moved(**by: tuple[float, float, float]) -> Any:
    return lambda folder: write_series(folder, ARRAY, moved={int(z[1:]): mm for z, mm in by.items()})


def twice(folder: Path, **more: Any) -> None:
    write_series(folder / "a", ARRAY)
    write_series(folder / "b", ARRAY, **more)


def tilted(folder: Path) -> None:
    write_series(folder, ARRAY, moved={z: (0.0, 0.5 * z, 0.0) for z in range(6)})


DEFECTS = {
    "a slice is missing": (without(2), "lacks 1 slices: gaps between slices of 2.5, 5 mm"),
    "two are missing": (without(2, 3), "lacks 2 slices: gaps between slices of 2.5, 7.5 mm"),
    "uneven": (moved(z3=(0, 0, 0.3)), "has slices that are spaced unevenly: gaps between slices of 2.2, 2.5, 2.8 mm"),
    "a slice is displaced": (moved(z3=(0.4, 0, 0)), "has slices that are displaced by up to 0.4 mm in plane"),
    "tilted": (tilted, "was tilted by 11.3 degrees, by its gantry: slices are displaced by up to 2.5 mm in plane"),
    "three slices": (without(0, 1, 2), "has 3 slices: fewer than 4 make no volume"),
    "one place twice": (moved(z3=(0, 0, -2.5)), "has 1 slices where there is one already: duplicates"),
    "two volumes": (twice, "has 6 slices where there is one already: as if it were 2 volumes, of several times"),
    "turned": (
        lambda f: twice(f, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
        "has slices of different orientation: 6 of 12 differ from the first",
    ),
    "other spacing": (lambda f: twice(f, spacing=(2.5, 0.8, 0.8)), "has slices of different spacings"),
    "other rescale": (lambda f: twice(f, RescaleSlope=2), "has slices of different rescale slopes or intercepts"),
}


@pytest.mark.parametrize("what", DEFECTS)
def test_what_is_no_regular_volume_is_refused_by_name(tmp_path: Path, what: str) -> None:
    make, told = DEFECTS[what]
    make(tmp_path)
    (found,), _ = series_of([p for p in tmp_path.rglob("*") if p.is_file()])
    assert any(problem.startswith(told) for problem in problems_of(found)), problems_of(found)
    with pytest.raises(UnreadableImage):
        read_series(found)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localizer"),
        ({"BurnedInAnnotation": "YES"}, "text is burnt into the image"),
        ({"SamplesPerPixel": 3}, "is in colour"),
        ({"NumberOfFrames": 2}, "it has several frames and does not say where they lie"),
        ({"PixelSpacing": None}, "its header has no PixelSpacing"),
    ],
)
def test_what_headers_say_themselves(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    write_series(tmp_path, ARRAY, **more)
    assert any(told in problem for problem in series_of(list(tmp_path.iterdir()))[1])


@pytest.mark.parametrize("length", [140, 400, -10, -1])
def test_a_slice_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    path = write_series(tmp_path, ARRAY)[2]
    path.write_bytes(path.read_bytes()[:length])
    assert any(str(path) in problem for problem in series_of(list(tmp_path.iterdir()))[1])


def test_the_real_series_has_the_gap_that_its_positions_say_and_its_label_fits(shared_data: Path) -> None:
    """Its header says that slices are 3 mm thick; they lie 2 mm apart."""
    volume = read_series(one(shared_data / "totalsegmentator/example_ct_dicom"))
    assert volume.grid.spacing == (2.0, 0.9765625, 0.9765625)
    label = read(shared_data / "totalsegmentator/example_seg_dicom.nii.gz")
    at = placement(label.grid, volume.grid)
    assert at is not None
    assert at.steps == ["was flipped along y"]
    liver = at.cut(label.array) == 5
    assert 20 < volume.array[liver].mean() < 200


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("slicecount/001", ["has 2 slices: fewer than 4 make no volume"]),
        ("sliceincrement/001", ["lacks 1 slices: gaps between slices of 5, 10 mm"]),
        ("sliceincrement/002", ["lacks 1 slices: gaps", "was tilted by 15.5 degrees"]),
    ],
)
def test_every_real_defect_is_refused_with_the_true_reason(shared_data: Path, folder: str, told: list[str]) -> None:
    problems = problems_of(one(shared_data / "dicom-defects" / folder))
    assert len(problems) == len(told)
    assert all(p.startswith(t) for p, t in zip(problems, told, strict=True))
