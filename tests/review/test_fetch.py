"""Returns that are fetched: each once, whole, bounded, by whoever asks first; and none is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import fill, run

from voxledger.disk import disk_failure
from voxledger.errors import VoxledgerError
from voxledger.process import lock
from voxledger.records import exchange
from voxledger.records.exchange import note_sending, read_sendings
from voxledger.review import fetch
from voxledger.review.carrier import Upload, where_of
from voxledger.review.fetch import Fetched
from voxledger.review.pack import pack
from voxledger.review.receive import Received, receive
from voxledger.review.send import send
from voxledger.review.shared import SharedFolder

BUNDLES, INBOX, KEPT = Path("data/round/bundles"), Path("data/inbox"), Path("data/fetched")
WORK = [("case_1", "pancreas", "alice"), ("case_2", "liver", "alice"), ("case_3", "liver", "bob")]
MOST = 10_000_000


@pytest.fixture
def share(repo: Any, tmp_path: Path) -> Path:
    """A repository of which the bundles of alice and bob were sent to a share."""
    repo.export(*WORK)
    share = tmp_path / "share"
    share.mkdir()
    run("git", "init", "--quiet", "--template=")
    for reviewer in ("alice", "bob"):
        send(repo.bundle(reviewer), where_of(f"zip:{share}"), "2026-11-28T12:00:00+00:00")
    return share


def put(repo: Any, share: Path, name: str, reviewer: str = "alice", to: str = "", **decisions: Any) -> Path:
    """A return that lies where the reviewer puts it."""
    folder = repo.give_back(reviewer, target=Path("work") / f"bundle-r01-{reviewer}", **decisions)
    target: Path = share / (to or reviewer) / "return" / name
    pack(folder, target)
    shutil.rmtree(folder)
    return target


def take(file: Path, sender: str) -> Received:
    return receive(file, BUNDLES, INBOX, 1, sender=sender)


def fetched(most: int = MOST) -> list[Fetched]:
    return list(fetch.fetch(read_sendings(), take, most))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def arrived() -> list[str]:
    return sorted(p.name for p in INBOX.iterdir() if p.name.startswith("bundle-"))


def test_what_was_sent_is_on_record_without_a_secret_and_committed_once(repo: Any, share: Path) -> None:
    first, second = read_sendings()
    assert (first.reviewer, first.bundle, first.id) == ("alice", "bundle-r01-alice", repo.manifest("alice").id)
    assert (second.reviewer, first.to, first.until) == ("bob", f"zip:{share}", None)
    assert run("git", "status", "--porcelain", "--", "data/exchange") == ""
    before = run("git", "log", "--oneline")
    note_sending(first)
    assert run("git", "log", "--oneline") == before


def test_every_upload_is_received_once_and_stays_where_it_is(repo: Any, share: Path) -> None:
    there = put(repo, share, "mine.zip"), put(repo, share, "of bob.zip", "bob")
    before = [p.read_bytes() for p in there]
    found = fetched()
    assert [(f.reviewer, f.received.folder.name, f.received.new) for f in found if f.received] == [
        ("alice", "bundle-r01-alice", True),
        ("bob", "bundle-r01-bob", True),
    ]
    assert arrived() == ["bundle-r01-alice", "bundle-r01-bob"]
    assert [p.read_bytes() for p in there] == before
    assert aside() == [], "all of it lies in the inbox"
    inbox = content(INBOX)
    assert fetched() == []
    assert content(INBOX) == inbox


def test_several_uploads_count_together_in_the_order_in_which_they_came(repo: Any, share: Path) -> None:
    rejected = {"case_1": {"pancreas": "reject"}}
    for second, (name, decisions) in enumerate({"z": rejected, "a": {"case_2": {"liver": "reject"}}}.items()):
        path = put(repo, share, f"{name}.zip", **decisions)
        os.utime(path, (1_700_000_000 + second,) * 2)
    first, second_one = fetched()
    assert first.received
    assert second_one.received
    assert (first.received.replaced, second_one.received.replaced is not None) == (None, True)
    assert len(arrived()) == 2, "the first is kept beside it"
    path = put(repo, share, "a.zip", **rejected)
    os.utime(path, (1_800_000_000,) * 2)
    (again,) = fetched()
    assert again.received, "the same name, another file"
    assert not again.received.new, "of the same content as the first"


def test_a_folder_that_was_moved_into_return(repo: Any, share: Path) -> None:
    repo.give_back("alice", target=share / "alice/return/bundle-r01-alice")
    (one,) = fetched()
    assert one.received
    assert content(one.received.folder) == content(share / "alice/return/bundle-r01-alice")
    assert fetched() == []


def _broken(repo: Any, share: Path) -> None:
    path = put(repo, share, "x.zip")
    path.write_bytes(path.read_bytes()[:-100])


def _no_archive(repo: Any, share: Path) -> None:
    (share / "alice/return/x.zip").write_bytes(b"here is my work, regards, alice")


def _empty(repo: Any, share: Path) -> None:
    (share / "alice/return/x.zip").write_bytes(b"")


def _other_bundle(repo: Any, share: Path) -> None:
    put(repo, share, "x.zip", "bob", to="alice")


def _outside(repo: Any, share: Path) -> None:
    path = put(repo, share, "x.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("bundle-r01-alice/../../../x", b"x")


def _altered(repo: Any, share: Path) -> None:
    folder = repo.give_back("alice", target=Path("work/bundle-r01-alice"))
    (folder / "bundle.json").write_text((folder / "bundle.json").read_text().replace('"alice"', '"carol"'))
    pack(folder, share / "alice/return/x.zip")


def aside() -> list[str]:
    """Uploads that are kept outside of the inbox."""
    return [p.name for p in KEPT.iterdir() if p.name != ".gitignore" and p.suffix != ".json"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_broken, "is not a whole zip archive"),
        (_no_archive, "is not a whole archive"),
        (_empty, "is not a whole archive|holds no bundle.json"),
        (_other_bundle, "is a return of bundle-r01-bob, and came from alice"),
        (_outside, "is not a safe path"),
        (_altered, "was altered"),
    ],
)
def test_what_is_refused_is_kept_said_once_and_keeps_nobody_else_waiting(
    repo: Any, share: Path, make: Any, said: str
) -> None:
    make(repo, share)
    put(repo, share, "of bob.zip", "bob")
    refused, received = fetched()
    assert refused.problem
    assert re.search(said, str(refused.problem))
    assert refused.kept
    assert refused.kept.read_bytes() == (share / "alice/return/x.zip").read_bytes()
    assert received.received
    assert arrived() == ["bundle-r01-bob"]
    assert fetched() == []
    assert len(list(Path("data/exchange").glob("fetched-*"))) == 1, "another clone is told what was refused, too"


def test_an_upload_that_is_too_large_is_not_read(repo: Any, share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repo, share, "x.zip")
    size = (share / "alice/return/x.zip").stat().st_size
    (one,) = fetched(size - 1)
    assert "more than the" in str(one.problem)
    assert one.kept is None
    assert aside() == []
    assert fetched() == []


def test_an_upload_that_grows_while_it_is_read_is_cut_off(
    repo: Any, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a listing says of the size is not believed."""
    put(repo, share, "x.zip")
    monkeypatch.setattr(
        SharedFolder, "uploads", lambda self, reviewer: [Upload("x.zip", 1, "v")] * (reviewer == "alice")
    )
    (one,) = fetched(1000)
    assert "more than the 1000 bytes" in str(one.problem)
    assert aside() == []


def test_an_interrupted_fetch_goes_on_where_it_stopped(repo: Any, share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repo, share, "x.zip")
    real, offsets = SharedFolder.read, []

    def breaks_off(self: SharedFolder, reviewer: str, upload: Upload, offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        yield next(real(self, reviewer, upload, offset))[:1000]
        raise VoxledgerError("the network is gone", "wait for it")

    monkeypatch.setattr(SharedFolder, "read", breaks_off)
    for _ in range(2):
        (one,) = fetched()
        assert "the network is gone" in str(one.problem)
    monkeypatch.setattr(SharedFolder, "read", lambda self, *a: offsets.append(a[2]) or real(self, *a))
    (one,) = fetched()
    assert one.received
    assert one.received.new
    assert offsets == [0, 1000, 2000]


def test_a_fetch_that_was_killed_before_it_wrote_down_what_came_does_nothing_twice(repo: Any, share: Path) -> None:
    put(repo, share, "x.zip")

    def killed(file: Path, sender: str) -> Received:
        take(file, sender)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(fetch.fetch(read_sendings(), killed, MOST))
    inbox = content(INBOX)
    (one,) = fetched()
    assert one.received
    assert not one.received.new
    assert content(INBOX) == inbox
    assert fetched() == []


def test_a_fetch_that_was_killed_once_it_had_written_down_what_came_is_tidied_up(
    repo: Any, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo, share, "x.zip")
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "git", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetched()
    assert len(aside()) == 1
    assert "?? data/exchange/fetched-" in run("git", "status", "--porcelain", "--untracked-files=all")
    assert fetched() == []
    assert aside() == []
    assert "A  data/exchange/fetched-" in run("git", "status", "--porcelain", "--untracked-files=all")


def test_what_could_not_be_taken_in_for_another_reason_is_tried_again(repo: Any, share: Path) -> None:
    put(repo, share, "x.zip")

    def busy(file: Path, sender: str) -> Received:
        raise VoxledgerError("another DVC process is at work here", "wait for it")

    (one,) = list(fetch.fetch(read_sendings(), busy, MOST))
    assert "at work" in str(one.problem)
    (one,) = fetched()
    assert one.received


def test_what_another_clone_fetched_is_not_fetched_again_unless_it_is_not_here(repo: Any, share: Path) -> None:
    put(repo, share, "x.zip")
    fetched()
    (note,) = Path("data/exchange").glob("fetched-*.json")
    before = note.read_bytes()
    shutil.rmtree(INBOX / "bundle-r01-alice")  # as in a clone before `dvc pull`
    (one,) = fetched()
    assert one.received
    assert one.received.new
    assert note.read_bytes() == before, "so that two clones write the same"
    assert "x.zip" not in note.read_text()
    assert json.loads(before)["bundle"] == "bundle-r01-alice"


def test_a_place_that_is_gone_keeps_no_other_waiting(repo: Any, share: Path, tmp_path: Path) -> None:
    other = tmp_path / "another"
    other.mkdir()
    send(repo.bundle("bob"), where_of(f"folder:{other}"), "2026-11-28T12:00:00+00:00")
    shutil.rmtree(other)
    put(repo, share, "x.zip")
    gone, received = fetched()
    assert "is no folder here" in str(gone.problem)
    assert received.received


def test_too_many_uploads_are_left_for_the_next_time(repo: Any, share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_NEW", 2)
    for n in range(3):
        (share / f"alice/return/{n}").write_bytes(b"%d" % n)
    found = fetched()
    assert len(found) == 3
    assert "has sent 3 returns, of which 2 were fetched" in str(found[-1].problem)
    assert len(fetched()) == 1
    monkeypatch.setattr("voxledger.review.shared.MOST_UPLOADS", 2)
    put(repo, share, "x.zip", "bob")
    many, received = fetched()
    assert "holds 3 files" in str(many.problem)
    assert received.received


def test_two_fetches_at_once_take_turns(repo: Any, share: Path) -> None:
    """Both would add to the same file."""
    put(repo, share, "x.zip")
    KEPT.mkdir()
    program = (
        "from pathlib import Path\n"
        "from voxledger.records.exchange import read_sendings\n"
        "from voxledger.review.fetch import fetch\n"
        "from voxledger.review.receive import receive\n"
        "take = lambda f, s: receive(f, Path('data/round/bundles'), Path('data/inbox'), 1, sender=s)\n"
        f"print(sum(one.received.new for one in fetch(read_sendings(), take, {MOST})))\n"
    )
    handle = os.open(KEPT, os.O_RDONLY)
    lock(handle, "test")
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert other.stderr is not None
    assert "data/fetched: waiting for" in other.stderr.readline()
    assert arrived() == []
    os.close(handle)
    assert other.communicate()[0].strip() == "1"


def test_a_full_disk_leaves_nothing_behind_and_is_not_the_reviewers_fault(
    repo: Any, share: Path, small_disk: Path
) -> None:
    put(repo, share, "x.zip")
    KEPT.symlink_to(small_disk)
    fill(small_disk, room=4096)
    with pytest.raises(OSError, match="No space") as told:
        fetched()
    failure = disk_failure(told.value)
    assert failure is not None
    assert "no space left" in failure.problem
    (small_disk / "filler").unlink()
    (one,) = fetched()
    assert one.received
    assert one.received.new


@pytest.mark.parametrize(
    "change", [{"format": 99}, {"reviewer": "../../bob"}, {"bundle": "../x"}, {"bundle": "bundle-r01-a/b"}, {"more": 1}]
)
def test_a_damaged_record_names_its_file(repo: Any, share: Path, change: dict[str, Any]) -> None:
    path = sorted(Path("data/exchange").iterdir())[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(VoxledgerError, match="sent-bundle-r01-alice"):
        read_sendings()


def test_two_curators_who_send_the_same_bundle_write_two_files(repo: Any, share: Path) -> None:
    send(repo.bundle("alice"), where_of(f"zip:{share}"), "2026-11-28T12:00:01+00:00")
    assert [sending.reviewer for sending in read_sendings()] == ["alice", "alice", "bob"]
    put(repo, share, "x.zip")
    (one,) = fetched()
    assert one.received
