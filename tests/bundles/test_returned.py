"""A return is read and checked once per content, whoever asks."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.bundles import label_check, returned
from voxledger.bundles.context import Context
from voxledger.bundles.inbox import look_into, received_returns
from voxledger.bundles.returned import read_return
from voxledger.casemap import each, once
from voxledger.errors import BundleRefused, VoxledgerError
from voxledger.review.status import status

BUNDLES, INBOX, REVISIONS = Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions")
READERS = ("alice", "bob", "carol")


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Label files that were read as they came back, one entry a time."""
    read: list[str] = []
    original = label_check.read_returned_label

    def counted(paths: Sequence[Path], *rest: Any) -> Any:
        read.extend(path.as_posix() for path in paths)
        return original(paths, *rest)

    monkeypatch.setattr(label_check, "read_returned_label", counted)
    return read


def another_process() -> None:
    """Forget what a process remembers."""
    returned._known.clear()


def with_liver_in(labels: np.ndarray, x: int) -> np.ndarray:
    changed = labels.copy()
    changed[0, 0, x] = 1
    return changed


@pytest.fixture
def back(repo: Any) -> Any:
    """One case for each of three readers, all back and corrected."""
    repo.export(*((f"case_{n}", "liver", reader) for n, reader in enumerate(READERS, start=1)))
    for n, reader in enumerate(READERS, start=1):
        case = f"case_{n}"
        repo.give_back(reader, {case: with_liver_in(repo.shown(reader, case), n)}, **{case: {"liver": "revise"}})
    return repo


def label(n: int) -> str:
    return f"data/inbox/bundle-r01-{READERS[n - 1]}/labels/case_{n}.nii.gz"


def test_receive_status_gate_and_import_read_each_label_once(back: Any, read_files: list[str]) -> None:
    status(BUNDLES, INBOX, REVISIONS, 1)
    another_process()
    back.gate()
    another_process()
    ledger = back.take_in()
    assert sorted(read_files) == [label(n) for n in (1, 2, 3)]
    assert [ledger[f"case_{n}", "liver"].reviewer for n in (1, 2, 3)] == list(READERS)
    assert all(back.released(f"case_{n}")[0, 0, n] == 1 for n in (1, 2, 3))


def test_a_label_as_it_was_sent_is_not_read_at_all(repo: Any, read_files: list[str]) -> None:
    repo.export(("case_1", "pancreas", "alice"))
    repo.give_back("alice")
    repo.gate()
    repo.take_in()
    assert read_files == []


def test_a_return_is_one_object_as_long_as_it_is_the_same(back: Any) -> None:
    exported, folder = back.bundle("alice"), INBOX / "bundle-r01-alice"
    first = read_return(back.manifest("alice"), exported, folder, Context())
    assert read_return(back.manifest("alice"), exported, folder, Context()) is first
    Path(folder, "README.md").write_text("other")
    assert read_return(back.manifest("alice"), exported, folder, Context()) is not first


def test_several_processes_read_what_is_large(back: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exported, folder = back.bundle("alice"), INBOX / "bundle-r01-alice"
    first = read_return(back.manifest("alice"), exported, folder, Context())
    for module in (returned, each):
        monkeypatch.setattr(module, "WORTH_BYTES", 0)
    monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    called: list[str] = []

    def counted(what: str, *rest: Any) -> Any:
        called.append(what)
        return each.each(what, *rest)

    monkeypatch.setattr(returned, "each", counted)
    assert read_return(back.manifest("alice"), exported, folder, Context()) is first
    assert called == ["read bundle-r01-alice"]


@pytest.mark.parametrize("by", ["label", "decisions", "suffix"])
def test_what_changed_is_checked_anew(back: Any, read_files: list[str], by: str) -> None:
    back.gate()
    del read_files[:]
    folder = INBOX / "bundle-r01-bob"
    shutil.rmtree(folder)
    if by == "label":
        changed = with_liver_in(back.shown("bob", "case_2"), 9)
        back.give_back("bob", {"case_2": changed}, case_2={"liver": "revise"})
    else:
        changed = with_liver_in(back.shown("bob", "case_2"), 2)
        back.give_back("bob", {"case_2": changed}, case_2={"liver": "accept" if by == "decisions" else "revise"})
    if by == "suffix":
        from voxledger.imaging.volume import read, write

        volume = read(folder / "labels/case_2.nii.gz")
        (folder / "labels/case_2.nii.gz").unlink()
        write(folder / "labels/case_2.nrrd", volume.array, volume.grid)
    problems = look_into(BUNDLES, INBOX, REVISIONS, 1).all_problems
    assert read_files == [label(2).replace(".nii.gz", ".nrrd" if by == "suffix" else ".nii.gz")]
    assert [p.class_name for p in problems] == (["liver"] if by == "decisions" else [])


def test_the_import_takes_nothing_but_what_the_gate_saw(back: Any) -> None:
    """A label that changes after the gate is refused, also where nobody has read it since."""
    back.gate()
    path = Path(label(3))
    path.write_bytes(Path(label(1)).read_bytes())
    another_process()
    with pytest.raises(BundleRefused, match="bundle-r01-carol has changed since the gate let it through"):
        back.take_in()


def test_returns_with_problems_are_not_imported_whatever_the_gate_wrote(back: Any) -> None:
    from voxledger.records.received import read_received, write_received

    received = Path("data/round/received.json")
    back.gate()
    listed = read_received(received)
    shutil.rmtree(INBOX / "bundle-r01-bob")
    back.give_back("bob", {"case_2": with_liver_in(back.shown("bob", "case_2"), 2)})
    bob = look_into(BUNDLES, INBOX, REVISIONS, 1).returned[back.manifest("bob").id]
    forged = [
        e.model_copy(update={"sha256": bob.sha256, "files": bob.files}) if e.reviewer == "bob" else e for e in listed
    ]
    write_received(received, forged)
    with pytest.raises(BundleRefused, match=r"(?s)the decision is accept, but 1 voxels.*repro gate"):
        received_returns(received, BUNDLES, INBOX, 1)


def test_what_is_remembered_may_be_deleted_but_then_the_file_has_to_be_the_same(
    back: Any, read_files: list[str]
) -> None:
    one = look_into(BUNDLES, INBOX, REVISIONS, 1).returned[back.manifest("alice").id]
    before = one.labels("case_1")
    shutil.rmtree(".memo")
    del read_files[:]
    assert np.array_equal(one.labels("case_1"), before)
    assert read_files == [label(1)]
    shutil.rmtree(".memo")
    Path(label(1)).write_bytes(Path(label(2)).read_bytes())
    with pytest.raises(VoxledgerError, match="changed while it was read"):
        one.labels("case_1")


def test_a_label_that_cannot_be_read_is_looked_at_again(back: Any, read_files: list[str]) -> None:
    Path(label(1)).write_bytes(b"x")
    for _ in range(2):
        another_process()
        one = look_into(BUNDLES, INBOX, REVISIONS, 1).returned[back.manifest("alice").id]
        assert "damaged or incomplete" in one.problems[0].problem
        assert one.labels("case_1") is None
    assert read_files.count(label(1)) == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_who_may_not_write_in_the_repository_may_look(
    back: Any, read_files: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(_: str) -> Any:
        raise OSError(number, "no", ".memo")

    monkeypatch.setattr(once, "alone", refused)
    found = look_into(BUNDLES, INBOX, REVISIONS, 1)
    assert found.all_problems == found.all_missing == []
    one = found.returned[back.manifest("alice").id]
    labels = one.labels("case_1")
    assert labels is not None
    assert labels[0, 0, 1] == 1
    assert not Path(".memo/gate").exists()
    assert sorted(read_files) == [label(n) for n in (1, 2, 3)]


def test_a_full_disk_is_no_reason_to_look_elsewhere(back: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> Any:
        raise OSError(errno.ENOSPC, "full", ".memo")

    monkeypatch.setattr(once, "alone", full)
    with pytest.raises(OSError, match="full"):
        look_into(BUNDLES, INBOX, REVISIONS, 1)
