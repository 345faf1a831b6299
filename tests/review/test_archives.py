"""Returns in archives other than zip, and zips as other systems pack them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import BundleRefused
from voxledger.review import archives
from voxledger.review.receive import receive
from voxledger.review.status import status

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
WORK = [("case_1", "pancreas", "alice"), ("case_2", "liver", "alice")]
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


def pack(folder: Path, suffix: str) -> Path:
    target = folder.with_name(f"{folder.name}{suffix}")
    if suffix == ".7z":
        py7zr = pytest.importorskip("py7zr")
        with py7zr.SevenZipFile(target, "w") as archive:
            archive.writeall(folder, folder.name)
    elif suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in folder.rglob("*"):
                name = path.relative_to(folder.parent).as_posix().replace("/", "\\")
                archive.writestr(name + "\\" * path.is_dir(), b"" if path.is_dir() else path.read_bytes())
    else:
        with tarfile.open(target, TARS[suffix]) as archive:
            archive.add(folder, f"./{folder.name}")
    return target


def take(source: Path) -> Any:
    return receive(source, BUNDLES, INBOX, 1)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def nothing_arrived() -> None:
    assert sorted(p.name for p in INBOX.iterdir()) == ["README.md"]
    assert not Path("evil").exists()
    assert not Path("../evil").exists()


@pytest.mark.parametrize("suffix", [*TARS, ".7z", ".zip"])
def test_every_archive_arrives_as_the_folder_it_was(sent: Any, suffix: str) -> None:
    folder = sent.give_back("alice", target=Path("back"))
    got = take(pack(folder, suffix))
    assert got.new
    assert content(got.folder) == content(folder)
    assert not take(pack(folder, suffix)).new


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".7z"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_truncated_archive_is_refused(sent: Any, suffix: str, share: float) -> None:
    source = pack(sent.give_back("alice", target=Path("back")), suffix)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BundleRefused):
        take(source)
    nothing_arrived()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("../evil"),
        member("/evil"),
        member("back/../../evil"),
        member("back/evil", tarfile.SYMTYPE, "/etc/passwd"),
        member("back/evil", tarfile.LNKTYPE, "back/bundle.json"),
        member("back/evil", tarfile.FIFOTYPE),
        member("back/a\\b"),
    ],
)
def test_unsafe_entries_are_refused(sent: Any, info: tarfile.TarInfo) -> None:
    source = pack(sent.give_back("alice", target=Path("back")), ".tar")
    with tarfile.open(source, "a") as archive:
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(BundleRefused, match="nothing was unpacked"):
        take(source)
    nothing_arrived()


@pytest.mark.parametrize("suffix", [".tar.xz", ".7z"])
def test_an_archive_that_unpacks_to_more_than_it_can_be_is_refused(sent: Any, suffix: str) -> None:
    folder = sent.give_back("alice", target=Path("back"))
    (folder / "labels/case_1.mha").write_bytes(bytes(200 << 20))
    source = pack(folder, suffix)
    assert source.stat().st_size < 1 << 20
    with pytest.raises(BundleRefused, match="unpacks to more bytes"):
        take(source)
    nothing_arrived()


def test_too_many_files_are_refused(sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(BundleRefused, match="holds more than 3 files"):
        take(pack(sent.give_back("alice", target=Path("back")), ".tar"))
    nothing_arrived()


def test_a_7z_of_links_is_refused(sent: Any) -> None:
    pytest.importorskip("py7zr")
    folder = sent.give_back("alice", target=Path("back"))
    (folder / "evil").symlink_to("/etc/passwd")
    with pytest.raises(BundleRefused, match="link"):
        take(pack(folder, ".7z"))
    nothing_arrived()


def test_an_archive_in_the_inbox_is_named(sent: Any) -> None:
    source = pack(sent.give_back("alice", target=Path("back")), ".7z")
    source.rename(INBOX / "bundle-r01-alice.7z")
    (finding,) = status(BUNDLES, INBOX, Path("data/base/revisions"), 1).not_received
    assert finding.remedy == "`voxledger review receive data/inbox/bundle-r01-alice.7z`"


def test_backslashes_and_slashes_together_are_refused(sent: Any) -> None:
    source = pack(sent.give_back("alice", target=Path("back")), ".zip")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("back/x", b"x")
    with pytest.raises(BundleRefused, match="is not a safe path"):
        take(source)
    nothing_arrived()


def test_what_came_counts(sent: Any) -> None:
    changed = sent.shown("alice", "case_2")
    changed[0, 0, 0] = 1
    folder = sent.give_back("alice", {"case_2": changed}, target=Path("back"), case_2={"liver": "revise"})
    take(pack(folder, ".7z"))
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_2"), changed)
