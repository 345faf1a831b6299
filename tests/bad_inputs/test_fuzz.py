"""10,000 mutated manifests, tables, archives and label files: never a traceback, a hang or a file elsewhere.

What a mutated return changes is seen: it is refused, is a finding, or says the same as before, voxel by voxel.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from organ_round import GRID, Round

from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.imaging.volume import read_label, write
from voxledger.records.bundle import list_files, read_manifest
from voxledger.records.decisions import read_decisions
from voxledger.review.receive import receive

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
SECONDS = 5
COUNTS = {"manifest": 2500, "decisions": 3000, "archive": 2500, "header": 2000}
TOKENS = [b"\0", b'"', b",", b";", b"\n", b"\r", b"=", b"../", b"\\", b"1e999", b"-1", b"\xff\xfe", b"\xef\xbb\xbf"]
TOKENS += [b"[" * 500, b"{", b"}", b"null", b"true", b"accept", b"revise", b"yes", b"\x1b[2J", "中".encode(), b" " * 99]


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to five changes: bytes flipped, cut, doubled, moved, tokens put in."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data) + 1))
        to = min(len(data), at + int(rng.integers(1, 40)))
        match int(rng.integers(6)):
            case 0:
                data[at:at] = TOKENS[int(rng.integers(len(TOKENS)))]
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * int(rng.integers(1, 4))
            case 3 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 4:
                data[at:to] = rng.integers(0, 256, to - at, dtype=np.uint8).tobytes()
            case _:
                data = data[:at] if rng.random() < 0.2 else data
    return bytes(data)


@contextmanager
def bounded(what: object) -> Iterator[None]:
    """Fail with what it was where it takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"{what}: longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    began = time.monotonic()
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < SECONDS, what


def everything(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


@pytest.fixture
def back(sent: Round) -> Path:
    """A sound return in which the liver was revised, out of the inbox."""
    labels = sent.proposals["case_1"].copy()
    labels[0, 0, :3] = 1
    folder = sent.give_back({"liver": "revise"}, labels)
    shutil.move(folder, "back")
    return Path("back")


@pytest.mark.slow
def test_manifests(back: Path) -> None:
    content = (back / "bundle.json").read_bytes()
    sound = read_manifest(content, "it")
    taken = 0
    for number in range(COUNTS["manifest"]):
        fuzzed = mutated(content, np.random.default_rng(number))
        with bounded(number):
            try:
                found = read_manifest(fuzzed, "it")
            except BundleRefused:
                continue
        assert found == sound, number
        taken += 1
    assert taken < COUNTS["manifest"] / 4


@pytest.mark.slow
def test_tables(back: Path) -> None:
    content = (back / "decisions.csv").read_bytes()
    path = Path("fuzzed.csv")
    for number in range(COUNTS["decisions"]):
        path.write_bytes(mutated(content, np.random.default_rng(number)))
        with bounded(number):
            table = read_decisions(path)
        for key, row in table.rows.items():
            assert (row.case_id, row.class_name) == key
            assert row.minutes is None or 0 <= row.minutes <= 1440


@pytest.mark.slow
def test_archives(sent: Round, back: Path, tmp_path: Path) -> None:
    """Whole archives, and archives of mutated names."""
    with zipfile.ZipFile("sound.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in list_files(back):
            archive.writestr(f"b/{name}", (back / name).read_bytes())
    content = Path("sound.zip").read_bytes()
    outside = everything(tmp_path) - {n for n in everything(tmp_path) if n.startswith("data/inbox/")}
    for number in range(COUNTS["archive"]):
        rng = np.random.default_rng(number)
        if number % 2:
            Path("fuzzed.zip").write_bytes(mutated(content, rng))
        else:
            with zipfile.ZipFile("fuzzed.zip", "w") as archive:
                for name in list_files(back):
                    renamed = mutated(name.encode(), rng) if rng.random() < 0.2 else name.encode()
                    archive.writestr(f"b/{renamed.decode('utf-8', 'replace')}", (back / name).read_bytes())
        with bounded(number), contextlib.suppress(BundleRefused, Misuse):
            receive(Path("fuzzed.zip"), BUNDLES, INBOX, 1, replace=True)
        left = {n for n in everything(tmp_path) if not n.startswith("data/inbox/")}
        assert left - outside <= {"fuzzed.zip"}, number
        for item in INBOX.iterdir():
            assert item.name.startswith("bundle-r01-alice"), number
            shutil.rmtree(item)


@pytest.mark.slow
def test_headers_of_labels(sent: Round, back: Path) -> None:
    """What is taken is what was drawn, or another grid or number is a finding."""
    labels = sent.proposals["case_1"].copy()
    labels[0, 0, :3] = 1
    write("sound.nii.gz", labels, GRID)
    content = gzip.decompress(Path("sound.nii.gz").read_bytes())
    shutil.copytree(back, sent.folder)
    path = sent.folder / "labels/case_1.nii.gz"
    for number in range(COUNTS["header"]):
        rng = np.random.default_rng(number)
        fuzzed = bytearray(content)
        for at in rng.integers(0, 352, int(rng.integers(1, 4))):
            fuzzed[at] = int(rng.integers(256))
        path.unlink()
        path.write_bytes(gzip.compress(bytes(fuzzed), 1))
        with bounded(number):
            try:
                one = sent.read()
                taken = one.labels("case_1")
            except VoxledgerError as error:
                raise AssertionError(f"{number}: {error}") from error
        if not one.problems and not one.missing and not one.notes:
            assert taken is not None
            assert np.array_equal(taken, labels), number


REPEATED: dict[str, Callable[[dict[str, Any]], object]] = {
    "a path outside": lambda v: v["files"].__setitem__("../evil", {"sha256": "0" * 64, "bytes": 1}),
    "negative bytes": lambda v: v["files"].__setitem__("x", {"sha256": "0" * 64, "bytes": -1}),
    "more voxels": lambda v: v["voxels"].__setitem__("case_1", 10**12),
    "no voxels": lambda v: v["voxels"].clear(),
    "another class": lambda v: v["label_schema"]["classes"][0].__setitem__("id", 9),
    "a class twice": lambda v: v["label_schema"]["classes"].append(v["label_schema"]["classes"][0]),
    "asked about more": lambda v: v["asked"].append({"case_id": "case_1", "class_name": "aorta"}),
    "other masks": lambda v: v["masks"]["case_1"].__setitem__("liver", "0" * 64),
}


@pytest.mark.parametrize("what", REPEATED)
def test_a_manifest_that_says_something_else_is_refused(back: Path, what: str) -> None:
    values = json.loads((back / "bundle.json").read_bytes())
    REPEATED[what](values)
    (back / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleRefused):
        receive(back, BUNDLES, INBOX, 1)
    assert read_label(BUNDLES / "bundle-r01-alice/labels/case_1.nii.gz").any()
