"""Labels that are not what the reviewer meant, each with the finding that has to name it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from organ_round import CASES, GRID, SCHEMA, Round, anatomy, ellipsoid, entry, row

from voxledger.bundles.inbox import received_returns, require_complete
from voxledger.errors import Waiting
from voxledger.gate.run import pass_gate
from voxledger.imaging.boxes import bounding_box, grown
from voxledger.import_.run import import_round
from voxledger.params import MachineParams
from voxledger.records.ledger import Ledger, Origin
from voxledger.records.predicted import Ensemble

Labels = Any
Edit = Callable[[Labels], Labels]
ALL = dict.fromkeys(SCHEMA.names, "revise")


def of(labels: Labels, name: str) -> Labels:
    return SCHEMA.mask(labels, name)


def painted(value: int, *names: str) -> Edit:
    return lambda a: np.where(np.isin(a, [SCHEMA[n].id for n in names]), value, a)


def only(name: str, keep: Callable[[Labels], Labels]) -> Edit:
    """Keep of a class what a function leaves of its mask."""
    return lambda a: np.where(of(a, name) & ~keep(of(a, name)), 0, a)


def slices(start: int, stop: int, step: int = 1) -> Callable[[Labels], Labels]:
    """Slices of a mask, counted from its first."""

    def keep(mask: Labels) -> Labels:
        first = int(np.flatnonzero(mask.any(axis=(1, 2)))[0])
        kept = np.zeros_like(mask)
        kept[first + start : first + stop : step] = True
        return kept & mask

    return keep


def corrected(edit: Edit = lambda a: a) -> Edit:
    """The liver, spleen and right kidney a voxel larger along x, then the edit."""

    def change(a: Labels) -> Labels:
        b = a.copy()
        for value in (1, 4, 6):
            b[(np.roll(a, 1, axis=2) == value) & (a == 0)] = value
        return edit(b)

    return change


def numbers(**ids: int) -> Edit:
    """Classes under other numbers."""

    def change(a: Labels) -> Labels:
        table = np.arange(8)
        for name, value in ids.items():
            table[SCHEMA[name].id] = value
        return table[a].astype(np.uint8)

    return change


def turned(*flips: int, axes: tuple[int, int, int] = (0, 1, 2)) -> Edit:
    return lambda a: np.ascontiguousarray(np.flip(a.transpose(axes), flips))


def boxed(name: str) -> Edit:
    """Background filled inside the box of a class."""

    def change(a: Labels) -> Labels:
        box = bounding_box(of(a, name), 5)
        assert box is not None
        b = a.copy()
        b[box][b[box] == 0] = SCHEMA[name].id
        return b

    return change


def noise(value: int, share: float) -> Edit:
    def change(a: Labels) -> Labels:
        return np.where((a == 0) & (np.random.default_rng(0).random(a.shape) < share), value, a)

    return change


def grown_over(name: str, *others: str) -> Edit:
    return painted(SCHEMA[name].id, *others)


def bite(name: str, other: str, width: int) -> Edit:
    """Class `name` takes a slab of another."""

    def change(a: Labels) -> Labels:
        box = bounding_box(of(a, other))
        assert box is not None
        b = a.copy()
        part = b[box][:, :, :width]
        part[part == SCHEMA[other].id] = SCHEMA[name].id
        return b

    return change


def shifted(name: str, by: int, axis: int) -> Edit:
    def change(a: Labels) -> Labels:
        mask = of(a, name)
        b = np.where(mask, 0, a)
        moved = np.roll(mask, by, axis=axis) & (b == 0)
        return np.where(moved, SCHEMA[name].id, b)

    return change


def revise(*names: str, **errors: str) -> dict[str, Any]:
    return {n: row(n, "revise", errors.get("error", "none")) for n in names}


BLOCKING, WARNING, NOTE = "blocking", "warning", "note"
TABLE: dict[str, tuple[dict[str, Any], Edit, str, str, str, str]] = {
    # trusted voxels change hands: decisions, edit, severity, kind, class, part of the message
    "an accepted organ is swallowed": (
        revise("liver"), grown_over("liver", "spleen"), BLOCKING, "swallowed", "spleen", "to liver",
    ),
    "four accepted organs are swallowed": (
        revise("liver"), grown_over("liver", "spleen", "kidney_left", "kidney_right", "pancreas"), BLOCKING,
        "swallowed", "kidney_left", "to liver",
    ),
    "a source mask is swallowed": (
        revise("liver"), grown_over("liver", "aorta"), BLOCKING, "swallowed", "aorta", "not asked and trusted",
    ),
    "an accepted organ is painted over by half": (
        revise("liver"), bite("liver", "spleen", 6), BLOCKING, "swallowed", "spleen", "to liver",
    ),
    "an accepted lesion goes with its organ": (
        revise("liver"), grown_over("liver", "lesion"), BLOCKING, "swallowed", "lesion", "to liver",
    ),
    "an accepted organ gives up a border": (
        revise("liver"), bite("liver", "spleen", 2), WARNING, "taken", "spleen", "the decision is accept, but",
    ),
    "a source mask gives up a border": (
        revise("liver"), bite("liver", "aorta", 1), WARNING, "taken", "aorta", "it is not asked and trusted, but",
    ),
    "a lesion that is accepted is cut by its organ": (
        revise("pancreas"), only("lesion", slices(0, 3)), WARNING, "taken", "lesion", "to background",
    ),
    "a revised lesion takes from the aorta": (
        revise("lesion", "pancreas"), bite("lesion", "aorta", 1), WARNING, "taken", "aorta", "to lesion",
    ),
    # all classes revised
    "a binary mask": (ALL, lambda a: (a > 0).astype(np.uint8), BLOCKING, "one_value", "", "all voxels are 1 = liver"),
    "a binary mask with another value": (ALL, lambda a: (a > 0) * 4, BLOCKING, "one_value", "", "all voxels are 4"),
    "a corrected binary mask": (
        ALL, corrected(lambda a: (a > 0).astype(np.uint8)), BLOCKING, "one_value", "", "6 other classes",
    ),
    "a class is lost": (ALL, painted(0, "spleen"), WARNING, "emptied", "spleen", "all of its"),
    "an organ is emptied": (ALL, painted(0, "liver"), WARNING, "emptied", "liver", "to background"),
    "two classes are lost": (ALL, painted(0, "kidney_left", "kidney_right"), WARNING, "emptied", "kidney_left", "gone"),
    "everything is lost": (ALL, lambda a: a * 0, WARNING, "emptied", "aorta", "gone"),
    "a class became its neighbour": (ALL, painted(1, "spleen"), WARNING, "emptied", "spleen", "to liver"),
    "a class became its neighbour, called boundary": (
        revise("liver", "spleen", error="boundary"), painted(1, "spleen"), WARNING, "emptied", "spleen", "to liver",
    ),
    "a class is erased and called wrong_class": (
        revise("spleen", error="wrong_class"), painted(0, "spleen"), WARNING, "emptied", "spleen", "to background",
    ),
    "one slice only": (ALL, only("liver", slices(7, 8)), WARNING, "volume", "liver", "its volume has changed from"),
    "two slices only": (ALL, only("spleen", slices(5, 7)), WARNING, "volume", "spleen", "ml (× 0."),
    "the first third": (ALL, only("liver", slices(0, 7)), WARNING, "cut", "liver", "slices of the proposal are empty"),
    "the last half": (ALL, only("liver", slices(9, 30)), WARNING, "cut", "liver", "the first 9 slices"),
    "all but four slices": (ALL, only("aorta", slices(0, 15)), WARNING, "cut", "aorta", "flat face along z"),
    "half of the volume along z": (
        ALL, lambda a: np.where(np.arange(24)[:, None, None] < 12, a, 0), WARNING, "cut", "aorta", "along z",
    ),
    "half of the volume along y": (
        ALL, lambda a: np.where(np.arange(40)[:, None] < 12, a, 0), WARNING, "cut", "liver", "along y",
    ),
    "half of the volume along x": (
        ALL, lambda a: np.where(np.arange(48) < 12, a, 0), WARNING, "cut", "liver", "along x",
    ),
    "every second slice": (ALL, only("liver", slices(0, 99, 2)), WARNING, "gaps", "liver", "slices inside of it are"),
    "one slice is missing": (
        revise("spleen"), lambda a: np.where((np.arange(24) == 9)[:, None, None] & (a == 4), 0, a), WARNING, "gaps",
        "spleen", "1 slice inside of it is empty along z, from slice 9",
    ),
    "columns are missing": (
        revise("liver"), lambda a: np.where(np.isin(np.arange(48), (10, 11)) & (a == 1), 0, a), WARNING, "gaps",
        "liver", "2 slices inside of it are empty along x",
    ),
    "background is filled": (ALL, lambda a: np.where(a == 0, 1, a), BLOCKING, "filled", "liver", "% of the image"),
    "background is filled as an inner class": (
        ALL, lambda a: np.where(a == 0, 3, a), BLOCKING, "filled", "lesion", "% of the image",
    ),
    "the box around an organ is filled": (
        revise("kidney_left"), boxed("kidney_left"), WARNING, "volume", "kidney_left", "ml (× ",
    ),
    "noise is painted": (revise("spleen"), noise(4, 0.003), WARNING, "pieces", "spleen", "pieces, the proposal has 1"),
    "crumbs of the whole label": (ALL, noise(6, 0.01), WARNING, "pieces", "kidney_right", "it has come apart into"),
    "an organ is moved": (revise("aorta"), shifted("aorta", 4, 2), WARNING, "unlike", "aorta", "Dice with"),
    "an organ is moved far": (revise("spleen"), shifted("spleen", 12, 1), WARNING, "unlike", "spleen", "is 0.00"),
    "an organ is moved into air": (revise("spleen"), shifted("spleen", -8, 1), WARNING, "unlike", "spleen", "Dice"),
    "an organ lies on other tissue": (
        revise("kidney_left"), shifted("kidney_left", 9, 1), WARNING, "appearance", "kidney_left", "mean intensity is",
    ),
    "an organ three times as large": (
        revise("kidney_left"), lambda a: np.where(ellipsoid((13, 28, 37), (9, 7, 7)) & (a == 0), 5, a), WARNING,
        "volume", "kidney_left", "its volume has changed",
    ),
    "a lesion ten times as large": (
        revise("lesion", "pancreas"), lambda a: np.where(ellipsoid((11, 22, 28), (5, 5, 7)) & np.isin(a, (0, 2)), 3, a),
        WARNING, "volume", "lesion", "its volume has changed",
    ),
    # renumbered, swapped
    "two swapped": (ALL, numbers(liver=4, spleen=1), BLOCKING, "renumbered", "spleen", "what was liver has come back"),
    "two swapped and corrected": (
        ALL, corrected(numbers(liver=4, spleen=1)), BLOCKING, "renumbered", "liver", "what was spleen has come back",
    ),
    "two swapped and one cut": (
        ALL, lambda a: numbers(liver=4, spleen=1)(only("liver", slices(0, 12))(a)), BLOCKING, "renumbered", "spleen",
        "liver has come back as spleen",
    ),
    "sides exchanged": (
        ALL, numbers(kidney_left=6, kidney_right=5), BLOCKING, "renumbered", "kidney_left", "kidney_right has come",
    ),
    "sides exchanged and corrected": (
        ALL, corrected(numbers(kidney_left=6, kidney_right=5)), BLOCKING, "renumbered", "kidney_left", "renumbered",
    ),
    "three in a ring": (
        ALL, numbers(liver=4, spleen=5, kidney_left=1), BLOCKING, "renumbered", "kidney_left", "spleen has come back",
    ),
    "counted anew from the largest": (
        ALL, numbers(liver=1, spleen=2, kidney_left=3, kidney_right=4, pancreas=5, aorta=6, lesion=7), BLOCKING,
        "renumbered", "pancreas", "has come back as pancreas",
    ),
    "shifted by one": (
        ALL, numbers(liver=2, pancreas=3, lesion=4, spleen=5, kidney_left=6, kidney_right=7, aorta=1), BLOCKING,
        "renumbered", "liver", "aorta has come back as liver",
    ),
    "lesion and organ swapped": (
        ALL, numbers(pancreas=3, lesion=2), BLOCKING, "renumbered", "lesion", "pancreas has come back as lesion",
    ),
    "one under the number of another": (
        ALL, lambda a: numbers(spleen=7)(painted(0, "aorta")(a)), BLOCKING, "renumbered", "aorta", "spleen has",
    ),
    # turned
    "flipped along x": (ALL, turned(2), BLOCKING, "turned", "", "flipped along x"),
    "flipped along y": (ALL, turned(1), BLOCKING, "turned", "", "flipped along y"),
    "flipped along z": (ALL, turned(0), BLOCKING, "turned", "", "flipped along z"),
    "flipped along all": (ALL, turned(0, 1, 2), BLOCKING, "turned", "", "flipped along z, flipped along y"),
    "flipped and corrected": (ALL, corrected(turned(2)), BLOCKING, "turned", "", "turned back"),
    "flipped and much corrected": (
        ALL, lambda a: turned(2)(only("liver", slices(0, 14))(corrected()(a))), BLOCKING, "turned", "", "along x",
    ),
    "mirrored with the sides exchanged": (
        ALL, lambda a: turned(2)(numbers(kidney_left=6, kidney_right=5)(a)), BLOCKING, "turned", "", "flipped along x",
    ),
    "flipped along y and x": (ALL, corrected(turned(1, 2)), BLOCKING, "turned", "", "flipped along y, flipped along x"),
    # inner classes
    "a lesion is erased to background": (
        revise("lesion", error="false_positive"), painted(0, "lesion"), NOTE, "erased", "lesion", "back as pancreas",
    ),
    "a lesion is erased in part": (
        revise("lesion"), only("lesion", slices(0, 2)), NOTE, "erased", "lesion", "voxels were erased to background",
    ),
    "a rejected lesion is erased": (
        {"lesion": row("lesion", "reject")}, painted(0, "lesion"), NOTE, "erased", "lesion", "erased to background",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLE)
def test_a_wrong_label_has_its_finding(sent: Round, what: str) -> None:
    decisions, edit, severity, kind, class_name, said = TABLE[what]
    labels = edit(sent.proposals["case_1"].copy()).astype(np.uint8)
    sent.give_back(decisions, labels)
    found = [f for f in sent.found()[severity] if (f.kind, f.class_name) == (kind, class_name)]
    assert len(found) == 1, [str(f) for findings in sent.found().values() for f in findings]
    text = str(found[0])
    assert "bundle-r01-alice, case case_1" in text
    assert f"[{kind}]" in text
    assert "→" in text
    assert said in text
    if class_name:
        assert f"class {class_name}, labels/case_1.nii.gz" in text
        assert any(c.isdigit() for c in found[0].problem)


CONFIRMED = {what: entry_ for what, entry_ in TABLE.items() if entry_[2] == WARNING and entry_[4] not in ("aorta",)}


@pytest.mark.parametrize("what", CONFIRMED)
def test_a_warning_waits_until_it_is_confirmed(sent: Round, what: str) -> None:
    decisions, edit, _, kind, class_name, _ = TABLE[what]
    labels = edit(sent.proposals["case_1"].copy()).astype(np.uint8)
    sent.give_back(decisions, labels)
    (waiting,) = [f for f in sent.found()[WARNING] if (f.kind, f.class_name) == (kind, class_name)]
    assert "write yes in the column `confirmed` of its line" in waiting.remedy
    unsaid = row(class_name, "" if class_name == "aorta" else "accept")
    line = row(class_name, "revise") if decisions is ALL else decisions.get(class_name, unsaid)
    sent.give_back({**decisions, class_name: replace(line, confirmed=True)}, labels)
    found = sent.found()
    assert not [f for f in found[WARNING] if (f.kind, f.class_name) == (kind, class_name)]
    (note,) = [f for f in found[NOTE] if (f.kind, f.class_name) == (kind, class_name)]
    assert note.problem == f"{waiting.problem}; confirmed by alice"


def test_params_say_what_follows(sent: Round) -> None:
    labels = painted(0, "spleen")(sent.proposals["case_1"])
    sent.give_back(revise("spleen"), labels)
    kinds = {severity: [f.kind for f in found] for severity, found in sent.found().items()}
    assert kinds == {BLOCKING: [], WARNING: ["emptied"], NOTE: []}
    for severity in (BLOCKING, NOTE):
        kinds = {s: [f.kind for f in found] for s, found in sent.found(emptied=severity).items()}
        assert kinds == {s: ["emptied"] if s == severity else [] for s in (BLOCKING, WARNING, NOTE)}


@pytest.mark.parametrize("case", CASES[1:])
@pytest.mark.parametrize("edit", [lambda a: a, corrected()], ids=["as sent", "corrected"])
def test_the_label_of_another_case_names_it(sent: Round, case: str, edit: Edit) -> None:
    sent.give_back(ALL, edit(sent.proposals[case]).astype(np.uint8))
    (found,) = [f for f in sent.found()[BLOCKING] if f.kind == "other_case"]
    assert f"looks like that of case {case} (Dice " in found.problem
    assert "and not like its own (0." in found.problem
    assert f"check whether the files of this case and of {case} changed places" in found.remedy


def test_the_label_of_a_case_of_another_round_does_not_lie_on_the_image(sent: Round) -> None:
    """None of the proposals is like it, but its organs are not where the image has them."""
    sent.give_back(ALL, anatomy(77, spread=4))
    found = [f for f in sent.found()[WARNING] if f.kind == "appearance"]
    assert len(found) >= 3
    assert "in 10 trusted cases" in found[0].problem
    assert "(HU)" in found[0].problem


def test_the_label_of_a_patient_who_looks_the_same_runs_across_the_edges(sent: Round) -> None:
    """Close enough to be a correction of its proposal, and no class is unlike what it is in other cases."""
    proposal = sent.proposals[CASES[0]]
    sent.give_back(ALL, np.roll(proposal, (2, 2), axis=(1, 2)))
    found = [f for f in sent.found()[WARNING] if f.kind == "misaligned"]
    assert [f.class_name for f in found] == [""]
    assert "its border runs across the edges of the image (alignment 0." in found[0].problem


RIGHT: dict[str, tuple[dict[str, Any], Edit]] = {
    "as sent": ({}, lambda a: a),
    "a border grows": (revise("liver"), lambda a: np.where(corrected()(a) == 1, 1, a)),
    "three borders grow": (revise("liver", "spleen", "kidney_right"), corrected()),
    "a false lesion goes": (revise("lesion", error="false_positive"), painted(2, "lesion")),
    "a false organ goes": (revise("spleen", error="false_positive"), painted(0, "spleen")),
    "a wrong name": (revise("liver", "spleen", error="wrong_class"), numbers(liver=4, spleen=1)),
    "wrong sides": (
        revise("kidney_left", "kidney_right", error="left_right"), numbers(kidney_left=6, kidney_right=5),
    ),
    "one voxel": (revise("liver"), lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, 1, a)),
    "a second lesion": (
        revise("lesion"), lambda a: np.where(ellipsoid((11, 22, 20), (1.5, 1.5, 1.5)) & (a == 2), 3, a),
    ),
    "both neighbours are revised": (revise("liver", "spleen"), bite("liver", "spleen", 2)),
    "a slice too many goes": (revise("liver"), only("liver", slices(0, 15))),
}  # fmt: skip


@pytest.mark.parametrize("what", RIGHT)
def test_right_labels_pass_without_a_word(sent: Round, what: str) -> None:
    decisions, edit = RIGHT[what]
    sent.give_back(decisions, edit(sent.proposals["case_1"].copy()).astype(np.uint8))
    assert [str(f) for findings in sent.found().values() for f in findings] == []


def test_every_trusted_voxel_that_changes_hands_is_in_merge_csv(sent: Round) -> None:
    labels = bite("liver", "aorta", 1)(bite("liver", "spleen", 2)(sent.proposals["case_1"]))
    decisions = {**revise("liver"), **{n: row(n, d, confirmed=True) for n, d in (("spleen", "accept"), ("aorta", ""))}}
    sent.give_back(decisions, labels)
    assert sent.found()[WARNING] == []
    ledger: Ledger = {("case_1", "aorta"): entry("case_1", "aorta", sent.proposals["case_1"])}
    places = Path("data/round/bundles"), Path("data/inbox")
    received = Path("data/round/received.json")
    pass_gate(*places, Path("data/base/revisions"), 1, received, sent.context)
    found = import_round(
        [c for c in sent.context.cases if c.case_id in CASES], SCHEMA, ledger,
        {c: Ensemble(dict.fromkeys(SCHEMA.names, ("m" * 64,))) for c in CASES},
        received_returns(received, *places, 1, sent.context), 1, MachineParams(workers=1),
    )  # fmt: skip
    with open("data/round/merge.csv", newline="") as stream:
        rows = {r["class_name"]: r for r in csv.DictReader(stream)}
    for name in ("spleen", "aorta"):
        gone = int((of(sent.proposals["case_1"], name) & ~of(labels, name)).sum())
        assert gone > 0
        assert rows[name]["voxels"] == str(gone)
        assert rows[name]["taken_by"] == "liver"
    assert found["case_1", "aorta"].origin is Origin.SOURCE
    assert [n.class_name for n in found["case_1", "aorta"].changed_by] == ["liver"]


def test_unconfirmed_is_waiting_and_not_failing(sent: Round) -> None:
    sent.give_back(revise("spleen"), painted(0, "spleen")(sent.proposals["case_1"]))
    with pytest.raises(Waiting, match=r"spleen, labels/case_1\.nii\.gz: the decision is revise, but all of its"):
        require_complete(Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1, sent.context)


def test_empty_single_voxel_and_anisotropic(sent: Round) -> None:
    """Grids of 3 × 1.5 × 1.5 mm are those of all tests here; nothing fails on nothing, or on one voxel."""
    one = np.zeros(GRID.shape, np.uint8)
    one[12, 20, 24] = 2
    for labels in (np.zeros(GRID.shape, np.uint8), one):
        sent.give_back(ALL, labels)
        assert {f.kind for f in sent.found()[WARNING]} >= {"emptied"}
    shutil.rmtree("data/inbox/bundle-r01-alice")
    assert grown((slice(0, 1), slice(0, 1), slice(0, 1)), 1, (1, 1, 1)) == (slice(0, 1),) * 3
