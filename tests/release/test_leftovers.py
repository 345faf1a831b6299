"""Files that still name somebody who was withdrawn."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from voxledger.release.leftovers import leftovers

KNOWN = {"p1", "p1_heat", "p10", "pat1", "pat10"}


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("exports/p1.nii.gz", b"\0", True),
        ("exports/case-p1_seg.nii.gz", b"\0", True),
        ("exports/p10.nii.gz", b"\0", False),
        ("exports/p1_heat.nii.gz", b"\0", False),
        ("data/base/revisions/0/decisions.csv", b"p10,organ,accept,,,,as in p1,\n", True),
        ("data/base/revisions/0/decisions.csv", b"p10,organ,accept,,,,as in p1_heat,\n", False),
        ("notes.txt", b"pat1 called", True),
        ("notes.txt", b"pat10, xpat1 and pat1x", False),
        ("notes.txt", b"", False),
        ("weights", b"\0 p1 ", False),
        ("data/round/worklist.csv", b"p1", False),
        (".memo/p1", b"p1", False),
    ],
)
def test_paths_and_texts_are_looked_at(folder: Path, name: str, text: bytes, named: bool) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text)
    assert leftovers({"p1", "pat1"}, KNOWN) == ([Path(name)] if named else [])
    assert leftovers(set(), KNOWN) == []


@pytest.mark.parametrize(
    ("member", "text", "named"),
    [("b/labels/p1.nii.gz", "", True), ("b/decisions.csv", "p1,organ", True), ("b/labels/p10.nii.gz", "p10", False)],
)
def test_archives_are_opened(folder: Path, member: str, text: str, named: bool) -> None:
    with zipfile.ZipFile("data.zip", "w") as archive:
        archive.writestr(member, text)
    assert leftovers({"p1"}, KNOWN) == ([Path("data.zip")] if named else [])
    Path("data.zip").write_bytes(b"PK\3\4 broken")
    assert leftovers({"p1"}, KNOWN) == []


@pytest.mark.parametrize("harm", ["damaged", "encrypted"])
def test_what_cannot_be_unpacked_hides_nothing_else(folder: Path, harm: str) -> None:
    """As an upload that was refused: the names of what is packed are looked at, and the files that are whole."""
    with zipfile.ZipFile("data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.txt", "nobody " * 100)
        archive.writestr("second.txt", "as in p1")
        archive.writestr("labels/pat1.nii.gz", "")
    content = bytearray(Path("data.zip").read_bytes())
    if harm == "damaged":
        content[len("first.txt") + 30] = 0xFF  # the first byte behind the header, of a block of no kind
    else:
        content[6] |= 1
        content[content.index(b"PK\1\2") + 8] |= 1
    Path("data.zip").write_bytes(content)
    for name in ("p1", "pat1"):
        assert leftovers({name}, KNOWN) == [Path("data.zip")]
    assert leftovers({"nobody"}, KNOWN) == []


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo("pipe")
    assert leftovers({"p1"}, KNOWN) == []
