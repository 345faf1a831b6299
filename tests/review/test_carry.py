"""A return of a closed round: kept, and taken over where its class is proposed as it was then."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from small_round import GRID, anatomy

from voxledger import layout
from voxledger.bundles.inbox import look_into
from voxledger.cli.review import _without_withdrawn
from voxledger.errors import BundleRefused, Misuse
from voxledger.imaging.volume import read_label, write
from voxledger.records.cases import write_cases
from voxledger.records.decisions import read_decisions
from voxledger.records.withdrawn import Withdrawn, write_withdrawn
from voxledger.release.cut_returns import cut_late
from voxledger.review.carry import Carried, carry
from voxledger.review.receive import receive

BUNDLES, INBOX, LATE = Path("data/round/bundles"), Path("data/inbox"), Path("data/late")
WORK = [("case_2", n, "alice") for n in ("liver", "pancreas", "kidney_left")] + [("case_3", "liver", "alice")]
IDS: set[tuple[int, str]] = set()


def ours(number: int, bundle: str) -> bool:
    return (number, bundle) in IDS


@pytest.fixture
def late(repo: Any) -> Path:
    """Alice corrected the liver, accepted the pancreas and rejected the kidney of case_2, too late for round 1."""
    repo.export(*WORK)
    labels = repo.shown("alice", "case_2").copy()
    labels[0, 0, :3] = 1
    decisions = {"liver": "revise", "pancreas": "accept", "kidney_left": "reject"}
    repo.give_back("alice", {"case_2": labels}, target=Path("back"), case_2=decisions)
    IDS.clear()
    IDS.add((1, repo.manifest("alice").id))
    shutil.rmtree(BUNDLES)
    repo.version = 2
    return Path("back")


def keep(folder: Path) -> Path:
    kept = receive(folder, BUNDLES, INBOX, 2, went_out=ours)
    assert kept.late
    return kept.folder


def take_over(repo: Any, folder: Path, *items: tuple[str, str, str]) -> Carried:
    repo.export(*items)
    return carry(keep(folder), BUNDLES, INBOX, 2)


def test_it_is_kept_once_and_counts_nowhere(repo: Any, late: Path) -> None:
    repo.export(*WORK)
    kept = keep(late)
    assert kept.parent == LATE
    assert not receive(late, BUNDLES, INBOX, 2, went_out=ours).new
    assert (kept / "decisions.csv").read_bytes() == (late / "decisions.csv").read_bytes()
    assert (LATE / ".gitignore").read_text() == "*\n"
    assert [p.name for p in INBOX.iterdir()] == ["README.md"]
    with pytest.raises(BundleRefused, match="is of round 1, not of round 2"):
        receive(late, BUNDLES, INBOX, 2)


def test_all_is_taken_over_where_nothing_changed(repo: Any, late: Path) -> None:
    found = take_over(repo, late, *WORK)
    assert found.left == ()
    assert len(found.taken) == 4
    assert np.array_equal(
        read_label(INBOX / "bundle-r02-alice/labels/case_2.nii.gz"), read_label(late / "labels/case_2.nii.gz")
    )
    repo.gate()
    ledger = repo.take_in()
    assert ledger["case_2", "liver"].origin == "revised"
    assert ledger["case_2", "kidney_left"].origin == "rejected"


def test_what_is_left_of_one_that_was_cut_is_taken_over(repo: Any, late: Path) -> None:
    """Somebody else's case of the same bundle was withdrawn since it came."""
    whole = keep(late).name
    (LATE / "notes.txt").write_text("alice called")
    kept = LATE / cut_late(LATE, {"case_3"})[whole]
    found = take_over(repo, kept, *WORK)
    assert keep(kept) == kept
    assert (found.left, [case for case, _ in found.taken]) == ((), 3 * ["case_2"])
    with (kept / "decisions.csv").open("a") as stream:
        stream.write("case_2,lesion,accept,,,,\n")
    with pytest.raises(BundleRefused, match="is of round 1, not of round 2"):
        keep(kept)


def test_nothing_of_who_was_withdrawn_is_kept_wherever_it_is_killed(repo: Any, late: Path) -> None:
    """It was kept whole, and cut there."""
    shutil.copy(Path(__file__).parents[2] / "params.yaml", "params.yaml")
    write_cases(layout.CASES, (c for c in repo.cases if c.case_id != "case_3"))
    write_withdrawn([Withdrawn("w-1", ("w-2",), 2, "curator", "2026-01-01", "asked")])

    def take() -> Path:
        cut = partial(_without_withdrawn, quiet=True)
        return receive(late, BUNDLES, INBOX, 2, went_out=ours, cut=cut).folder

    def there() -> dict[str, bytes]:
        return {p.relative_to(LATE).as_posix(): p.read_bytes() for p in LATE.rglob("*") if p.is_file()}

    assert take() == take()
    wanted, number, unpacked = there(), 1, 0
    assert {row.case_id for row in read_decisions(take() / "decisions.csv").rows.values()} == {"case_2"}
    shutil.rmtree(LATE)
    while _killed_before(number, take):
        assert not any("case_3" in path or b"case_3" in content for path, content in there().items()), number
        unpacked += any("case_3" in p.name for p in INBOX.rglob("*"))
        take()
        assert there() == wanted, number
        assert [p.name for p in INBOX.iterdir()] == ["README.md"]
        shutil.rmtree(LATE)
        number += 1
    assert 0 < unpacked < number - 1


def _killed_before(number: int, call: Callable[[], object]) -> bool:
    """Whether a process of its own was killed that calls something, before its `number`-th change to a folder."""
    if (child := os.fork()) == 0:
        seen = 0

        def watch(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in ("os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree", "shutil.copyfile"):
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            call()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_class_that_is_proposed_otherwise_is_left_for_a_person(repo: Any, late: Path) -> None:
    """The pancreas has moved since, and the corrected liver is laid over what is proposed now."""
    changed = anatomy(1)
    changed[7, 9, 13] = 2
    write("data/round/pseudo/case_2.nii.gz", changed, GRID)
    found = take_over(repo, late, *WORK)
    assert [str(left) for left in found.left] == ["case case_2, class pancreas: another mask is proposed now"]
    labels = read_label(INBOX / "bundle-r02-alice/labels/case_2.nii.gz")
    assert labels[0, 0, :4].tolist() == [1, 1, 1, 0]
    assert labels[7, 9, 13] == 2
    rows = read_decisions(INBOX / "bundle-r02-alice/decisions.csv").rows
    assert rows["case_2", "pancreas"].decision is None
    assert rows["case_2", "liver"].decision == "revise"


def test_a_class_inside_that_is_proposed_otherwise_stays_in_what_is_carried(repo: Any) -> None:
    work = [("case_2", n, "alice") for n in ("pancreas", "lesion")]
    repo.export(*work)
    drawn = repo.shown("alice", "case_2").copy()
    drawn[1, 10:14, 4:14] = 2
    repo.give_back("alice", {"case_2": drawn}, target=Path("back"), case_2={"pancreas": "revise", "lesion": "accept"})
    IDS.clear()
    IDS.add((1, repo.manifest("alice").id))
    shutil.rmtree(BUNDLES)
    repo.version = 2
    pseudo = read_label("data/round/pseudo/case_2.nii.gz").copy()
    pseudo[pseudo == 3] = 2
    pseudo[5:7, 11:13, 8:11] = 3
    write("data/round/pseudo/case_2.nii.gz", pseudo, GRID)
    found = take_over(repo, Path("back"), *work)
    assert [str(one) for one in found.left] == ["case case_2, class lesion: another mask is proposed now"]
    got = read_label(INBOX / "bundle-r02-alice/labels/case_2.nii.gz")
    expected = repo.shown("alice", "case_2").copy()
    expected[1, 10:14, 4:14] = 2
    assert np.array_equal(got, expected)


def test_what_was_decided_on_since_stays(repo: Any, late: Path) -> None:
    repo.export(*WORK)
    repo.give_back("alice", case_2={"liver": "accept", "pancreas": "", "kidney_left": ""}, case_3={"liver": ""})
    found = carry(keep(late), BUNDLES, INBOX, 2)
    assert [str(left) for left in found.left] == ["case case_2, class liver: it has been decided on in this round"]
    rows = read_decisions(INBOX / "bundle-r02-alice/decisions.csv").rows
    assert {key: row.decision for key, row in rows.items() if row.decision} == {
        ("case_2", "liver"): "accept",
        ("case_2", "pancreas"): "accept",
        ("case_2", "kidney_left"): "reject",
        ("case_3", "liver"): "accept",
    }


def test_what_readers_settled_since_and_nobody_is_asked_about_stays(repo: Any) -> None:
    """A second return of alice's comes when her first one, with bob's, has settled the kidney."""
    classes = ("liver", "kidney_left")
    repo.export(*[("case_2", n, reader) for n in classes for reader in ("alice", "bob")], readers=2)
    IDS.clear()
    IDS.add((1, repo.manifest("alice").id))
    repo.give_back("alice", target=Path("back"), case_2={"kidney_left": "reject", "liver": "accept"})
    for reader in ("alice", "bob"):
        repo.give_back(reader, case_2={"kidney_left": "accept", "liver": "accept" if reader == "bob" else "reject"})
    repo.gate()
    assert repo.take_in()["case_2", "kidney_left"].reviewer == "alice+bob"
    repo.next_round()
    shutil.rmtree(BUNDLES)
    found = take_over(repo, Path("back"), ("case_2", "liver", "alice"))
    assert found.taken == (("case_2", "liver"),)
    assert [str(left) for left in found.left] == [
        "case case_2, class kidney_left: alice+bob settled it in round 1, and bundle-r02-alice does not ask for it"
    ]


def test_a_case_that_is_not_asked_for_and_a_reviewer_without_a_bundle(repo: Any, late: Path) -> None:
    found = take_over(repo, late, ("case_3", "liver", "alice"))
    assert {left.why for left in found.left} == {"bundle-r02-alice does not ask for this case"}
    assert found.taken == (("case_3", "liver"),)
    shutil.rmtree(BUNDLES)
    with pytest.raises(Misuse, match="alice has no bundle in round 2"):
        take_over(repo, late, ("case_3", "liver", "bob"))


def test_a_label_that_cannot_be_read_leaves_its_case(repo: Any, late: Path) -> None:
    (late / "labels/case_2.nii.gz").write_bytes(b"x")
    found = take_over(repo, late, *WORK)
    assert {str(left).partition(": ")[2] for left in found.left} == {"its label cannot be read"}
    assert found.taken == (("case_3", "liver"),)


def test_a_label_on_other_voxels_is_carried_where_the_curator_says_so_and_the_return_says_it_was(
    repo: Any, late: Path
) -> None:
    path = str(late / "labels/case_2.nii.gz")
    drawn = read_label(path)
    sitk.WriteImage(sitk.Expand(sitk.ReadImage(path), [1, 1, 2], sitk.sitkNearestNeighbor), path)
    found = take_over(repo, late, *WORK)
    assert {str(left).partition(": ")[2] for left in found.left} == {"its label cannot be read"}
    kept = receive(late, BUNDLES, INBOX, 2, went_out=ours, resample=True)
    assert kept.late
    found = carry(kept.folder, BUNDLES, INBOX, 2)
    assert found.received is not None
    assert np.array_equal(read_label(found.received.folder / "labels/case_2.nii.gz"), drawn)
    (one,) = look_into(BUNDLES, INBOX, Path("data/base/revisions"), 2).returned.values()
    assert one.resampled == {"case_2"}
    repo.gate()


def test_it_may_come_as_a_tar_before_bundles_of_the_next_round_are_out(late: Path) -> None:
    packed = Path(shutil.make_archive("packed", "gztar", late))
    assert receive(packed, BUNDLES, INBOX, 2, went_out=ours).late
