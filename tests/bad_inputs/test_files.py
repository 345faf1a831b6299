"""Label files, manifests, folders and archives that are not what they seem: a finding or a refusal, in bounded time."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from organ_round import GRID, Round

from voxledger.bundles.inbox import look_into
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import write
from voxledger.records.bundle import MOST_DEPTH, list_files
from voxledger.review.receive import receive

BUNDLES, INBOX, REVISIONS = Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions")
LABEL = "labels/case_1.nii.gz"
SECONDS = 5.0


def header(offset: int, form: str, *values: float) -> Callable[[Path], object]:
    """Change numbers in the header of a NIfTI file."""

    def change(path: Path) -> None:
        content = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into(form, content, offset, *values)
        path.write_bytes(gzip.compress(bytes(content)))

    return change


def saved(array: Any, affine: Any = None) -> Callable[[Path], object]:
    """Another array in the place of the label."""
    return lambda path: nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def nrrd(text: str, body: bytes = b"") -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.unlink()
        path.with_name("case_1.nrrd").write_bytes(text.encode() + b"\n\n" + body)

    return change


VOXELS = int(np.prod(GRID.shape))
LABEL_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "voxels begin within the header": (header(108, "<f", 0.0), "voxels begin at byte 0"),
    "voxels begin at byte 351": (header(108, "<f", 351.0), "within the header itself"),
    "voxels begin at half a byte": (header(108, "<f", 352.5), "vox_offset"),
    "voxels begin before the file": (header(108, "<f", -352.0), "vox_offset"),
    "voxels begin nowhere": (header(108, "<f", float("nan")), "vox_offset"),
    "voxels begin at infinity": (header(108, "<f", float("inf")), "vox_offset"),
    "voxels begin behind the end": (header(108, "<f", 1e9), "of 10000"),
    "an endless scale": (header(112, "<f", float("inf")), "scl_slope"),
    "a tiny scale": (header(112, "<f", 1e-20), "scl_slope"),
    "an endless intercept": (header(116, "<f", float("inf")), "scl_inter"),
    "a scale of one half": (header(112, "<2f", 0.5, 0.0), "label map"),
    "an intercept of -1": (header(112, "<2f", 1.0, -1.0), "negative values"),
    "no dimensions": (header(40, "<h", 0), "its dimensions are"),
    "nine dimensions": (header(40, "<h", 9), "its dimensions are"),
    "a negative size": (header(42, "<h", -48), "its dimensions are"),
    "a huge size": (header(42, "<3h", 32767, 32767, 32767), "bytes"),
    "another type than bits": (header(70, "<2h", 4, 8), "bitpix"),
    "a type of complex numbers": (header(70, "<2h", 32, 64), "bytes"),
    "colours": (header(70, "<2h", 128, 24), "bytes"),
    "an unknown type": (header(70, "<2h", 999, 8), "datatype 999"),
    "voxels in another file": (header(344, "<4s", b"ni1\0"), "its voxels lie in another file"),
    "a spacing of zero": (header(80, "<3f", 0.0, 0.0, 0.0), "labels/case_1.nii.gz"),
    "an endless spacing": (header(80, "<f", float("inf")), "labels/case_1.nii.gz"),
    "a spacing that is no number": (header(80, "<f", float("nan")), "labels/case_1.nii.gz"),
    "two dimensions": (saved(np.zeros((48, 40), np.uint8)), "is not one 3-D volume"),
    "one dimension": (saved(np.zeros(48, np.uint8)), "is not one 3-D volume"),
    "four dimensions": (saved(np.zeros((48, 40, 24, 2), np.uint8)), "labels/case_1.nii.gz"),
    "five dimensions": (saved(np.zeros((4, 4, 2, 2, 2), np.uint8)), "labels/case_1.nii.gz"),
    "one voxel": (saved(np.zeros((1, 1, 1), np.uint8)), "was shifted by part of a voxel"),
    "infinite values": (saved(np.full((48, 40, 24), np.inf, np.float32)), "labels/case_1.nii.gz"),
    "no text, no image": (lambda path: path.write_bytes(b"x"), "damaged or incomplete"),
    "nothing at all": (lambda path: path.write_bytes(b""), "damaged or incomplete"),
    "half of the file": (lambda path: path.write_bytes(path.read_bytes()[:800]), "damaged or incomplete"),
    "an empty gzip": (lambda path: path.write_bytes(gzip.compress(b"")), "it is not NIfTI"),
    "a bomb": (lambda path: path.write_bytes(gzip.compress(path.read_bytes()[:0] + bytes(50_000_000))), "NIfTI"),
    "NRRD with endless sizes": (
        nrrd("NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1e9 1 1\nencoding: raw"), "damaged or incomplete",
    ),
    "NRRD of two dimensions": (
        nrrd("NRRD0004\ntype: uchar\ndimension: 2\nsizes: 2 2\nencoding: raw", bytes(4)), "case_1.nrrd",
    ),
    "NRRD of another file": (
        nrrd("NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/passwd"),
        "its voxels lie in another file",
    ),
    "NRRD with a header without end": (
        nrrd("NRRD0004\n" + "a: b\n" * 300_000), "case_1.nrrd",
    ),
    "NRRD with an axis less": (
        nrrd("NRRD0004\ntype: uchar\ndimension: 3\nsizes: 48 40\nencoding: raw", bytes(VOXELS)), "case_1.nrrd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LABEL_FILES)
def test_a_label_file_that_is_none(sent: Round, what: str) -> None:
    change, problem = LABEL_FILES[what]
    folder = sent.give_back({"liver": "revise"})
    labels = sent.proposals["case_1"].copy()
    labels[0, 0, 0] = 1
    write(folder / LABEL, labels, GRID)
    change(folder / LABEL)
    began = time.monotonic()
    one = sent.read()
    assert time.monotonic() - began < SECONDS
    (found,) = one.problems
    text = str(found)
    assert problem in text
    assert "bundle-r01-alice, case case_1, labels/case_1." in text
    assert "→" in text
    assert "/plain" not in text
    assert "/tmp/" not in text


def _zip(sent: Round, *extra: tuple[str, bytes], **replaced: bytes) -> Path:
    path = Path("back.zip")
    bundle = BUNDLES / "bundle-r01-alice"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in list_files(bundle):
            archive.writestr(f"b/{name}", replaced.get(name.replace(".", "_"), (bundle / name).read_bytes()))
        for name, content in extra:
            archive.writestr(name, content)
    return path


def manifest_of(**changes: Any) -> bytes:
    values = json.loads((BUNDLES / "bundle-r01-alice/bundle.json").read_bytes())
    return json.dumps({**values, **changes}).encode()


ARCHIVES: dict[str, tuple[Callable[[Round], Path], str]] = {
    "30,000 folders": (lambda s: _zip(s, ("b/" + "a/" * 30_000 + "x", b"")), "is not a safe path"),
    "33 folders": (lambda s: _zip(s, ("b/" + "a/" * 33 + "x", b"")), "is not a safe path"),
    "a name of 300 bytes": (lambda s: _zip(s, ("b/" + "n" * 300, b"")), "is not a safe path"),
    "a name of 200 letters in 600 bytes": (lambda s: _zip(s, ("b/" + "中" * 200, b"")), "is not a safe path"),
    "a path of 2,000 bytes": (lambda s: _zip(s, ("b/" + "/".join(["n" * 199] * 10), b"")), "is not a safe path"),
    "a name of spaces": (lambda s: _zip(s, ("b/ ", b"")), "is not a safe path"),
    "a control character": (lambda s: _zip(s, ("b/a\x1b[31m", b"")), "is not a safe path"),
    "60 MB of manifest": (lambda s: _zip(s, bundle_json=b'{"id": "' + b"x" * 60_000_000), "bytes that are possible"),
    "60 MB of brackets": (lambda s: _zip(s, bundle_json=b"[" * 60_000_000), "bytes that are possible"),
    "60 MB of spaces": (lambda s: _zip(s, bundle_json=b" " * 60_000_000 + manifest_of()), "bytes that are possible"),
    "a nested manifest": (lambda s: _zip(s, bundle_json=b"[" * 9_000), "is not the manifest of a bundle"),
    "an endless number": (
        lambda s: _zip(s, bundle_json=manifest_of().replace(b'"round": 1', b'"round": 1e999')), "not the manifest",
    ),
    "a round of many digits": (
        lambda s: _zip(s, bundle_json=manifest_of().replace(b'"round": 1', b'"round": ' + b"1" * 5000)), "manifest",
    ),
    "another reviewer": (lambda s: _zip(s, bundle_json=manifest_of(reviewer="../bob")), "was altered"),
    "one file more": (lambda s: _zip(s, bundle_json=manifest_of(files={})), "was altered"),
    "a list as manifest": (lambda s: _zip(s, bundle_json=b"[]"), "is not the manifest of a bundle"),
    "no manifest": (lambda s: _zip(s, bundle_json=b""), "is not the manifest of a bundle"),
    "a manifest of a newer format": (lambda s: _zip(s, bundle_json=manifest_of(format=9)), "format 9"),
    "100,001 files more": (lambda s: _zip(s, *((f"b/n{i:05d}", b"") for i in range(100_001))), "files"),
    "no archive": (lambda s: _written(b"no archive"), "is not a whole zip archive"),
    "half an archive": (lambda s: _written(_zip(s).read_bytes()[:-3000]), "is not a whole zip archive"),
    "labels of a terabyte": (lambda s: _zip(s, ("b/labels/x.nii.gz", bytes(80_000_000))), "bytes that are possible"),
}  # fmt: skip


def _written(content: bytes) -> Path:
    Path("back.zip").write_bytes(content)
    return Path("back.zip")


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_is_refused(sent: Round, what: str) -> None:
    make, problem = ARCHIVES[what]
    source = make(sent)
    began = time.monotonic()
    with pytest.raises(BundleRefused) as caught:
        receive(source, BUNDLES, INBOX, 1)
    assert time.monotonic() - began < SECONDS
    assert problem in str(caught.value)
    assert "back.zip" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.remedy
    assert list(INBOX.iterdir()) == []


def nest(folder: Path, levels: int) -> None:
    """Make folders below one another, deeper than a path may be long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=here)
        deeper = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)


def unnest(folder: Path) -> None:
    """Remove them, from the inside out: `shutil.rmtree` recurses too deep."""
    while (folder / "a").is_dir():
        inner = folder / "a"
        if (inner / "a").is_dir():
            (inner / "a").rename(folder / "b")
            inner.rmdir()
            (folder / "b").rename(inner)
        else:
            inner.rmdir()


def test_folders_below_one_another_end_quickly(sent: Round) -> None:
    """30,000 levels took 73 s."""
    source = Path("back")
    shutil.copytree(BUNDLES / "bundle-r01-alice", source)
    nest(source, 3_000)
    try:
        began = time.monotonic()
        with pytest.raises(BundleRefused, match="lies too many folders deep"):
            receive(source, BUNDLES, INBOX, 1)
        source.rename(INBOX / "bundle-r01-alice")
        found = look_into(BUNDLES, INBOX, REVISIONS, 1, sent.context)
        assert time.monotonic() - began < SECONDS
        (one,) = found.returned.values()
        deep = "a/" * MOST_DEPTH + "a"
        assert [(p.file, p.problem) for p in one.problems] == [(deep, "is not a plain file")]
    finally:
        unnest(source if source.exists() else INBOX / "bundle-r01-alice")


def test_a_large_manifest_that_was_copied_into_the_inbox(sent: Round) -> None:
    folder = sent.give_back({})
    (folder / "bundle.json").write_bytes(b" " * 60_000_000 + (folder / "bundle.json").read_bytes())
    began = time.monotonic()
    found = look_into(BUNDLES, INBOX, REVISIONS, 1, sent.context)
    assert time.monotonic() - began < SECONDS
    (problem,) = found.problems
    assert "bundle-r01-alice, bundle.json: is 6" in str(problem)
    assert "are possible" in str(problem)


def test_any_folder_without_a_manifest_is_looked_through_in_bounded_time(sent: Round) -> None:
    folder = INBOX / "bundle-r01-alice"
    folder.mkdir()
    nest(folder, 1_500)
    try:
        began = time.monotonic()
        (problem,) = look_into(BUNDLES, INBOX, REVISIONS, 1, sent.context).problems
        assert time.monotonic() - began < SECONDS
        assert "is not a returned bundle" in problem.problem
    finally:
        unnest(folder)
