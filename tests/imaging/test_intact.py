from __future__ import annotations

import gzip
import struct
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


NIFTI_LIES = [
    *(("vox_offset", "<f", 108, value) for value in (0.0, 100.0, 348.0, 351.0, -5.0, 352.5, np.inf, np.nan)),
    *(("scl_slope", "<2f", 112, value) for value in ((np.inf, 0), (1e-30, 0), (0, 5), (np.nan, 5), (2, np.inf))),
    *(("scl_inter", "<2f", 112, value) for value in ((1, np.nan), (1, -np.inf), (1, 1e-30))),
    ("bitpix", "<h", 72, 8),
]


@pytest.mark.parametrize("kind", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("field", "layout", "place", "value"), NIFTI_LIES)
def test_a_nifti_header_that_itk_follows_to_other_voxels_is_refused(
    tmp_path: Path, kind: str, field: str, layout: str, place: int, value: float | tuple[float, float]
) -> None:
    """ITK reads such files without a word: shifted, each value raised by five, or filled up with zeros."""
    path = tmp_path / f"a{kind}"
    array = _save(tmp_path / "a.nii", np.int16)
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into(layout, content, place, *(value if isinstance(value, tuple) else (value,)))
    if field == "bitpix":
        content = content[: 352 + array.size]
    path.write_bytes(gzip.compress(content) if kind == ".nii.gz" else content)
    for opened in (intact(path, 1 << 20), beginning(path)):
        with pytest.raises(UnreadableImage, match=rf"a{kind} .*{field}"), opened:
            pass


@pytest.mark.parametrize("scale", [(0, 0), (1, 0), (np.nan, np.nan), (0, np.nan), (2, 0), (1, -1)])
def test_a_nifti_scale_that_readers_agree_on_is_no_reason_to_refuse(tmp_path: Path, scale: tuple[float, float]) -> None:
    path = tmp_path / "a.nii"
    array = _save(path, np.int16)
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, *scale)
    path.write_bytes(content)
    slope, inter = scale if np.isfinite(scale[0]) and scale[0] else (1, 0)
    with intact(path, 1 << 20) as plain:
        assert np.array_equal(read(plain).array, array * slope + inter)


def test_voxels_behind_a_nifti_extension_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    array = _save(path, np.uint8)
    content = path.read_bytes()
    head = bytearray(content[:348])
    struct.pack_into("<f", head, 108, 368.0)
    path.write_bytes(head + b"\1\0\0\0" + struct.pack("<2i", 16, 6) + b"a note\0\0" + content[352:])
    with intact(path, 1 << 20) as plain:
        assert np.array_equal(read(plain).array, array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2_is_refused_by_its_name(tmp_path: Path, order: str) -> None:
    """ITK only says that it finds no reader for it."""
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "a.nii.gz"
    header = nibabel.Nifti2Header(endianness=order)
    nibabel.Nifti2Image(np.ones((4, 5, 6), np.uint8), np.eye(4), header).to_filename(path)
    for opened in (intact(path, 1 << 20), beginning(path)):
        with pytest.raises(UnreadableImage, match=r"a\.nii\.gz is NIfTI-2") as refused, opened:
            pass
        assert "NIfTI-1" in refused.value.remedy


@pytest.mark.parametrize("field", ["byte skip: 3", "byte skip: -1", "line skip: 1", "LineSkip: 1"])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_an_nrrd_header_that_skips_bytes_is_refused(tmp_path: Path, field: str, encoding: str) -> None:
    path = tmp_path / "a.nrrd"
    voxels = bytes(60) + b"\n123"
    head = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\nencoding: {encoding}\n{field}\n\n"
    path.write_bytes(head.encode() + (gzip.compress(voxels) if encoding == "gzip" else voxels))
    with pytest.raises(UnreadableImage, match=r"(?i)a\.nrrd .*(byte|line) ?skip"), intact(path, 1 << 20):
        pass


@pytest.mark.parametrize("size", ["3", "-1"])
def test_an_mha_header_that_skips_bytes_is_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.mha"
    head = f"ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nHeaderSize = {size}\n"
    path.write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + bytes(60) + b"\n123")
    with pytest.raises(UnreadableImage, match=r"a\.mha .*HeaderSize"), intact(path, 1 << 20):
        pass
