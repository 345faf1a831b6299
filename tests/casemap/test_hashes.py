"""A file is read once, and again when anything says that it may have changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from voxledger.casemap import hashes
from voxledger.casemap.hashes import JUST_NOW_NS, trusted_sha256
from voxledger.imaging.volume import file_sha256
from voxledger.layout import HASHES, MEMO

FILE = Path("data/images/a.nii.gz")


@pytest.fixture
def read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that are read, one after the other; there is one, of some time ago."""
    found: list[str] = []

    def counted(path: Path | str) -> str:
        found.append(str(path))
        return file_sha256(path)

    monkeypatch.setattr(hashes, "file_sha256", counted)
    MEMO.mkdir()
    written(FILE, "one")
    return found


def written(path: Path, text: str, ago_ns: int = 10 * JUST_NOW_NS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    past = time.time_ns() - ago_ns
    os.utime(path, ns=(past, past - past % 1000 + 1))


def another_process() -> None:
    hashes.save()
    hashes._of.cache_clear()


def test_what_has_not_changed_is_read_once(read: list[str]) -> None:
    for _ in range(3):
        assert trusted_sha256(FILE) == file_sha256(FILE)
        another_process()
    assert read == [str(FILE)]


def test_a_write_of_just_now_is_read_again(read: list[str]) -> None:
    """Another could follow in the same moment, and leave size, time and inode as they are."""
    written(FILE, "two", ago_ns=0)
    for _ in range(2):
        trusted_sha256(FILE)
    assert len(read) == 2


def other_bytes(path: Path) -> None:
    with open(path, "r+") as stream:
        stream.write("TWO")


def other_size(path: Path) -> None:
    before = path.stat()
    path.write_text("three")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def other_inode(path: Path) -> None:
    before = path.stat()
    path.rename("kept")
    path.write_text("TWO")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [other_bytes, other_size, other_inode])
def test_what_has_changed_is_read_again(read: list[str], change: Callable[[Path], None]) -> None:
    first = trusted_sha256(FILE)
    another_process()
    change(FILE)
    assert trusted_sha256(FILE) == file_sha256(FILE) != first


def test_a_time_of_whole_seconds_is_believed_while_the_inode_is_untouched(read: list[str]) -> None:
    """All files of an archive may have one, and inodes are used again: only the clock of the inode tells them apart."""
    whole = 1_600_000_000 * 10**9
    os.utime(FILE, ns=(whole, whole))
    first = trusted_sha256(FILE)
    assert trusted_sha256(FILE) == first
    assert len(read) == 1
    other_bytes(FILE)
    os.utime(FILE, ns=(whole, whole))
    assert trusted_sha256(FILE) == file_sha256(FILE) != first


def test_links_and_rights_change_nothing(read: list[str]) -> None:
    """DVC makes and takes both away."""
    trusted_sha256(FILE)
    os.link(FILE, "link")
    FILE.chmod(0o444)
    trusted_sha256(FILE)
    assert len(read) == 1


def test_no_memo_reads_all(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process read; this one reads it once."""
    trusted_sha256(FILE)
    another_process()
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    for _ in range(2):
        trusted_sha256(FILE)
    assert len(read) == 2


def test_names_from_outside_are_not_written_down(read: list[str]) -> None:
    """They may be those of patients."""
    outside = Path("incoming/DOE^JANE.nii.gz")
    written(outside, "one")
    for path in (FILE, outside, outside.absolute()):
        trusted_sha256(path)
    hashes.save()
    assert list(json.loads(HASHES.read_text())) == [str(FILE)]


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"data/images/a.nii.gz": 1}', '{"data/images/a.nii.gz": []}', "null"]
)
def test_what_cannot_be_read_is_nothing(read: list[str], damage: str) -> None:
    trusted_sha256(FILE)
    another_process()
    HASHES.write_text(damage)
    hashes._of.cache_clear()
    assert trusted_sha256(FILE) == file_sha256(FILE)
    assert len(read) == 2


def test_what_others_wrote_meanwhile_stays(read: list[str]) -> None:
    trusted_sha256(FILE)
    HASHES.write_text('{"data/images/b.nii.gz": ["0", 1, 2, 3, 0]}')
    hashes.save()
    assert set(json.loads(HASHES.read_text())) == {str(FILE), "data/images/b.nii.gz"}
