"""Files that still name somebody who was withdrawn."""

from __future__ import annotations

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
