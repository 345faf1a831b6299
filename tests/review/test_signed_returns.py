"""Signed returns on their way in: nothing of a signature is lost, whatever comes after it."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_round import GRID, Repo

from voxledger.bundles.context import Context
from voxledger.bundles.inbox import look_into
from voxledger.bundles.returned import Return
from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256, read_label, write
from voxledger.params import ReviewParams
from voxledger.records.bundle import add_resample, read_resample
from voxledger.records.decisions import Row, read_decisions, to_csv
from voxledger.records.manifest import Manifest
from voxledger.records.reviewers import Reviewers, parse_reviewers
from voxledger.records.signature import read_receipt
from voxledger.release.files_check import Findings
from voxledger.release.reviews_check import check_reviews
from voxledger.review.carry import carry
from voxledger.review.receive import Received, receive
from voxledger.review.sign import sign_return
from voxledger.signing import fingerprint

BUNDLES, INBOX, REVISIONS = Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions")
LIST, SIG, RECEIPT = "return.sha256", "return.sha256.sig", "receipt.json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "second"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def reviewers(keys: Path) -> Reviewers:
    lines = "".join(f"      - key: {(keys / f'{name}.pub').read_text()}" for name in ("alice", "second"))
    return parse_reviewers(f"reviewers:\n  alice:\n    keys:\n{lines}", "reviewers.yaml")


@pytest.fixture
def sent(repo: Repo, reviewers: Reviewers) -> Repo:
    repo.export(("case_1", "pancreas", "alice"), ("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    repo.context = Context(reviewers=reviewers)
    return repo


def said(sent: Repo, name: str, *decided: tuple[str, str, str], corner: dict[str, int] | None = None) -> Path:
    """A return that decides on some lines alone; of the cases in `corner`, liver lost so many voxels."""
    folder = Path(name)
    labels = {}
    for case, count in (corner or {}).items():
        labels[case] = sent.shown("alice", case).copy()
        labels[case].ravel()[np.flatnonzero(labels[case].ravel() == 1)[:count]] = 0
    sent.give_back("alice", labels, target=folder)
    blank = {key: Row(*key) for key in read_decisions(folder / "decisions.csv").rows}
    rows = {(case, n): sent.row(case, n, decision) for case, n, decision in decided}
    (folder / "decisions.csv").write_text(to_csv({**blank, **rows}.values()))
    return folder


ALL = (("case_1", "pancreas", "accept"), ("case_1", "liver", "accept"), ("case_2", "liver", "revise"))


def whole(sent: Repo, name: str = "back") -> Path:
    return said(sent, name, *ALL, corner={"case_2": 3})


def take(folder: Path, **options: Any) -> Received:
    return receive(folder, BUNDLES, INBOX, 1, **options)


def judged(sent: Repo, required: bool = False) -> Return:
    context = Context(ReviewParams(require_signature=required), reviewers=sent.context.reviewers)
    found = look_into(BUNDLES, INBOX, REVISIONS, 1, context)
    assert not found.problems
    (one,) = found.returned.values()
    return one


def texts(findings: Any) -> list[str]:
    return [str(finding) for finding in findings]


def print_of(keys: Path, name: str) -> str:
    return fingerprint((keys / f"{name}.pub").read_text().split()[1])


def test_when_it_came_is_noted_and_never_taken_from_outside(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    assert sign_return(folder, keys / "alice") == 4
    (folder / RECEIPT).write_text('{"format": 1, "at": "2001-01-01T00:00:00Z"}')
    (folder / "signed-parts/01").mkdir(parents=True)
    (folder / "signed-parts/01/return.sha256.sig").write_text("forged")
    (folder / "Signed-Parts").mkdir()
    (folder / "Signed-Parts/mine.nii.gz").write_text("mine")
    before = datetime.now(UTC) - timedelta(seconds=1)
    got = take(folder)
    assert got.left_out == ("Signed-Parts/mine.nii.gz", "receipt.json", "signed-parts/01/return.sha256.sig")
    assert before <= read_receipt(got.folder / RECEIPT) <= datetime.now(UTC)
    assert not (got.folder / "signed-parts").exists()
    one = judged(sent, required=True)
    assert (texts(one.problems), texts(one.missing)) == ([], [])
    assert [s.key for s in one.signatures] == [print_of(keys, "alice")]
    assert not take(folder).new


def test_nothing_is_noted_of_what_is_not_signed(sent: Repo) -> None:
    assert not (take(whole(sent)).folder / RECEIPT).exists()


def test_a_signature_that_comes_later_counts_for_what_was_received(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    first = take(folder)
    add_resample(first.folder, ["case_2"], [])
    sha256 = take(folder).sha256
    sign_return(folder, keys / "alice")
    second = take(folder)
    assert (second.new, second.sha256) == (True, sha256)
    assert second.replaced is not None
    assert not (second.replaced / SIG).exists()
    assert read_resample(second.folder).cases == ("case_2",)
    assert judged(sent, required=True).signatures
    assert not take(folder).new


def test_the_same_without_its_signature_takes_nothing_away(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    take(folder)
    for name in (LIST, SIG):
        (folder / name).unlink()
    assert not take(folder).new
    assert judged(sent).signatures
    replaced = take(folder, replace=True).replaced
    assert replaced is not None
    assert (replaced / SIG).is_file()
    assert not judged(sent).signatures


def test_a_new_signature_counts_and_the_older_is_kept(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    older = (folder / SIG).read_bytes()
    take(folder)
    sign_return(folder, keys / "second")
    got = take(folder)
    assert got.replaced is not None
    assert (got.replaced / SIG).read_bytes() == older
    assert [s.key for s in judged(sent).signatures] == [print_of(keys, "second")]


FIRST, REST = ALL[:2], ALL[2:]


def parts(sent: Repo, keys: Path, first: str | None, rest: str | None) -> None:
    """Two returns, one after the other, each signed with a key or not at all."""
    one, two = said(sent, "one", *FIRST), said(sent, "two", *REST, corner={"case_2": 3})
    for folder, key in ((one, first), (two, rest)):
        if key is not None:
            sign_return(folder, keys / key)
        take(folder)


def test_of_two_signed_returns_both_stand_behind_what_they_say_together(sent: Repo, keys: Path) -> None:
    parts(sent, keys, "alice", "second")
    one = judged(sent, required=True)
    assert (texts(one.problems), texts(one.missing), texts(one.notes)) == ([], [], [])
    assert [s.key for s in one.signatures] == [print_of(keys, "alice"), print_of(keys, "second")]
    sent.gate()
    (received,) = json.loads(Path("data/round/received.json").read_text())["bundles"]
    assert received["signatures"] == list(map(str, one.signatures))
    ledger = sent.take_in()
    assert {e.signatures for e in ledger.values() if e.bundle} == {one.signatures}
    kept = Path("data/release/revisions") / one.sha256
    found = {p.relative_to(kept).as_posix() for p in kept.rglob("signed-parts/**/*") if p.is_file()}
    names = ("bundle.json", "decisions.csv", RECEIPT, LIST, SIG)
    assert found == {"signed-parts/0002/labels/case_2.nii.gz"} | {
        f"signed-parts/000{n}/{name}" for n in (1, 2) for name in names
    }


def test_an_auditor_finds_what_was_done_to_either(sent: Repo, keys: Path) -> None:
    parts(sent, keys, "alice", "second")
    sent.gate()
    ledger = sent.take_in()
    (kept,) = Path("data/release/revisions").iterdir()
    lines = [f"alice {(keys / f'{name}.pub').read_text()}" for name in ("alice", "second")]
    Path("both").write_text("".join(lines))
    Path("one").rename("first")
    Path("one").write_text(lines[0])

    def check(trusted: str) -> list[str]:
        files = {p.as_posix(): file_sha256(p) for p in Path("data/release").rglob("*") if p.is_file()}
        return check_reviews(Findings(), Manifest("atlas", 1, "v1.0.0", files), ledger, True, Path(trusted)).problems

    assert check("both") == []
    (unknown,) = check("one")
    assert unknown.startswith(
        f"{kept}/signed-parts/0002/{SIG}: is by the key {print_of(keys, 'second')}, which is nobody"
    )
    label = kept / "signed-parts/0002/labels/case_2.nii.gz"
    label.write_bytes(label.read_bytes() + b"\0")
    assert any(f"{label}: was changed after signing" in problem for problem in check("both"))
    shutil.rmtree(kept / "signed-parts/0001")
    said = check("both")
    assert any("decides on case case_1, class liver as none of the signed returns does" in problem for problem in said)
    assert any("says that it was signed with" in problem for problem in said)


@pytest.mark.parametrize(("first", "rest"), [("alice", None), (None, "alice")])
def test_of_which_one_is_not_signed_none_counts(sent: Repo, keys: Path, first: str | None, rest: str | None) -> None:
    parts(sent, keys, first, rest)
    one = judged(sent)
    assert (texts(one.problems), texts(one.missing), one.signatures) == ([], [], ())
    assert "returns that are not all signed, so it counts as not signed" in texts(one.notes)[0]
    (missing,) = texts(judged(sent, required=True).missing)
    assert "was put together of returns that are not all signed, and review.require_signature asks for it" in missing
    unsigned = Path("two" if first else "one")
    sign_return(unsigned, keys / "second")
    assert take(unsigned).new
    one = judged(sent, required=True)
    assert (texts(one.problems), texts(one.missing)) == ([], [])
    assert {s.key for s in one.signatures} == {print_of(keys, "alice"), print_of(keys, "second")}
    assert not take(unsigned).new


def test_a_folder_of_the_name_of_signed_parts_is_said_to_be_nobodys(sent: Repo, keys: Path) -> None:
    """Copied into the inbox by hand, past `review receive`."""
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    (folder / "signed-parts/mine").mkdir(parents=True)
    (folder / "signed-parts/mine/return.sha256.sig").write_text("forged")
    shutil.move(folder, INBOX / "bundle-r01-alice")
    said = [one for one in texts(judged(sent).problems) if "signed-parts/mine: is no signed return that" in one]
    assert len(said) == 1
    assert "→ move it out of the return, or give it another name" in said[0]


def test_what_neither_signed_has_no_parts(sent: Repo, keys: Path) -> None:
    parts(sent, keys, None, None)
    assert not (INBOX / "bundle-r01-alice/signed-parts").exists()
    sent.gate()
    assert "kept" not in Path("data/round/received.json").read_text()


def test_a_whole_return_that_is_signed_needs_no_parts(sent: Repo, keys: Path) -> None:
    parts(sent, keys, "alice", None)
    folder = whole(sent)
    sign_return(folder, keys / "second")
    got = take(folder)
    assert not (got.folder / "signed-parts").exists()
    assert [s.key for s in judged(sent, required=True).signatures] == [print_of(keys, "second")]


def test_a_label_that_two_drew_in_is_said(sent: Repo, keys: Path) -> None:
    one = said(sent, "one", ("case_1", "liver", "revise"), corner={"case_1": 3})
    two = said(sent, "two", ("case_1", "pancreas", "revise"), *REST, corner={"case_2": 3})
    labels = sent.shown("alice", "case_1").copy()
    labels.ravel()[np.flatnonzero(labels.ravel() == 2)[:3]] = 0
    write(two / "labels/case_1.nii.gz", labels, GRID)
    for folder in (one, two):
        sign_return(folder, keys / "alice")
        take(folder)
    found = judged(sent, required=True)
    assert (texts(found.problems), texts(found.missing)) == ([], [])
    assert "case case_1: its label was put together of what two returns drew in it" in texts(found.notes)[0]
    assert found.signatures


ALTERED = {
    "a decision of what was put together": (
        "decisions.csv",
        lambda b: b.replace(b"accept", b"reject", 1),
        "decides on case case_1, class liver as none of the signed returns does",
    ),
    "a label of what was put together": (
        "labels/case_2.nii.gz",
        lambda b: b + b"\0",
        "labels/case_2.nii.gz: is in none of the signed returns that this one was put together of",
    ),
    "a decision of a part": (
        "signed-parts/0001/decisions.csv",
        lambda b: b.replace(b"accept", b"reject", 1),
        "signed-parts/0001/decisions.csv: was changed after signing",
    ),
    "the signature of a part": (
        "signed-parts/0002/return.sha256.sig",
        lambda b: b[:100],
        "signed-parts/0002/return.sha256.sig: is no signature that `ssh-keygen -Y sign` makes",
    ),
    "the bundle of a part": (
        "signed-parts/0002/bundle.json",
        lambda b: b.replace(b'"round": 1', b'"round": 2'),
        "signed-parts/0002/bundle.json: is not that of the bundle that was sent",
    ),
}


@pytest.mark.parametrize("name", ALTERED)
def test_nobody_puts_words_into_the_mouth_of_who_signed(sent: Repo, keys: Path, name: str) -> None:
    parts(sent, keys, "alice", "alice")
    path, change, problem = ALTERED[name]
    file = INBOX / "bundle-r01-alice" / path
    content = change(file.read_bytes())
    assert content != file.read_bytes()
    file.write_bytes(content)
    one = judged(sent)
    assert any(problem in text for text in texts(one.problems)), texts(one.problems)
    assert one.signatures == ()


def test_what_changed_between_gate_and_import_is_refused(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    got = take(folder)
    sent.gate()
    for name in (LIST, SIG, RECEIPT):
        (got.folder / name).unlink()
    with pytest.raises(VoxledgerError, match="has changed since the gate let it through"):
        sent.take_in()


def test_a_late_return_keeps_its_signature(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    first = receive(folder, BUNDLES, INBOX, 2, went_out=lambda _n, _b: True)
    sign_return(folder, keys / "alice")
    second = receive(folder, BUNDLES, INBOX, 2, went_out=lambda _n, _b: True)
    assert (first.late, second.late, second.new) == (True, True, True)
    assert first.folder != second.folder
    assert not (first.folder / SIG).exists()
    assert (second.folder / SIG).is_file()
    assert (second.folder / RECEIPT).is_file()
    again = receive(folder, BUNDLES, INBOX, 2, went_out=lambda _n, _b: True)
    assert (again.folder, again.new) == (second.folder, False)


def test_what_was_copied_into_the_inbox_is_noted_when_it_is_received(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    shutil.copytree(folder, INBOX / "bundle-r01-alice")
    assert "came past `voxledger review receive`" in texts(judged(sent).problems)[0]
    assert not take(INBOX / "bundle-r01-alice").new
    assert judged(sent, required=True).signatures


def test_signing_again_replaces_what_was_signed_before(sent: Repo, keys: Path) -> None:
    """`ssh-keygen` alone keeps a signature that is there, asks, and ends with 0."""
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    old = (folder / SIG).read_bytes()
    (folder / "decisions.csv").write_text((folder / "decisions.csv").read_text().replace("2.5", "3.5"))
    sign_return(folder, keys / "alice")
    assert (folder / SIG).read_bytes() != old
    take(folder)
    assert judged(sent, required=True).signatures
    assert sorted(p.name for p in folder.glob(".*")) == []


def test_what_cannot_be_signed_is_said_and_what_was_there_stays(sent: Repo, keys: Path) -> None:
    folder = whole(sent)
    sign_return(folder, keys / "alice")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    shutil.copyfile(keys / "alice.pub", "alice.pub")
    with pytest.raises(VoxledgerError, match=r"could not be signed with alice\.pub"):
        sign_return(folder, Path("alice.pub"))
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    with pytest.raises(Misuse, match=r"holds no bundle\.json"):
        sign_return(folder / "labels", keys / "alice")


def test_what_is_not_signed_does_not_take_the_place_of_what_is(sent: Repo, keys: Path) -> None:
    """Anybody who reaches the share could have made it."""
    signed = said(sent, "signed", *ALL, corner={"case_2": 4})
    sign_return(signed, keys / "alice")
    target = take(signed).folder
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}
    forged = said(sent, "forged", ("case_1", "liver", "reject"))
    with pytest.raises(BundleRefused, match="that alice signed is here, and this one is not signed"):
        take(forged)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before
    replaced = take(forged, replace=True).replaced
    assert replaced is not None
    assert (replaced / SIG).is_file()


def test_the_rest_may_come_without_a_signature(sent: Repo, keys: Path) -> None:
    part = said(sent, "part", ("case_1", "liver", "accept"))
    sign_return(part, keys / "alice")
    take(part)
    assert take(said(sent, "rest", ("case_1", "pancreas", "accept"))).part is not None


def late(sent: Repo, key: Path | None) -> Path:
    """A return of round 1, signed, that came when round 2 was out; what round 1 asked is asked again."""
    folder = whole(sent, "late")
    if key is not None:
        sign_return(folder, key)
    bundle = sent.manifest("alice").id
    shutil.rmtree(BUNDLES)
    sent.version = 2
    sent.export(("case_1", "pancreas", "alice"), ("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    got = receive(folder, BUNDLES, INBOX, 2, went_out=lambda number, out: (number, out) == (1, bundle))
    assert got.late
    return got.folder


def judged_again(sent: Repo, required: bool = True) -> Return:
    context = Context(ReviewParams(require_signature=required), reviewers=sent.context.reviewers)
    (one,) = look_into(BUNDLES, INBOX, REVISIONS, 2, context).returned.values()
    return one


def test_what_is_carried_over_keeps_the_signature_of_its_return(sent: Repo, keys: Path) -> None:
    kept = late(sent, keys / "alice")
    received = read_receipt(kept / RECEIPT)
    found = carry(kept, BUNDLES, INBOX, 2)
    assert len(found.taken) == 3
    folder = INBOX / "bundle-r02-alice"
    assert (folder / "signed-parts/0001" / SIG).read_bytes() == (kept / SIG).read_bytes()
    one = judged_again(sent)
    assert (texts(one.problems), texts(one.missing)) == ([], [])
    assert list(map(str, one.signatures)) == [f"{print_of(keys, 'alice')}@{received.isoformat(timespec='seconds')}"]
    assert any("its label is what was signed in round 1 (kept as it was)" in text for text in texts(one.notes))
    sent.gate()
    ledger = sent.take_in()
    assert ledger["case_2", "liver"].signatures == one.signatures
    kept_files = {p.relative_to("data/release/revisions").as_posix() for p in Path("data/release").rglob("*.sig")}
    assert kept_files == {f"{one.sha256}/signed-parts/0001/{SIG}"}

    def check() -> list[str]:
        files = {p.as_posix(): file_sha256(p) for p in Path("data/release").rglob("*") if p.is_file()}
        trusted = Path("trusted")
        trusted.write_text(f"alice {(keys / 'alice.pub').read_text()}")
        return check_reviews(Findings(), Manifest("atlas", 2, "v2.0.0", files), ledger, True, trusted).problems

    assert check() == []
    label = Path(f"data/release/revisions/{one.sha256}/labels/case_2.nii.gz")
    labels = read_label(label)
    labels[0, 0, 0] = 1
    write(label, labels, GRID)
    assert f"{label}: class liver is not what was drawn in signed-parts/0001" in check()


@pytest.mark.parametrize("what", ["decision", "label", "original", "added"])
def test_what_is_carried_over_has_to_be_what_was_signed(sent: Repo, keys: Path, what: str) -> None:
    carry(late(sent, keys / "alice"), BUNDLES, INBOX, 2)
    folder = INBOX / "bundle-r02-alice"
    table, label = folder / "decisions.csv", folder / "labels/case_2.nii.gz"
    if what == "decision":
        table.write_text(table.read_text().replace("case_1,liver,accept", "case_1,liver,reject"))
        said = "decides on case case_1, class liver as none of the signed returns does"
    elif what == "label":
        labels = read_label(label)
        labels[0, 0, 0] = 1
        write(label, labels, GRID)
        said = "labels/case_2.nii.gz: is not what was drawn in signed-parts/0001, laid over what is proposed"
    elif what == "original":
        old = folder / "signed-parts/0001/decisions.csv"
        old.write_text(old.read_text().replace("accept", "reject"))
        said = "signed-parts/0001/decisions.csv: was changed after signing"
    else:
        write(folder / "labels/case_1.nii.gz", np.where(read_label(label) == 2, 0, read_label(label)), GRID)
        said = "labels/case_1.nii.gz: is in none of the signed returns"
    assert any(said in text for text in texts(judged_again(sent).problems))


def test_what_does_not_fit_any_more_is_left_and_the_rest_is_signed(sent: Repo, keys: Path) -> None:
    kept = late(sent, keys / "alice")
    labels = read_label("data/round/pseudo/case_1.nii.gz")
    labels[7, 9, 13] = 2
    write("data/round/pseudo/case_1.nii.gz", labels, GRID)
    shutil.rmtree(BUNDLES)
    sent.export(("case_1", "pancreas", "alice"), ("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    found = carry(kept, BUNDLES, INBOX, 2)
    assert [one.class_name for one in found.left] == ["pancreas"]
    one = judged_again(sent)
    assert texts(one.problems) == []
    assert [s.key for s in one.signatures] == [print_of(keys, "alice")]
    more = Path("more")
    shutil.copytree(sent.bundle("alice"), more)
    rows = {key: Row(*key) for key in read_decisions(more / "decisions.csv").rows}
    rows["case_1", "pancreas"] = sent.row("case_1", "pancreas", "accept")
    (more / "decisions.csv").write_text(to_csv(rows.values()))
    sign_return(more, keys / "second")
    receive(more, BUNDLES, INBOX, 2)
    one = judged_again(sent)
    assert (texts(one.problems), texts(one.missing)) == ([], [])
    assert {s.key for s in one.signatures} == {print_of(keys, "alice"), print_of(keys, "second")}


def test_what_nobody_signed_is_carried_over_without_parts(sent: Repo) -> None:
    carry(late(sent, None), BUNDLES, INBOX, 2)
    assert not (INBOX / "bundle-r02-alice/signed-parts").exists()
    assert len(judged_again(sent).missing) == 1
