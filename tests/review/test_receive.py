"""Bundles from outside: nothing leaves the inbox, nothing in it is lost."""

from __future__ import annotations

import codecs
import errno
import json
import os
import shutil
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fill

from voxledger.bundles.inbox import look_into
from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.imaging.volume import read, write
from voxledger.records.bundle import make_manifest, read_manifest
from voxledger.records.sent import BRING_BACK
from voxledger.review.pack import find_bundle, pack
from voxledger.review.receive import Received, receive, remove_unpacked

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
WORK = [("case_1", "pancreas", "alice"), ("case_2", "liver", "alice"), ("case_3", "liver", "bob")]


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


LAYOUTS = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "byte order mark": lambda data: codecs.BOM_UTF8 + data,
    "one line": lambda data: json.dumps(json.loads(data)).encode(),
    "another order": lambda data: json.dumps(dict(reversed(json.loads(data).items())), indent="\t").encode(),
}
"""What editors do to a `bundle.json` that they save again."""


def take(source: Path, replace: bool = False, round_number: int = 1) -> Received:
    return receive(source, BUNDLES, INBOX, round_number, replace=replace)


def returned(sent: Any, name: str = "back", **decisions: Any) -> Path:
    folder: Path = sent.give_back("alice", target=Path(name), **decisions)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def nothing_arrived() -> None:
    assert sorted(p.name for p in INBOX.iterdir()) == ["README.md"]
    assert not Path("evil").exists()
    assert not Path("../evil").exists()


def test_zip_there_and_back(sent: Any, tmp_path: Path) -> None:
    pack(find_bundle(BUNDLES, "alice", 1), tmp_path / "out.zip")
    pack(find_bundle(BUNDLES, "alice", 1), tmp_path / "again.zip")
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    got = take(tmp_path / "out.zip")
    assert got.new
    assert content(got.folder) == content(sent.bundle("alice"))
    with pytest.raises(Misuse, match="name one of alice, bob"):
        find_bundle(BUNDLES, "carol", 1)


@pytest.mark.parametrize("root", ["", "bundle-r01-alice/", "Desktop/my reads/bundle/"])
def test_a_zip_may_hold_the_folder_or_its_content(sent: Any, root: str) -> None:
    folder = returned(sent)
    with zipfile.ZipFile("a.zip", "w") as archive:
        for path, data in content(folder).items():
            archive.writestr(root + path, data)
        archive.writestr("__MACOSX/._x", b"junk")
        archive.writestr(f"{root}.DS_Store", b"junk")
    got = take(Path("a.zip"))
    assert got.folder == INBOX / "bundle-r01-alice"
    assert content(got.folder) == content(folder)
    assert Path("a.zip").exists()


def test_a_zip_in_the_inbox_is_unpacked_and_removed(sent: Any) -> None:
    pack(returned(sent), INBOX / "a.zip")
    take(INBOX / "a.zip")
    remove_unpacked(INBOX / "a.zip", INBOX)
    assert sorted(p.name for p in INBOX.iterdir()) == ["README.md", "bundle-r01-alice"]


def test_the_same_twice_does_nothing_and_of_another_one_all_is_kept(sent: Any) -> None:
    first = returned(sent, "first")
    assert take(first).new
    assert not take(first).new
    second = returned(sent, "second", case_2={"liver": "reject"})
    got = take(second)
    assert content(got.folder) == content(second)
    assert got.replaced is not None
    assert content(got.replaced) == content(first)
    assert take(first, replace=True).replaced not in (None, got.replaced)
    sent.give_back("bob")
    sent.gate()


@pytest.mark.parametrize("change", ["a line", "a label", "nothing"])
def test_a_return_that_was_changed_where_it_lies_takes_nothing_in(sent: Any, change: str) -> None:
    got = take(returned(sent, "first"))
    note = Path("data/times/bundle-r01-alice.json")
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"receipts": [{"at": "2026-01-01T00:00:00+00:00", "sha256": got.sha256}]}))
    if change == "a line":
        path = got.folder / "decisions.csv"
        path.write_text(path.read_text().replace("accept", "reject", 1))
    elif change == "a label":
        (got.folder / "labels/case_2.nii.gz").unlink()
    before = content(got.folder)
    second = returned(sent, "second", case_2={"liver": "reject"})
    inbox = look_into(BUNDLES, INBOX, Path("data/base/revisions"), 1)
    if change == "nothing":
        assert take(second).new
        return
    (found,) = [one for one in inbox.problems if one.bundle == "bundle-r01-alice"]
    assert "is not what was received" in found.problem
    # DVC and git have never seen what came: there is nothing to bring it back from.
    assert "take in again what came" in found.remedy
    with pytest.raises(VoxledgerError, match=r"is not what was received.*; the return that came now is not taken in"):
        take(second)
    assert content(got.folder) == before
    assert not list(INBOX.glob("bundle-r01-alice.*"))
    again = take(got.folder)
    assert not again.new
    assert again.sha256 != got.sha256
    assert content(got.folder) == before


def _zip(sent: Any, *extra: tuple[str | zipfile.ZipInfo, bytes], skip: str = "") -> Path:
    path = Path("attack.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content(sent.bundle("alice")).items():
            if name != skip:
                archive.writestr(f"b/{name}", data)
        for name, data in extra:
            archive.writestr(name, data)
    return path


def _link(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "b/../../evil",
        "/tmp/evil",
        "b\\..\\..\\evil",
        "C:\\evil",
        "b/labels/../../../evil",
        "b/nul\x01",
        "b/trailing. ",
        "../evil/",
    ],
)
def test_paths_that_leave_the_bundle_are_refused(sent: Any, name: str) -> None:
    with pytest.raises(BundleRefused, match="not a safe path"):
        take(_zip(sent, (name, b"x")))
    nothing_arrived()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(sent: Any, kind: int) -> None:
    with pytest.raises(BundleRefused, match="link or no plain file"):
        take(_zip(sent, (_link("b/labels/case_1.nii.gz", kind), b"/etc/passwd"), skip="labels/case_1.nii.gz"))
    nothing_arrived()


@pytest.mark.parametrize("link", ["labels/case_1.nii.gz", "images"])
def test_links_in_a_folder_are_refused(sent: Any, link: str) -> None:
    import shutil

    folder = returned(sent)
    target = folder / link
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.symlink_to("/etc")
    with pytest.raises(BundleRefused, match="link or no plain file"):
        take(folder)
    nothing_arrived()


def test_a_name_that_is_no_text_is_refused(sent: Any) -> None:
    folder = returned(sent)
    (folder / "labels" / os.fsdecode(b"Jos\xe9.nii.gz")).touch()
    with pytest.raises(BundleRefused, match="not a safe path"):
        take(folder)
    nothing_arrived()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["b/decisions.csv", "b/DECISIONS.csv", "b/Labels/case_1.nii.gz", "b/labels"])
def test_names_that_collide_are_refused(sent: Any, name: str) -> None:
    with pytest.raises(BundleRefused, match=r"same name as|what is a file"):
        take(_zip(sent, (name, b"x")))
    nothing_arrived()


@pytest.mark.parametrize(
    "name", ["b/labels/case_1.nii.gz", "b/decisions.csv", "b/images/case_1.nii.gz", "b/notes.txt", "b/bundle.json"]
)
def test_zip_bombs_are_refused(sent: Any, name: str) -> None:
    bomb = b"\0" * (70 << 20)
    with pytest.raises(BundleRefused, match=r"more than the .* bytes that are possible|is too large"):
        take(_zip(sent, (name, bomb), skip=name.removeprefix("b/")))
    nothing_arrived()


def test_a_label_on_a_larger_grid_does_not_keep_the_others_out(sent: Any) -> None:
    folder = returned(sent)
    label = folder / "labels/case_1.nii.gz"
    volume = read(label)
    label.unlink()
    large = np.pad(volume.array, 20).astype(np.float64)
    write(folder / "labels/case_1.nii", large, replace(volume.grid, shape=large.shape))
    assert (folder / "labels/case_1.nii").stat().st_size > sent.manifest("alice").most_label_bytes("case_1")
    pack(folder, Path("large.zip"))
    got = take(Path("large.zip"))
    assert content(got.folder) == content(folder)


def test_a_label_that_could_fill_the_disk_is_refused_by_its_name(sent: Any) -> None:
    with pytest.raises(BundleRefused, match="possible for the label of case case_1, whose") as caught:
        take(_zip(sent, ("b/labels/case_1.nii", b"\0" * (70 << 20)), skip="labels/case_1.nii.gz"))
    assert "on the grid of its image" in caught.value.remedy
    nothing_arrived()


def test_a_lying_size_is_not_believed(sent: Any) -> None:
    path = _zip(sent, ("b/decisions.csv", b"\0" * (20 << 20)), skip="decisions.csv")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        position = 0
        while (position := data.find(signature, position)) >= 0:
            if struct.unpack_from("<I", data, position + offset)[0] == 20 << 20:
                struct.pack_into("<I", data, position + offset, 100)
            position += 4
    path.write_bytes(data)
    with pytest.raises(BundleRefused):
        take(path)
    nothing_arrived()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_zip_is_refused(sent: Any, share: float) -> None:
    path = _zip(sent)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleRefused, match="not a whole zip"):
        take(path)
    nothing_arrived()


def test_a_damaged_zip_is_refused_or_the_gate_sees_it(sent: Any) -> None:
    import random

    path = _zip(sent)
    data = path.read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 0x20
        path.write_bytes(damaged)
        try:
            got = take(path)
        except BundleRefused:
            nothing_arrived()
            continue
        import shutil

        for name, original in content(sent.bundle("alice")).items():
            arrived = got.folder / name
            assert not arrived.exists() or arrived.read_bytes() == original
        shutil.rmtree(got.folder)


def test_an_encrypted_zip_is_refused(sent: Any) -> None:
    path = _zip(sent)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = 0
        while (position := data.find(signature, position)) >= 0:
            data[position + offset] |= 1
            position += 4
    path.write_bytes(data)
    with pytest.raises(BundleRefused, match="encrypted"):
        take(path)


def test_two_bundles_no_bundle_and_strangers(sent: Any) -> None:
    two = [(f"c/{n}", d) for n, d in content(sent.bundle("bob")).items()]
    with pytest.raises(BundleRefused, match="2 bundles: b/, c/"):
        take(_zip(sent, *two))
    with pytest.raises(BundleRefused, match=r"no bundle\.json"):
        take(_zip(sent, skip="bundle.json"))
    with pytest.raises(BundleRefused, match=r"files beside the bundle: thesis\.docx"):
        take(_zip(sent, ("thesis.docx", b"x")))
    with pytest.raises(Misuse, match="no such file"):
        take(Path("nowhere.zip"))
    nothing_arrived()


def test_a_foreign_or_altered_bundle_is_refused(sent: Any) -> None:
    folder = returned(sent)
    text = (folder / "bundle.json").read_text()
    for old, new in (('"round": 1', '"round": 2'), ('"asked"', '"Asked"'), ("}", "")):
        (folder / "bundle.json").write_text(text.replace(old, new, 1))
        with pytest.raises(BundleRefused, match=r"was altered|is not the manifest") as caught:
            take(folder)
        assert "put the original bundle.json" in caught.value.remedy
    shutil.rmtree(folder)
    folder = returned(sent)
    sent.version = 2
    sent.export(*WORK)
    with pytest.raises(BundleRefused, match="is of round 1, not of round 2"):
        take(folder, round_number=2)
    shutil.rmtree(BUNDLES)
    with pytest.raises(BundleRefused, match="no bundles of this round are in") as caught:
        take(folder)
    assert f"`{BRING_BACK}`" in caught.value.remedy
    nothing_arrived()


@pytest.mark.parametrize("bundles_are_out", [True, False])
@pytest.mark.parametrize(("number", "says"), [(2, "a later round"), (0, "`git pull`")])
def test_a_return_of_another_round_than_the_open_one_is_said_to_be_so(
    sent: Any, bundles_are_out: bool, number: int, says: str
) -> None:
    """Before the bundles of the open round existed, the remedy brought those of the closed one back into it."""
    folder = returned(sent)
    if bundles_are_out:
        sent.version = number
        sent.export(*WORK)
    else:
        shutil.rmtree(BUNDLES)
    with pytest.raises(BundleRefused, match=f"is of round 1, not of round {number}, which is open") as caught:
        take(folder, round_number=number)
    INBOX.mkdir(exist_ok=True)
    shutil.copytree(folder, INBOX / "bundle-r01-alice")
    (finding,) = look_into(BUNDLES, INBOX, Path("data/base/revisions"), number).problems
    for said in (str(caught.value), str(finding)):
        assert says in said
        assert "keep it outside data/inbox" in said
        assert BRING_BACK not in said
        assert "dvc checkout" not in said


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_manifest_that_an_editor_saved_again_is_taken(sent: Any, layout: str) -> None:
    folder = returned(sent, case_1={"pancreas": "reject"})
    manifest = folder / "bundle.json"
    manifest.write_bytes(LAYOUTS[layout](manifest.read_bytes()))
    got = take(folder)
    assert content(got.folder) == content(folder)
    assert not take(returned(sent, "as sent", case_1={"pancreas": "reject"})).new
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    assert ledger["case_1", "pancreas"].reviewer == "alice"
    kept = Path("data/release/revisions") / ledger["case_1", "pancreas"].bundle
    assert (kept / "bundle.json").read_bytes() == manifest.read_bytes()


def test_what_counts_is_our_own_copy_of_the_manifest(sent: Any) -> None:
    """A manifest that was altered consistently, its id computed anew, is that of no bundle that was sent."""
    folder = returned(sent)
    values = read_manifest((folder / "bundle.json").read_bytes(), "").model_dump(exclude={"id", "format"})
    forged = make_manifest(**{**values, "voxels": dict.fromkeys(values["voxels"], 10**9)})
    (folder / "bundle.json").write_bytes(forged.to_bytes())
    with pytest.raises(BundleRefused, match="its id is unknown"):
        take(folder)
    nothing_arrived()


def test_a_killed_receive_leaves_nothing_that_counts(sent: Any) -> None:
    leftover = INBOX / "bundle-.receiving-x"
    leftover.mkdir()
    (leftover / "bundle.json").write_text("{")
    take(returned(sent))
    assert not leftover.exists()
    (INBOX / "bundle-.receiving-y").mkdir()
    sent.give_back("bob")
    sent.gate()


def test_a_late_part_of_a_return(sent: Any) -> None:
    take(returned(sent, "half", case_2={"liver": ""}))
    take(returned(sent, "whole"), replace=True)
    sent.give_back("bob")
    sent.gate()


def test_a_full_disk_is_not_blamed_on_the_return(sent: Any, small_disk: Path) -> None:
    """It was to be asked for once more."""
    folder = returned(sent)
    (folder / "labels/case_1.nii").write_bytes(b"x" * 40_000)
    shutil.make_archive("back", "zip", folder)
    inbox = small_disk / "inbox"
    inbox.mkdir()
    (inbox / "README.md").write_text("here")
    for source in (folder, Path("back.zip")):
        fill(small_disk, 6 * 4096)
        with pytest.raises(OSError, match="No space left on device") as caught:
            receive(source, BUNDLES, inbox, 1)
        assert str(caught.value.filename).startswith(f"{inbox}/")
        assert [p.name for p in inbox.iterdir()] == ["README.md"]
    (small_disk / "filler").unlink()
    assert receive(Path("back.zip"), BUNDLES, inbox, 1).new


def test_a_zip_without_the_right_to_read_it_is_not_called_damaged(sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("back.zip").write_bytes(b"x")

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "back.zip")

    monkeypatch.setattr(zipfile, "ZipFile", refuse)  # root may read everything
    with pytest.raises(PermissionError):
        take(Path("back.zip"))
