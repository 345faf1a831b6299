from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import UnreadableImage
from voxledger.imaging.intact import beginning, intact
from voxledger.imaging.volume import read, read_grid

sitk = pytest.importorskip("SimpleITK")

KINDS = [".nii.gz", ".nii", ".nrrd", ".mha"]
TYPES = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]


def _save(path: Path, dtype: type, compress: bool = True) -> np.ndarray:
    array = (np.random.default_rng(0).random((9, 10, 11)) > 0.5).astype(dtype)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-3.0, 4.0, 5.5))
    sitk.WriteImage(image, str(path), useCompression=compress)
    return array


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("compress", [True, False])
def test_a_whole_file_reads_as_it_is(tmp_path: Path, kind: str, dtype: type, compress: bool) -> None:
    path = tmp_path / f"a{kind}"
    array = _save(path, dtype, compress)
    with intact(path, 1 << 20) as plain:
        volume = read(plain)
    assert np.array_equal(volume.array, array)
    assert volume.grid == read(path).grid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("compress", [True, False])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, share: float, compress: bool) -> None:
    path = tmp_path / f"a{kind}"
    _save(path, np.int16, compress)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImage, match=r"damaged or incomplete"), intact(path, 1 << 20):
        pass


@pytest.mark.parametrize("kind", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_no_flipped_byte_in_compressed_data_changes_a_voxel_unnoticed(tmp_path: Path, kind: str, dtype: type) -> None:
    path = tmp_path / f"a{kind}"
    array = _save(path, dtype)
    content = path.read_bytes()
    refused = 0
    for position in range(len(content) // 2, len(content), 5):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            with intact(path, 1 << 20) as plain:
                assert np.array_equal(read(plain).array, array)
        except UnreadableImage:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((40, 40, 40), np.uint8)), str(path), useCompression=True)
    with pytest.raises(UnreadableImage, match="more than 1000 bytes"), intact(path, 1000):
        pass


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.nrrd", "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/passwd\n\n"),
        ("a.mha", "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n"),
    ],
)
def test_a_header_that_points_to_another_file_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableImage, match="another file"), intact(tmp_path / name, 1000):
        pass


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(UnreadableImage, match=r"none of \.nii\.gz"), intact(tmp_path / "a.npz", 1000):
        pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compress", [True, False])
def test_the_beginning_of_a_file_of_any_size_tells_its_grid(tmp_path: Path, kind: str, compress: bool) -> None:
    path = tmp_path / f"a{kind}"
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 255, (150, 160, 170), np.uint8))
    image.SetSpacing((0.7, 0.8, 2.5))
    sitk.WriteImage(image, str(path), useCompression=compress)
    with pytest.raises(UnreadableImage, match="holds more than"), intact(path, 1 << 20):
        pass
    with beginning(path) as plain:
        assert read_grid(plain) == read_grid(path)
        assert plain.stat().st_size < 2 << 20


def test_the_beginning_of_a_file_that_keeps_its_voxels_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    path.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = b.raw\n"
    )
    with pytest.raises(UnreadableImage, match="another file"), beginning(path):
        pass
