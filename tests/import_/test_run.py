"""A whole way round: export, return, gate, import; and the next round on top of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger.cases.check import check_inputs
from voxledger.errors import BundleRefused, CasesFailed, Misuse, VoxledgerError, Waiting
from voxledger.imaging.volume import file_sha256, mask_sha256, read_grid, read_label, write
from voxledger.import_ import run as stage
from voxledger.params import MachineParams
from voxledger.records.ledger import Neighbour, Origin, read_ledger, write_ledger
from voxledger.records.mask_check import require_masks

WORK = [
    ("case_1", "pancreas", "alice"),
    ("case_1", "lesion", "alice"),
    ("case_2", "liver", "alice"),
    ("case_2", "kidney_left", "bob"),
]


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


def test_an_accepted_round(sent: Any) -> None:
    alice = sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    proposal = sent.shown("alice", "case_1")
    assert np.array_equal(sent.released("case_1"), proposal)
    by_class = {k: e for (c, k), e in ledger.items() if c == "case_1"}
    assert {k: e.origin for k, e in by_class.items()} == {
        "liver": Origin.SOURCE,
        "pancreas": Origin.ACCEPTED,
        "lesion": Origin.ACCEPTED,
        "kidney_left": Origin.PREDICTED,
        "kidney_right": Origin.PREDICTED,
    }
    received = json.loads(Path("data/round/received.json").read_text())["bundles"]
    assert [b["reviewer"] for b in received] == ["alice", "bob"]
    pancreas = by_class["pancreas"]
    assert pancreas.bundle == received[0]["sha256"]
    assert (pancreas.reviewer, pancreas.version, pancreas.model_ids) == ("alice", 1, ("a" * 64, "b" * 64))
    assert by_class["liver"] == read_ledger("data/base/ledger.csv")["case_1", "liver"]
    kept = Path("data/release/revisions") / received[0]["sha256"]
    for path in ("bundle.json", "decisions.csv", "labels/case_1.nii.gz", "labels/case_2.nii.gz"):
        assert (kept / path).read_bytes() == (alice / path).read_bytes()
    rows = sent.table("data/round/decisions.csv")
    assert [(r["case_id"], r["class_name"], r["reviewer"]) for r in rows] == [
        ("case_1", "pancreas", "alice"),
        ("case_1", "lesion", "alice"),
        ("case_2", "liver", "alice"),
        ("case_2", "kidney_left", "bob"),
    ]
    assert {r["changed_voxels"] for r in rows} == {"0"}
    for (case, name), entry in ledger.items():
        grid = read_grid(f"data/images/{case}.nii.gz")
        mask = _mask(sent.released(case), name)
        assert entry.mask_sha256 == mask_sha256(mask, grid)
        assert entry.ml == pytest.approx(mask.sum() * grid.voxel_ml, abs=1e-4)


def _mask(labels: np.ndarray, name: str) -> np.ndarray:
    ids = {"liver": [1], "pancreas": [2, 3], "lesion": [3], "kidney_left": [5], "kidney_right": [6]}[name]
    return np.isin(labels, ids)


def test_the_ledger_names_the_models_that_know_the_class(repo: Any) -> None:
    """A model that says nothing about lesions did not propose this one."""
    first, second = [p for p in repo.predicted if p.case_id == "case_1"]
    place = repo.predicted.index(second)
    repo.predicted[place] = replace(second, classes=tuple(n for n in second.classes if n != "lesion"))
    repo.export()
    repo.gate()
    ledger = repo.take_in()
    assert ledger["case_1", "lesion"].model_ids == (first.model_id,)
    assert ledger["case_1", "pancreas"].model_ids == (first.model_id, second.model_id)


def test_test_cases_pass_byte_for_byte_and_are_not_predicted(sent: Any) -> None:
    sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    assert file_sha256("data/release/labels/test_1.nii.gz") == file_sha256("data/base/labels/test_1.nii.gz")
    before = {k: v for k, v in read_ledger("data/base/ledger.csv").items() if k[0] == "test_1"}
    assert {k: v for k, v in ledger.items() if k[0] == "test_1"} == before
    assert (Path("data/release/labels") / "case_3.nii.gz").is_file()


def test_revise_reject_and_untouched_classes(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    revised = shown.copy()
    lost = _mask(shown, "lesion")
    revised[lost] = 0  # the eraser leaves a hole in the pancreas
    revised[7, 10, 12] = 3  # outside nothing: inside the pancreas
    sent.give_back("alice", {"case_1": revised}, case_1={"lesion": "revise"}, case_2={"liver": "reject"})
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    merged = sent.released("case_1")
    assert np.array_equal(_mask(merged, "lesion"), _mask(revised, "lesion"))
    assert np.array_equal(_mask(merged, "pancreas"), _mask(shown, "pancreas"))
    assert np.array_equal(_mask(merged, "liver"), _mask(shown, "liver"))
    assert ledger["case_1", "lesion"].origin is Origin.REVISED
    assert ledger["case_1", "pancreas"].origin is Origin.ACCEPTED
    assert not _mask(sent.released("case_2"), "liver").any()
    assert ledger["case_2", "liver"].origin is Origin.REJECTED
    assert ledger["case_2", "kidney_left"].reviewer == "bob"
    rows = {(r["case_id"], r["class_name"]): r for r in sent.table("data/round/decisions.csv")}
    changed = int((_mask(revised, "lesion") != lost).sum())
    assert rows["case_1", "lesion"]["changed_voxels"] == str(changed)
    assert rows["case_2", "liver"]["decision"] == "reject"


def test_a_revised_class_takes_voxels_of_a_source_class_and_that_is_written_down(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    revised = shown.copy()
    liver = np.argwhere(shown == 1)
    taken = tuple(liver[-3:].T)
    revised[taken] = 2
    sent.give_back("alice", {"case_1": revised}, case_1={"pancreas": "revise"})
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    merged = sent.released("case_1")
    assert (merged[taken] == 2).all()
    assert np.array_equal(merged, revised)
    liver_entry = ledger["case_1", "liver"]
    old = read_ledger("data/base/ledger.csv")["case_1", "liver"]
    assert (liver_entry.origin, liver_entry.version) == (Origin.SOURCE, 1)
    assert liver_entry.previous_mask_sha256 == old.mask_sha256 != liver_entry.mask_sha256
    assert sent.table("data/round/merge.csv") == [
        {"case_id": "case_1", "class_name": "liver", "origin": "source", "voxels": "3", "taken_by": "pancreas"}
    ]


def test_a_mask_that_a_neighbour_trims_says_by_whom(sent: Any) -> None:
    """A trimmed row got a new version but kept its old bundle, so that nobody could tell who had changed it."""
    sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    first = sent.take_in()
    assert {e.changed_by for e in first.values()} == {()}
    sent.next_round()
    sent.export(("case_1", "kidney_right", "bob"), ("case_3", "liver", "bob"))
    revised = sent.shown("bob", "case_1")
    lost = tuple(np.argwhere(_mask(revised, "pancreas"))[:2].T)
    revised[lost] = 6
    sent.give_back("bob", {"case_1": revised}, case_1={"kidney_right": "revise"})
    sent.gate()
    second = sent.take_in()
    now, before = second["case_1", "pancreas"], first["case_1", "pancreas"]
    assert now.mask_sha256 != before.mask_sha256
    assert (now.version, now.reviewer, now.bundle) == (2, "alice", before.bundle)
    kidney = second["case_1", "kidney_right"]
    assert now.changed_by == (Neighbour("kidney_right", "bob", kidney.bundle),)
    assert {name for (_, name), e in second.items() if e.changed_by} == {"pancreas"}
    assert read_ledger("data/release/ledger.csv")["case_1", "pancreas"] == now
    sent.next_round()
    sent.export(("case_1", "liver", "alice"), ("case_3", "pancreas", "alice"))
    revised = sent.shown("alice", "case_1")
    revised[tuple(np.argwhere(_mask(revised, "pancreas"))[:2].T)] = 1
    sent.give_back("alice", {"case_1": revised}, case_1={"liver": "revise"})
    sent.gate()
    third = sent.take_in()
    assert third["case_1", "pancreas"].bundle == before.bundle
    assert third["case_1", "pancreas"].changed_by == (
        Neighbour("kidney_right", "bob", kidney.bundle),
        Neighbour("liver", "alice", third["case_1", "liver"].bundle),
    )
    sent.next_round()
    sent.export(("case_1", "pancreas", "alice"))
    sent.give_back("alice")
    sent.gate()
    assert sent.take_in()["case_1", "pancreas"].changed_by == ()


def test_a_mask_that_a_colleague_changes_in_the_same_round_says_so(repo: Any) -> None:
    """What alice accepted is not what is released: bob's lesion reaches two voxels beyond her pancreas."""
    repo.export(("case_2", "pancreas", "alice"), ("case_2", "lesion", "bob"))
    revised = repo.shown("bob", "case_2")
    assert not revised[9, 15, 0:2].any()
    revised[9, 15, 0:2] = 3
    repo.give_back("alice")
    repo.give_back("bob", {"case_2": revised}, case_2={"lesion": "revise"})
    repo.gate()
    ledger = repo.take_in()
    pancreas = ledger["case_2", "pancreas"]
    assert (pancreas.origin, pancreas.reviewer) == (Origin.ACCEPTED, "alice")
    assert pancreas.changed_by == (Neighbour("lesion", "bob", ledger["case_2", "lesion"].bundle),)
    assert {(r["class_name"], r["voxels"], r["taken_by"]) for r in repo.table("data/round/merge.csv")} == {
        ("pancreas", "2", "lesion")
    }


def test_a_mask_that_a_neighbour_gives_voxels_to_says_by_whom(sent: Any) -> None:
    revised = sent.shown("alice", "case_1")
    revised[3, 12, 4] = 1
    sent.give_back("alice", {"case_1": revised}, case_1={"pancreas": "revise"})
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    assert ledger["case_1", "liver"].changed_by == (
        Neighbour("pancreas", "alice", ledger["case_1", "pancreas"].bundle),
    )
    assert sent.table("data/round/merge.csv")[0]["taken_by"] == "pancreas"


def test_a_voxel_that_a_revised_class_gives_to_another_class_moves_there(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    revised = shown.copy()
    revised[3, 12, 4] = 1
    assert shown[3, 12, 4] == 2
    sent.give_back("alice", {"case_1": revised}, case_1={"pancreas": "revise"})
    sent.give_back("bob")
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), revised)


def test_a_class_that_was_not_asked_counts_with_a_line_of_its_own(sent: Any) -> None:
    revised = sent.shown("alice", "case_1")
    revised[8, 14, 1:3] = 6
    sent.give_back("alice", {"case_1": revised}, case_1={"kidney_right": "revise"})
    sent.give_back("bob")
    sent.gate()
    ledger = sent.take_in()
    assert ledger["case_1", "kidney_right"].origin is Origin.REVISED
    assert np.array_equal(sent.released("case_1"), revised)


def test_two_reviewers_of_one_case(sent: Any) -> None:
    shown = sent.shown("bob", "case_2")
    assert np.array_equal(shown, sent.shown("alice", "case_2"))
    of_alice, of_bob = shown.copy(), shown.copy()
    of_alice[0, 1:3, 1:3] = 1
    of_bob[9, 2:4, 15:17] = 5
    sent.give_back("alice", {"case_2": of_alice}, case_2={"liver": "revise"})
    sent.give_back("bob", {"case_2": of_bob}, case_2={"kidney_left": "revise"})
    sent.gate()
    ledger = sent.take_in()
    both = of_alice.copy()
    both[of_bob == 5] = 5
    assert np.array_equal(sent.released("case_2"), both)
    assert ledger["case_2", "liver"].reviewer == "alice"
    assert ledger["case_2", "kidney_left"].reviewer == "bob"


def test_the_next_round_keeps_what_people_said_and_predicts_the_rest_anew(sent: Any) -> None:
    revised = sent.shown("alice", "case_1")
    revised[8, 10, 10:12] = 2
    sent.give_back("alice", {"case_1": revised}, case_1={"pancreas": "revise"}, case_2={"liver": "reject"})
    sent.give_back("bob")
    sent.gate()
    first = sent.take_in()
    sent.next_round()
    for case in ("case_1", "case_2", "case_3"):
        pseudo = np.zeros(revised.shape, np.uint8)
        pseudo[0:9, 0:9, 0:9] = 1
        pseudo[9, 10:, 1:3] = 6
        write(f"data/round/pseudo/{case}.nii.gz", pseudo, read_grid(f"data/images/{case}.nii.gz"))
    sent.export(("case_3", "liver", "alice"))
    sent.give_back("alice")
    sent.gate()
    second = sent.take_in()
    for name in ("liver", "pancreas", "lesion"):
        assert second["case_1", name] == first["case_1", name]
        assert np.array_equal(_mask(sent.released("case_1"), name), _mask(revised, name))
    assert (second["case_1", "kidney_right"].origin, second["case_1", "kidney_right"].version) == (Origin.PREDICTED, 2)
    assert second["case_1", "kidney_right"].previous_mask_sha256 == first["case_1", "kidney_right"].mask_sha256
    assert second["case_2", "liver"].origin is Origin.PREDICTED
    assert _mask(sent.released("case_2"), "liver").any()
    assert second["case_2", "kidney_left"] == first["case_2", "kidney_left"]
    assert second["case_3", "liver"].origin is Origin.ACCEPTED
    assert len(list(Path("data/release/revisions").iterdir())) == 3


def test_nothing_to_review(repo: Any) -> None:
    repo.export()
    assert list(Path("data/round/bundles").iterdir()) == []
    repo.gate()
    assert json.loads(Path("data/round/received.json").read_text()) == {"bundles": []}
    ledger = repo.take_in()
    assert ledger["case_2", "liver"].origin is Origin.PREDICTED
    assert list(Path("data/release/revisions").iterdir()) == []


NAMES = ("liver", "pancreas", "lesion", "kidney_left", "kidney_right")


def propose(repo: Any, case: str, labels: np.ndarray) -> None:
    """Replace what the models propose for a case."""
    write(f"data/round/pseudo/{case}.nii.gz", labels, read_grid(f"data/images/{case}.nii.gz"))


@pytest.mark.parametrize("how", ["nobody was asked", "accepted", "rejected", "revised"])
def test_a_case_that_ends_up_empty_has_a_label_file_and_goes_on(repo: Any, how: str) -> None:
    """Rows in the ledger without a file: `close` went well, then `verify` failed and the next round could not run."""
    nothing = np.zeros_like(read_label("data/round/pseudo/case_2.nii.gz"))
    if how in ("nobody was asked", "accepted"):
        propose(repo, "case_2", nothing)
    asked = [("case_2", n, "alice") for n in NAMES] if how != "nobody was asked" else []
    repo.export(("case_3", "liver", "alice"), *asked)
    decision = {"accepted": "accept", "rejected": "reject", "revised": "revise"}.get(how)
    drawn = {"case_2": nothing} if how == "revised" else {}
    rows = {n: repo.row("case_2", n, decision, "false_positive") for n in NAMES} if decision else {}
    repo.give_back("alice", drawn, **({"case_2": rows} if rows else {}))
    repo.gate()
    first = repo.take_in()
    assert {n for c, n in first if c == "case_2"} == set(NAMES)
    assert not repo.released("case_2").any()
    require_masks(repo.cases, repo.schema, first, Path("data/release/labels"), Path("out"), MachineParams(workers=1))
    repo.next_round()
    counts = check_inputs(repo.cases, repo.schema)
    assert (counts["complete"]["pool"], counts["partly"]["pool"]) == (int(how in ("accepted", "revised")), 2)
    propose(repo, "case_2", nothing)
    repo.export(("case_2", "liver", "bob"))
    assert not repo.shown("bob", "case_2").any()
    repo.give_back("bob")
    repo.gate()
    second = repo.take_in()
    assert second["case_2", "liver"].mask_sha256 == first["case_2", "lesion"].mask_sha256
    assert not repo.released("case_2").any()


@pytest.mark.parametrize("kept", [True, False])
def test_a_repository_whose_empty_case_has_rows_and_no_file_goes_on(repo: Any, kept: bool) -> None:
    """As older versions wrote it: the missing file is the empty label, and the next import writes it."""
    nothing = np.zeros_like(read_label("data/round/pseudo/case_2.nii.gz"))
    if not kept:
        propose(repo, "case_2", nothing)
    repo.export()
    repo.gate()
    repo.take_in()
    repo.next_round()
    Path("data/base/labels/case_2.nii.gz").unlink()
    ledger = read_ledger("data/base/ledger.csv")

    def check() -> None:
        check_inputs(repo.cases, repo.schema)
        require_masks(repo.cases, repo.schema, ledger, Path("data/base/labels"), Path("out"), MachineParams(workers=1))

    if kept:
        with pytest.raises(Misuse, match=r"data/base/labels/case_2.nii.gz is not here"):
            check()
        with pytest.raises(VoxledgerError, match="case case_2: liver, pancreas"):
            require_masks(
                repo.cases, repo.schema, ledger, Path("data/base/labels"), Path("out"), MachineParams(workers=1)
            )
        return
    check()
    repo.export(("case_2", "liver", "bob"))
    repo.give_back("bob")
    repo.gate()
    assert repo.take_in()["case_2", "liver"].origin is Origin.ACCEPTED
    assert not repo.released("case_2").any()


def test_round_zero_without_models(repo: Any) -> None:
    import shutil

    for folder in ("pseudo", "predictions", "attention"):
        shutil.rmtree(f"data/round/{folder}")
    repo.predicted.clear()
    repo.export()
    repo.gate()
    ledger = repo.take_in()
    assert ledger == read_ledger("data/base/ledger.csv")
    assert sorted(p.name for p in Path("data/release/labels").iterdir()) == ["case_1.nii.gz", "test_1.nii.gz"]
    assert file_sha256("data/release/labels/case_1.nii.gz") == file_sha256("data/base/labels/case_1.nii.gz")
    assert file_sha256("data/release/ledger.csv") == file_sha256("data/base/ledger.csv")


def test_the_same_bytes_twice(sent: Any) -> None:
    def hashes() -> dict[str, str]:
        return {p.as_posix(): file_sha256(p) for p in sorted(Path("data").rglob("*")) if p.is_file()}

    first = hashes()
    sent.export(*reversed(WORK))
    assert hashes() == first
    sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    sent.take_in()
    first = hashes()
    import shutil

    shutil.rmtree(".memo")
    sent.gate()
    sent.take_in()
    assert hashes() == first


def test_a_merge_is_remembered_by_all_that_it_depends_on(sent: Any) -> None:
    """Labels, decisions, predictions and ledger; what nobody sent or predicted is of no round of its own."""

    def keys() -> dict[str, str]:
        sent.gate()
        return keys_of(stage, sent.take_in)

    def returned(labels: Any = None, **decisions: Any) -> dict[str, str]:
        shutil.rmtree("data/inbox/bundle-r01-alice", ignore_errors=True)
        sent.give_back("alice", labels, **decisions)
        return keys()

    sent.give_back("bob")
    first = returned()
    assert keys() == first
    other, grid = sent.shown("alice", "case_1"), read_grid("data/images/case_1.nii.gz")
    other[0, 0, 0] = 2
    found = [
        returned(case_1={"pancreas": "reject"}),
        returned({"case_1": other}, case_1={"pancreas": "revise"}),
    ]
    inbox = Path("data/inbox/bundle-r01-alice/labels")
    first = returned()
    (inbox / "case_1.nii.gz").unlink()
    write(inbox / "case_1.nrrd", sent.shown("alice", "case_1"), grid)
    found.append(keys())
    first = returned()
    ledger = read_ledger("data/base/ledger.csv")
    entry = ledger["case_1", "liver"]
    write_ledger("data/base/ledger.csv", ledger | {("case_1", "liver"): replace(entry, version=7)}, sent.names())
    found.append(keys())
    write_ledger("data/base/ledger.csv", ledger, sent.names())
    for change in ("data/round/pseudo/case_1.nii.gz", "data/base/labels/case_1.nii.gz"):
        kept = Path(change).read_bytes()
        write(change, np.zeros(grid.shape, np.uint8), grid)
        found.append(keys())
        Path(change).write_bytes(kept)
    predicted = list(sent.predicted)
    sent.predicted[:] = [p for p in predicted if (p.model, p.case_id) != ("model-0", "case_1")]
    found.append(keys())
    sent.predicted[:] = predicted
    assert keys() == first
    assert len({first["case_1"], *(k["case_1"] for k in found)}) == 1 + len(found)
    assert {k["test_1"] for k in found} == {first["test_1"]}


def test_a_bundle_that_changes_after_the_gate_is_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    with open(folder / "decisions.csv", "a") as stream:
        stream.write("\n")
    with pytest.raises(BundleRefused, match="changed since the gate"):
        sent.take_in()


def test_predictions_that_change_after_the_export_are_noticed(sent: Any) -> None:
    sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    path = "data/round/pseudo/case_2.nii.gz"
    pseudo = read_label(path)
    pseudo[0, 0, 0] = 1
    write(path, pseudo, read_grid("data/images/case_2.nii.gz"))
    with pytest.raises(CasesFailed, match="not what is proposed now"):
        sent.take_in()


def test_a_base_label_that_is_not_what_the_ledger_says_is_noticed(sent: Any) -> None:
    path = "data/base/labels/case_1.nii.gz"
    labels = read_label(path)
    labels[0, 0, 0] = 1
    write(path, labels, read_grid("data/images/case_1.nii.gz"))
    with pytest.raises(VoxledgerError, match=r"is not what data/base/ledger.csv says of class liver"):
        sent.export(*WORK)


def test_a_case_that_vanishes_from_the_table_stops_the_import(sent: Any) -> None:
    sent.give_back("alice")
    sent.give_back("bob")
    sent.gate()
    sent.cases = [c for c in sent.cases if c.case_id != "test_1"]
    with pytest.raises(VoxledgerError, match=r"test_1, class liver of the base ledger .* would be lost"):
        sent.take_in()


def test_waiting_names_everything(sent: Any) -> None:
    with pytest.raises(Waiting) as caught:
        sent.gate()
    assert caught.value.exit_code == 3
    assert "bundle-r01-alice: has not come back: 3 decisions on 2 cases" in str(caught.value)
    assert "bundle-r01-bob" in str(caught.value)
    sent.give_back("alice", case_2={"liver": ""})
    with pytest.raises(Waiting) as caught:
        sent.gate()
    text = str(caught.value)
    assert "case case_2, class liver, decisions.csv: has no decision" in text
    assert "bundle-r01-bob: has not come back" in text
    assert not Path("data/round/received.json").exists()
