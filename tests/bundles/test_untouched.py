"""What a person changed in the bundles that went out is named, and nothing touches it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxledger.bundles.inbox import look_into
from voxledger.bundles.untouched import require_untouched, touched
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import file_sha256

BUNDLES = Path("data/round/bundles")
ANN = BUNDLES / "bundle-r01-ann"


@pytest.fixture
def out(repo: Any) -> Any:
    """A repository with a bundle for ann and one for ben."""
    repo.export(("case_1", "pancreas", "ann"), ("case_2", "liver", "ben"))
    return repo


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[], object], str, bool]] = {
    "decisions filled in": (lambda: (ANN / "decisions.csv").open("a").write("x"), "decisions.csv", False),
    "a label drawn on": (lambda: flip(ANN / "labels/case_1.nii.gz"), "labels/case_1.nii.gz", False),
    "a label saved in another format": (lambda: (ANN / "labels/case_1.nrrd").write_bytes(b"1"), "case_1.nrrd", False),
    "a note beside it": (lambda: (ANN / "note.txt").write_text("call me"), "note.txt", False),
    "a file in the folder of bundles": (lambda: (BUNDLES / "ann.zip").write_bytes(b"PK"), "ann.zip", False),
    "bundle.json rewritten": (lambda: (ANN / "bundle.json").write_text("{}"), "bundle.json", False),
    "one bit of an image": (lambda: flip(ANN / "images/case_1.nii.gz"), "images/case_1.nii.gz", True),
    "a label replaced by a link to nothing": (
        lambda: ((ANN / "labels/case_1.nii.gz").unlink(), (ANN / "labels/case_1.nii.gz").symlink_to("gone")),
        "labels/case_1.nii.gz",
        False,
    ),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_a_person_changed_is_named_and_export_touches_nothing(out: Any, name: str) -> None:
    change, file, only_every_byte = CHANGES[name]
    assert touched(BUNDLES, every_byte=True) == []
    change()
    named = [p.as_posix() for p in touched(BUNDLES, every_byte=only_every_byte)]
    assert len(named) == 1
    assert named[0].endswith(file)
    before = {p: file_sha256(p) for p in BUNDLES.rglob("*") if p.is_file()}
    with pytest.raises(BundleRefused, match=file) as caught:
        out.export(("case_1", "pancreas", "ann"))
    assert "voxledger review receive" in caught.value.remedy
    assert {p: file_sha256(p) for p in BUNDLES.rglob("*") if p.is_file()} == before


def test_gate_and_status_name_the_bundle_that_was_worked_on(out: Any) -> None:
    CHANGES["decisions filled in"][0]()
    (found,) = look_into(BUNDLES, Path("data/inbox"), Path("data/base/revisions"), 1).problems
    assert found.bundle == "bundle-r01-ann"
    assert "decisions.csv" in found.problem


def test_leftovers_of_systems_and_missing_files_are_nobodys_work(out: Any) -> None:
    (ANN / ".DS_Store").write_bytes(b"x")
    (BUNDLES / "Thumbs.db").write_bytes(b"x")
    (ANN / "labels/case_1.nii.gz").unlink()
    require_untouched(BUNDLES, every_byte=True)
    require_untouched(Path("nowhere"))
