"""A round in which two or three people read a case: what they agree on, and what becomes of the rest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from scipy import ndimage
from small_round import GRID, SCHEMA, anatomy

from voxledger.errors import BundleRefused, Misuse, VoxledgerError, Waiting
from voxledger.imaging.volume import mask_sha256, read_grid, read_label
from voxledger.params import ReviewParams
from voxledger.records.ledger import Origin, read_ledger
from voxledger.records.page_notes import read_page_notes
from voxledger.records.readings import Outcome, joint_bundle, read_readings
from voxledger.records.sent import write_sent
from voxledger.review.carry import carry
from voxledger.review.receive import receive

CLASSES = ("pancreas", "lesion")
READINGS = Path("data/release/readings.csv")
BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")


def work(*readers: str, case: str = "case_1") -> list[tuple[str, str, str]]:
    return [(case, name, reader) for reader in readers for name in CLASSES]


def drawn(shown: np.ndarray, change: str) -> np.ndarray:
    """What a reader made of the proposal: the pancreas a row wider or narrower, or moved away."""
    labels = shown.copy()
    y = np.where(shown == 2)[1]
    if change == "wider":
        labels[2:8, y.max() + 1, 4:14] = 2
    elif change == "narrower":
        labels[2:8, y.max(), 4:14] = 0
    elif change == "one voxel":
        labels[2, y.max() + 1, 4] = 2
    elif change == "half":
        labels[(shown == 2) & (np.arange(GRID.shape[2]) > 8)] = 0
    elif change in (places := {"low": 4, "middle": 8, "high": 12}):
        x = np.arange(GRID.shape[2])
        labels[(shown == 2) & ((x < places[change] - 2) | (x >= places[change] + 2))] = 0
    return labels


@pytest.fixture
def two(repo: Any) -> Any:
    repo.export(*work("alice", "bob"), readers=2)
    return repo


def settle(repo: Any, consensus: str = "majority", agreement: float = 0.9, adjudicator: str = "") -> None:
    review = ReviewParams(consensus=consensus, agreement=agreement, adjudicator=adjudicator)
    repo.context = replace(repo.context, review=review)


def give(repo: Any, reader: str, change: str = "", decision: str = "", confirmed: bool = True, **more: str) -> None:
    """A return: the pancreas changed and revised, or decided on as it was."""
    said = decision or ("revise" if change else "accept")
    row = replace(repo.row("case_1", "pancreas", said), confirmed=confirmed)
    shutil.rmtree(INBOX / f"bundle-r01-{reader}", ignore_errors=True)
    labels = {"case_1": drawn(repo.shown(reader, "case_1"), change)} if change else None
    repo.give_back(reader, labels, case_1={"pancreas": row, **more})


def take_in(repo: Any) -> Any:
    repo.gate()
    return repo.take_in()


def test_bundles_say_nothing_of_the_other_reader(two: Any) -> None:
    """Blinded: every byte of the files, and every name, is free of the other's name."""
    for one, other in (("alice", "bob"), ("bob", "alice")):
        files = [p for p in two.bundle(one).rglob("*") if p.is_file()]
        assert len(files) > 8
        for path in files:
            assert other not in path.relative_to(two.bundle(one)).as_posix()
            assert other.encode() not in path.read_bytes(), path
    asked = [{(a.case_id, a.class_name) for a in two.manifest(name).asked} for name in ("alice", "bob")]
    assert asked[0] == asked[1] == {("case_1", "pancreas"), ("case_1", "lesion")}


def test_more_readers_than_allowed_are_a_slip(repo: Any) -> None:
    with pytest.raises(Misuse, match=r"given to two reviewers\n.*export.readers"):
        repo.export(*work("alice", "bob"))


CASES: list[tuple[str, dict[str, tuple[str, str]], str, Origin, Outcome]] = [
    ("both accept", {"alice": ("", "accept"), "bob": ("", "accept")}, "", Origin.ACCEPTED, Outcome.MERGED),
    ("both reject", {"alice": ("", "reject"), "bob": ("", "reject")}, "none", Origin.REJECTED, Outcome.MERGED),
    ("accept, reject: a tie", {"alice": ("", "accept"), "bob": ("", "reject")}, "", Origin.PREDICTED, Outcome.PENDING),
    ("both the same", {"alice": ("wider", ""), "bob": ("wider", "")}, "wider", Origin.REVISED, Outcome.MERGED),
    ("accept, and a row: drawn wins", {"alice": ("", "accept"), "bob": ("wider", "")}, "wider", Origin.REVISED,
     Outcome.MERGED),
    ("wider, narrower: too far apart", {"alice": ("wider", ""), "bob": ("narrower", "")}, "", Origin.PREDICTED,
     Outcome.PENDING),
    ("revise, reject: a tie", {"alice": ("wider", ""), "bob": ("", "reject")}, "", Origin.PREDICTED, Outcome.PENDING),
    ("two of three accept", {"alice": ("", "accept"), "bob": ("", "accept"), "carol": ("half", "")}, "",
     Origin.ACCEPTED, Outcome.MERGED),
    ("two of three reject", {"alice": ("", "reject"), "bob": ("", "reject"), "carol": ("wider", "")}, "none",
     Origin.REJECTED, Outcome.MERGED),
    ("three ways to draw", {"alice": ("wider", ""), "bob": ("narrower", ""), "carol": ("one voxel", "")}, "one voxel",
     Origin.REVISED, Outcome.MERGED),
    ("three places: little in common", {"alice": ("low", ""), "bob": ("middle", ""), "carol": ("high", "")}, "",
     Origin.PREDICTED, Outcome.PENDING),
]  # fmt: skip


@pytest.mark.parametrize(("said", "became", "origin", "outcome"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_majority(repo: Any, said: dict[str, tuple[str, str]], became: str, origin: Origin, outcome: Outcome) -> None:
    repo.export(*work(*said), readers=len(said))
    shown = repo.shown("alice", "case_1")
    for reader, (change, decision) in said.items():
        give(repo, reader, change, decision)
    settle(repo, agreement=0.85 if became in ("wider", "one voxel") else 0.9)
    ledger = take_in(repo)
    entry = ledger["case_1", "pancreas"]
    assert entry.origin is origin
    wanted = shown if became == "none" else drawn(shown, became)
    if became == "none":
        assert not (repo.released("case_1") == 2).any()
    else:
        mask = SCHEMA.mask(repo.released("case_1"), "pancreas")
        assert np.array_equal(mask, SCHEMA.mask(wanted, "pancreas"))
    rows = [r for r in read_readings(READINGS) if r.class_name == "pancreas"]
    assert [(r.reader, r.outcome, r.consensus) for r in rows] == [(name, outcome, "majority") for name in sorted(said)]
    if outcome is Outcome.PENDING:
        assert (entry.reviewer, entry.bundle) == ("", "")
        assert not any(r["class_name"] == "pancreas" for r in repo.table("data/round/decisions.csv"))
    else:
        assert entry.reviewer == "+".join(sorted(said))
        assert entry.bundle == joint_bundle(r.bundle for r in rows)
    for row in rows:
        change, decision = said[row.reader]
        assert row.decision.value == (decision or "revise")
        own = SCHEMA.mask(drawn(shown, change), "pancreas")
        hashed = mask_sha256(own, read_grid("data/images/case_1.nii.gz"))
        assert row.mask_sha256 == ("" if decision == "reject" else hashed)
        assert (Path("data/release/revisions") / row.bundle / "decisions.csv").is_file()


def test_a_case_of_one_reader_beside_one_of_two(repo: Any) -> None:
    """Only what several people read is settled together; the rest is merged as ever, and is a reading, too."""
    repo.export(*work("alice", "bob"), ("case_2", "liver", "bob"), readers=2)
    give(repo, "alice", "wider")
    give(repo, "bob", "wider")
    ledger = take_in(repo)
    assert ledger["case_1", "pancreas"].reviewer == "alice+bob"
    assert ledger["case_2", "liver"].reviewer == "bob"
    rows = {(r.case_id, r.class_name, r.reader): (r.outcome, r.consensus) for r in read_readings(READINGS)}
    assert rows["case_2", "liver", "bob"] == (Outcome.COUNTED, "")
    assert rows["case_1", "lesion", "bob"] == (Outcome.MERGED, "majority")


def test_readings_of_all_rounds_are_kept(two: Any) -> None:
    give(two, "alice")
    give(two, "bob", decision="reject")
    take_in(two)
    first = READINGS.read_text()
    two.next_round()
    Path("data/base/readings.csv").write_text(first)
    two.export(("case_2", "liver", "carol"))
    two.give_back("carol")
    take_in(two)
    kept = READINGS.read_text()
    assert kept.startswith(first)
    assert [(r.version, r.reader) for r in read_readings(READINGS)][-1] == (2, "carol")


def test_what_is_pending_is_asked_again(two: Any) -> None:
    """The class has no decision, so that the next round may ask for it; the decision of one of them is not kept."""
    give(two, "alice")
    give(two, "bob", decision="reject")
    ledger = take_in(two)
    assert ledger["case_1", "pancreas"].origin is Origin.PREDICTED
    assert ledger["case_1", "lesion"].origin is Origin.ACCEPTED


def test_a_trusted_class_that_readers_do_not_agree_on_stays_as_it_was(repo: Any) -> None:
    """The liver came with the data; two readers want it otherwise, each in another way."""
    work = [("case_1", name, reader) for name in ("liver", "pancreas") for reader in ("alice", "bob")]
    repo.export(*work, readers=2)
    shown = repo.shown("alice", "case_1")
    for reader, cut in (("alice", slice(1, 4)), ("bob", slice(4, 7))):
        labels = shown.copy()
        labels[cut][labels[cut] == 1] = 0
        repo.give_back(reader, {"case_1": labels}, case_1={"liver": replace(repo.row("case_1", "liver", "revise"),
                                                                           confirmed=True)})  # fmt: skip
    ledger, before = take_in(repo), read_ledger("data/base/ledger.csv")
    assert ledger["case_1", "liver"] == before["case_1", "liver"]
    assert np.array_equal(repo.released("case_1") == 1, shown == 1)


def adjudicated(repo: Any) -> Path:
    """Two readers disagree on the pancreas; gives the bundle of the adjudicator."""
    settle(repo, "adjudicate", 0.9, "zoe")
    give(repo, "alice", "wider")
    give(repo, "bob", "narrower", lesion="accept")
    repo.adjudicate()
    return repo.bundle("zoe")


def test_the_bundle_of_the_adjudicator(two: Any) -> None:
    bundle = adjudicated(two)
    manifest, shown = two.manifest("zoe"), two.shown("alice", "case_1")
    assert [(a.case_id, a.class_name) for a in manifest.asked] == [("case_1", "pancreas")]
    assert np.array_equal(two.shown("zoe", "case_1"), shown)
    for reader, change in (("alice", "wider"), ("bob", "narrower")):
        kept = read_label(bundle / f"readings/{reader}/case_1.nii.gz")
        assert np.array_equal(SCHEMA.mask(kept, "pancreas"), SCHEMA.mask(drawn(shown, change), "pancreas"))
    rows = two.table(str(bundle / "readings.csv"))
    assert [(r["reader"], r["decision"]) for r in rows] == [("alice", "revise"), ("bob", "revise")]
    assert rows[0]["why"].startswith("Dice of two readers is 0.")
    notes = read_page_notes(bundle)
    assert notes == {"case_1": read_page_notes(two.bundle("alice"))["case_1"]}
    assert notes["case_1"].known == set(SCHEMA.names)
    text = (bundle / "README.md").read_text()
    assert "for zoe" in text
    assert "copy that\nreader's label from `readings/`" in text
    assert set(manifest.files) == {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()} - {
        "bundle.json"
    }
    before = {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    two.adjudicate()
    assert {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("choice", "decision", "origin"),
    [("bob", "revise", Origin.REVISED), ("", "accept", Origin.ACCEPTED), ("", "reject", Origin.REJECTED)],
)
def test_what_the_adjudicator_decides_counts(two: Any, choice: str, decision: str, origin: Origin) -> None:
    bundle = adjudicated(two)
    with pytest.raises(Waiting, match="bundle-r01-zoe: has not come back"):
        two.gate()
    labels = {"case_1": read_label(bundle / f"readings/{choice}/case_1.nii.gz")} if choice else None
    row = replace(two.row("case_1", "pancreas", decision), confirmed=True)
    two.give_back("zoe", labels, case_1={"pancreas": row})
    ledger = take_in(two)
    entry = ledger["case_1", "pancreas"]
    assert (entry.origin, entry.reviewer) == (origin, "zoe")
    assert ledger["case_1", "lesion"].reviewer == "alice+bob"
    shown = two.shown("alice", "case_1")
    if origin is not Origin.REJECTED:
        wanted = drawn(shown, "narrower") if choice else shown
        assert np.array_equal(SCHEMA.mask(two.released("case_1"), "pancreas"), SCHEMA.mask(wanted, "pancreas"))
    found = {r.reader: r.outcome for r in read_readings(READINGS) if r.class_name == "pancreas"}
    assert found == {"alice": Outcome.OVERRULED, "bob": Outcome.OVERRULED, "zoe": Outcome.COUNTED}
    kept = {r.bundle for r in read_readings(READINGS)}
    assert kept == {p.name for p in Path("data/release/revisions").iterdir()}


@pytest.mark.parametrize("kidney", ["accept", "revise"])
def test_the_adjudicator_takes_nothing_unasked_from_what_readers_agree_on(repo: Any, kidney: str) -> None:
    """Asked about the pancreas alone, she paints it over a kidney on which the readers agree."""
    readers = {"alice": "wider", "bob": "narrower"}
    repo.export(*[("case_1", n, r) for r in readers for n in (*CLASSES, "kidney_right")], readers=2)
    settle(repo, "adjudicate", 0.9, "zoe")
    shown = repo.shown("alice", "case_1")
    own = shown == SCHEMA["kidney_right"].id
    for reader, change in readers.items():
        labels = drawn(shown, change)
        if kidney == "revise":
            labels[tuple(np.argwhere(own)[0])] = 0
        rows = {n: replace(repo.row("case_1", n, d), confirmed=True) for n, d in
                (("pancreas", "revise"), ("kidney_right", kidney))}  # fmt: skip
        repo.give_back(reader, {"case_1": labels}, case_1=rows)
    repo.adjudicate()
    assert [a.class_name for a in repo.manifest("zoe").asked] == ["pancreas"]
    part, whole = (np.where(own & (np.arange(GRID.shape[0]) > z)[:, None, None], 2, shown) for z in (6, 0))
    row = replace(repo.row("case_1", "pancreas", "revise", "wrong_class"), confirmed=True)
    yes = replace(repo.row("case_1", "kidney_right", ""), confirmed=True)
    for labels, more, error, said in (
        (whole, {}, BundleRefused, r"kidney_right.* voxels are gone.*\[swallowed\]"),
        (whole, {"kidney_right": yes}, BundleRefused, r"kidney_right.* voxels are gone.*\[swallowed\]"),
        (part, {}, Waiting, r"kidney_right.* voxels are gone.*\[taken\]"),
    ):
        folder = repo.give_back("zoe", {"case_1": labels}, case_1={"pancreas": row, **more})
        with pytest.raises(error, match=said):
            repo.gate()
        shutil.rmtree(folder)
    repo.give_back("zoe", {"case_1": part}, case_1={"pancreas": row, "kidney_right": yes})
    assert take_in(repo)["case_1", "pancreas"].reviewer == "zoe"


@pytest.mark.parametrize("answer", ["confirmed", "revise"])
def test_voxels_that_readers_added_change_hands_by_a_decision_on_both_classes_alone(repo: Any, answer: str) -> None:
    """The readers' kidney grew into what was proposed as background; her pancreas, the only class she sees, too."""
    readers = {"alice": "wider", "bob": "narrower"}
    repo.export(*[("case_1", n, r) for r in readers for n in (*CLASSES, "kidney_right")], readers=2)
    settle(repo, "adjudicate", 0.9, "zoe")
    shown, kidney = repo.shown("alice", "case_1"), SCHEMA["kidney_right"].id
    added = (ndimage.binary_dilation(shown == kidney, iterations=1)) & (shown == 0)
    for reader, change in readers.items():
        labels = np.where(added, kidney, drawn(shown, change))
        rows = {n: replace(repo.row("case_1", n, "revise"), confirmed=True) for n in ("pancreas", "kidney_right")}
        repo.give_back(reader, {"case_1": labels}, case_1=rows)
    repo.adjudicate()
    assert [a.class_name for a in repo.manifest("zoe").asked] == ["pancreas"]
    over = added & (np.arange(GRID.shape[0]) > 5)[:, None, None]
    hers = np.where(over, 2, shown)
    row = replace(repo.row("case_1", "pancreas", "revise"), confirmed=True)
    folder = repo.give_back("zoe", {"case_1": hers}, case_1={"pancreas": row})
    told = rf"kidney_right.*but {over.sum()} of its \d+ voxels are gone: {over.sum()} to pancreas; that is of what its"
    with pytest.raises(Waiting, match=told):
        repo.gate()
    shutil.rmtree(folder)
    more = replace(repo.row("case_1", "kidney_right", "" if answer == "confirmed" else answer), confirmed=True)
    if answer == "revise":
        hers = np.where(added & ~over, kidney, hers)
    repo.give_back("zoe", {"case_1": hers}, case_1={"pancreas": row, "kidney_right": more})
    ledger = take_in(repo)
    assert np.array_equal(repo.released("case_1") == kidney, (shown == kidney) | (added & ~over))
    entry, gave = ledger["case_1", "kidney_right"], repo.table("data/round/merge.csv")
    if answer == "revise":
        assert (entry.reviewer, gave) == ("zoe", [])
    else:
        assert entry.reviewer == "alice+bob"
        assert [(n.class_name, n.reviewer) for n in entry.changed_by] == [("pancreas", "zoe")]
        assert gave == [{"case_id": "case_1", "class_name": "kidney_right", "origin": "revised",
                         "voxels": str(over.sum()), "taken_by": "pancreas"}]  # fmt: skip


def test_where_readers_agree_nobody_adjudicates(two: Any) -> None:
    settle(two, "adjudicate", 0.9, "zoe")
    for reader in ("alice", "bob"):
        give(two, reader, "wider")
    two.adjudicate()
    assert list(Path("data/round/adjudication").iterdir()) == []
    assert take_in(two)["case_1", "pancreas"].reviewer == "alice+bob"


def test_the_bundle_of_the_adjudicator_is_not_made_anew(two: Any) -> None:
    """A reader sends another label while the adjudicator is at work on what the first one said."""
    bundle = adjudicated(two)
    before = (bundle / "bundle.json").read_bytes()
    settle(two, "adjudicate", 0.3, "zoe")
    with pytest.raises(VoxledgerError, match=r"bundle-r01-zoe in data/round/adjudication was made from other"):
        two.adjudicate()
    assert (bundle / "bundle.json").read_bytes() == before
    assert not list(Path("data/round").glob(".adjudication*"))


def send_out(repo: Any) -> None:
    """The bundles as they are now are on record, in git."""
    write_sent(1, {reader: repo.manifest(reader).id for reader in ("alice", "bob", "zoe")})
    run("git", "add", "data/sent.json")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "out")


def answer(repo: Any, *cases: str) -> None:
    """Zoe says that bob is right about the pancreas of some cases, and nothing of others."""
    labels = {case: read_label(repo.bundle("zoe") / f"readings/bob/{case}.nii.gz") for case in cases}
    rows = {case: {"pancreas": replace(repo.row(case, "pancreas", "revise"), confirmed=True)} for case in cases}
    blank = {case: {"pancreas": repo.row(case, "pancreas", "")} for case in repo.manifest("zoe").cases}
    repo.give_back("zoe", labels, **(blank | rows))


def test_a_reader_who_sends_again_once_the_adjudicator_has_decided(repo: Any) -> None:
    """Disputed in both cases; bob draws one of them anew. What she decided on the other one is kept."""
    run("git", "init", "-q")
    repo.export(*work("alice", "bob"), *work("alice", "bob", case="case_2"), readers=2)
    settle(repo, "adjudicate", 0.9, "zoe")
    cases = ("case_1", "case_2")

    def back(reader: str, *changes: str) -> None:
        shutil.rmtree(Path("data/inbox") / f"bundle-r01-{reader}", ignore_errors=True)
        labels = {c: drawn(repo.shown(reader, c), change) for c, change in zip(cases, changes, strict=True)}
        rows = {c: {"pancreas": replace(repo.row(c, "pancreas", "revise"), confirmed=True)} for c in cases}
        repo.give_back(reader, labels, **rows)

    back("alice", "wider", "wider")
    back("bob", "narrower", "narrower")
    repo.adjudicate()
    send_out(repo)
    answer(repo, *cases)
    repo.gate()
    back("bob", "narrower", "half")
    with pytest.raises(BundleRefused) as refused:
        repo.gate()
    assert "zoe, case case_2, class pancreas: its readers do not say the same of it as before; the" in str(
        refused.value
    )
    assert "`rm -r data/round/adjudication`, then `voxledger round run`" in str(refused.value)
    assert "case_1" not in str(refused.value)
    shutil.rmtree("data/round/adjudication")
    repo.adjudicate()
    send_out(repo)
    folder = Path("data/inbox/bundle-r01-zoe")
    with pytest.raises(Waiting, match=rf"before readers sent something new\n.*receive {folder} --carry"):
        repo.gate()
    late = receive(folder, BUNDLES, INBOX, 1)
    assert late.late
    found = carry(late.folder, BUNDLES, INBOX, 1)
    assert found.taken == (("case_1", "pancreas"),)
    assert [str(one) for one in found.left] == [
        "case case_2, class pancreas: its readers do not say the same of it as before"
    ]
    with pytest.raises(Waiting, match=r"bundle-r01-zoe, case case_2, class pancreas.*: has no decision"):
        repo.gate()
    shutil.move(folder, "data/inbox/.before")
    answer(repo, "case_2")
    shutil.move(folder, "back")
    shutil.move("data/inbox/.before", folder)
    receive(Path("back"), BUNDLES, INBOX, 1)
    ledger = take_in(repo)
    for case, change in zip(cases, ("narrower", "half"), strict=True):
        assert ledger[case, "pancreas"].reviewer == "zoe"
        wanted = SCHEMA.mask(drawn(repo.shown("alice", case), change), "pancreas")
        assert np.array_equal(SCHEMA.mask(repo.released(case), "pancreas"), wanted)


def test_a_return_of_the_adjudicator_that_says_nothing_of_readings_is_left_for_a_person(two: Any) -> None:
    run("git", "init", "-q")
    adjudicated(two)
    send_out(two)
    answer(two, "case_1")
    folder = Path("data/inbox/bundle-r01-zoe")
    (folder / "readings.csv").unlink()
    give(two, "alice", "one voxel")
    shutil.rmtree("data/round/adjudication")
    two.adjudicate()
    send_out(two)
    found = carry(receive(folder, BUNDLES, INBOX, 1).folder, BUNDLES, INBOX, 1)
    assert (found.received, found.taken) == (None, ())
    assert "came without readings.csv and readings/" in str(found.left[0])


def test_the_bundle_of_the_adjudicator_is_the_same_when_the_return_is_there(two: Any) -> None:
    """As in a clone that computes the round again, where only what stages read lies."""
    bundle = adjudicated(two)
    before = (bundle / "bundle.json").read_bytes()
    two.give_back("zoe")
    shutil.rmtree(bundle.parent)
    two.adjudicate()
    assert (bundle / "bundle.json").read_bytes() == before
    take_in(two)


def test_the_import_takes_nothing_that_waits_for_the_adjudicator(two: Any) -> None:
    """The gate of a run in which nobody had asked for an adjudicator."""
    give(two, "alice", "wider")
    give(two, "bob", "narrower")
    two.gate()
    settle(two, "adjudicate", 0.9, "zoe")
    with pytest.raises(VoxledgerError, match="pancreas: Dice of two readers"):
        two.take_in()
    assert not Path("data/release/ledger.csv").exists()


def test_readers_are_waited_for_before_the_adjudicator(two: Any) -> None:
    settle(two, "adjudicate", 0.9, "zoe")
    give(two, "alice", "wider")
    with pytest.raises(Waiting, match="bundle-r01-bob"):
        two.adjudicate()
    assert not Path("data/round/adjudication").exists()


def test_an_altered_reading_in_the_bundle_of_the_adjudicator_is_noticed(two: Any) -> None:
    bundle = adjudicated(two)
    path = bundle / "readings/alice/case_1.nii.gz"
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(BundleRefused, match=r"bundle-r01-zoe: was changed or added since it went out"):
        two.gate()


def test_staple_in_a_round(repo: Any) -> None:
    repo.export(*work("alice", "bob", "carol"), readers=3)
    for reader, change in (("alice", "wider"), ("bob", "wider"), ("carol", "narrower")):
        give(repo, reader, change)
    settle(repo, "staple")
    ledger = take_in(repo)
    assert ledger["case_1", "pancreas"].origin is Origin.REVISED
    wanted = drawn(repo.shown("alice", "case_1"), "wider")
    assert np.array_equal(SCHEMA.mask(repo.released("case_1"), "pancreas"), SCHEMA.mask(wanted, "pancreas"))
    assert {r.consensus for r in read_readings(READINGS)} == {"staple"}


def test_overlapping_labels_of_two_readers_are_no_problem_of_the_gate(two: Any) -> None:
    """What one calls pancreas the other gives to the liver, in a line that was not asked for: a disagreement."""
    shown = two.shown("alice", "case_1")
    liver = shown.copy()
    liver[2:8, 14, 4:14] = 1
    give(two, "alice", "wider")
    two.give_back("bob", {"case_1": liver}, case_1={"liver": replace(two.row("case_1", "liver", "revise"),
                                                                    confirmed=True)})  # fmt: skip
    settle(two, agreement=0.5)
    ledger = take_in(two)
    assert ledger["case_1", "liver"].origin is Origin.SOURCE
    assert np.array_equal(two.released("case_1") == 1, anatomy() == 1)
