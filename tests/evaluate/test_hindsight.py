"""Attention against what reviewers changed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import ensembles
import numpy as np
import pytest
from memo_keys import keys_of

from voxledger.algorithms import VERSIONS
from voxledger.bundles.judged import Counts, judge
from voxledger.errors import VoxledgerError
from voxledger.evaluate import hindsight as stage
from voxledger.evaluate.effort import Effort
from voxledger.evaluate.hindsight import audit_of, criterion_of, hindsight
from voxledger.evaluate.history import read_audits, round_rows
from voxledger.imaging.attention_file import write_attention
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, read, write
from voxledger.knowledge import Labelled
from voxledger.params import MachineParams, ScoreParams
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decided, Decision, read_decided, write_decided
from voxledger.records.errors import read_errors
from voxledger.records.history import read_history, write_history
from voxledger.records.readings import Outcome, Reading, write_readings
from voxledger.records.worklist import AUDIT, WorkItem, write_worklist
from voxledger.score.tune import INCONSISTENCY, UNCERTAINTY, best, smallest_region, tune

SCHEMA = ensembles.schema_of(2)
GRID = Grid.plain((20, 20, 20), (5.0, 1.0, 1.0))

ACCEPT, REVISE = Decision.ACCEPT, Decision.REVISE


def cube(at, size=5):
    mask = np.zeros(GRID.shape, np.uint8)
    mask[tuple(slice(a, a + size) for a in at)] = 1
    return mask


BEFORE = cube((2, 2, 2), 8)


def judged(after, attention):
    return judge(attention, after != BEFORE)


def test_judge():
    found = judged(BEFORE | cube((12, 12, 12)), cube((13, 13, 13)) | cube((2, 13, 2)))
    assert found == Counts(1, 1, 1, 1, 2, 1, 125, 250, 64)
    assert found.metrics()["sensitivity"] == 1
    assert found.metrics()["precision"] == 0.5
    assert found.metrics()["voxel_sensitivity"] == pytest.approx(64 / 125)


@pytest.mark.parametrize(
    ("after", "attention", "expected"),
    [
        (BEFORE, BEFORE * 0, Counts()),
        (BEFORE, cube((1, 1, 1)), Counts(regions=1, attention_voxels=125)),
        (BEFORE | cube((15, 15, 15), 1), BEFORE * 0, Counts(errors=1, error_voxels=1)),
    ],
)
def test_judge_with_nothing(after, attention, expected):
    found = judged(after, attention)
    assert found == expected
    assert None in found.metrics().values()


@pytest.fixture
def round_folder(tmp_path, monkeypatch):
    """Three reviewed cases: one corrected where attention lies, one accepted, one corrected in the audit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/base").mkdir(parents=True)
    (tmp_path / "data/base/errors.csv").write_text("", "utf-8")
    corrected = BEFORE | cube((12, 12, 12))
    rows = []
    for i, (case_id, after, attention) in enumerate(
        [("a", corrected, cube((12, 12, 12))), ("b", BEFORE, cube((2, 2, 2))), ("c", corrected, BEFORE * 0)]
    ):
        box = bounding_box(attention)
        bits = np.zeros((0, 0, 0), np.uint8) if box is None else attention[box] * np.uint8(2)
        nothing = ("c1", None, np.zeros((0, 0, 0), np.uint8))
        write_attention(
            tmp_path / f"data/round/attention/{case_id}.b2nd", [("c0", box, bits), nothing], ["c0", "c1"], GRID
        )
        write(tmp_path / f"data/round/bundles/bundle-r01-ann/labels/{case_id}.nii.gz", BEFORE, GRID)
        write(tmp_path / f"data/release/labels/{case_id}.nii.gz", after, GRID)
        for model, p in (("good", corrected), ("poor", BEFORE)):
            path = tmp_path / f"data/round/predictions/{model}/{case_id}.b2nd"
            write_soft(path, [("c0", p * 0.9)], ["c0"], GRID, model, "image")
        rows.append(WorkItem(i + 1, case_id, "c0", 0.0, 0.0, AUDIT if case_id == "c" else "attention", "ann", 7.5))
    write_worklist(tmp_path / "data/round/worklist.csv", rows)
    decisions = [("a", "c0", "revise"), ("b", "c0", "accept"), ("c", "c0", "revise"), ("a", "c1", "reject")]
    decided = [Decided(c, n, Decision(d), "ann", 5.0, "none") for c, n, d in sorted(decisions)]
    write_decided(tmp_path / "data/round/decisions.csv", decided)
    return tmp_path


def test_hindsight(round_folder):
    cases = [Case(c, "", c, "", f"site{c}", "", Split.POOL, "CT", "") for c in "abc"]
    metrics = hindsight(cases, SCHEMA, 1, MachineParams(workers=1))
    any_criterion = metrics["attention"]["any"]
    assert (any_criterion["errors"], any_criterion["regions"]) == (2, 2)
    assert (any_criterion["sensitivity"], any_criterion["precision"]) == (0.5, 0.5)
    assert metrics["attention"]["uncertain"] == any_criterion
    assert metrics["attention"]["overlapping"]["sensitivity"] == 0
    assert metrics["attention"]["overlapping"]["precision"] is None
    assert list(metrics["attention"]["classes"]) == ["c0"]
    assert metrics["errors"] == {"false_negative": 2}
    assert metrics["errors_by_source"] == {"sitea": {"false_negative": 1}, "sitec": {"false_negative": 1}}
    assert metrics["errors_by_model"] == {"poor": {"false_negative": 2}}
    assert metrics["audit"]["with_errors"] == metrics["audit"]["cases"] == 1
    assert metrics["audit"]["low"] == pytest.approx(0.025)
    assert not metrics["audit"]["allows_to_stop"]
    assert json.loads((round_folder / "reports/attention.json").read_text("utf-8")) == metrics
    with open(round_folder / "reports/errors.csv", encoding="utf-8") as stream:
        errors = list(csv.DictReader(stream))
    assert [(e["round"], e["case_id"], e["found"], e["criterion"], e["voxels"], e["ml"]) for e in errors] == [
        ("1", "a", "true", "uncertain", "125", "0.6250"),
        ("1", "c", "false", "", "125", "0.6250"),
    ]
    section = (round_folder / "reports/sections/hindsight.html").read_text("utf-8")
    assert "0.78" in section
    assert "made by poor" in section


def test_a_voxel_of_boundary_is_an_error_in_one_reading_alone(round_folder):
    """Case b: its organ becomes a voxel of 1 mm wider."""
    grown = BEFORE.copy()
    grown[2:10, 2:10, 10] = 1
    write(round_folder / "data/release/labels/b.nii.gz", grown, GRID)
    table = round_folder / "data/round/decisions.csv"
    decided = [replace(d, decision=REVISE) if d.case_id == "b" else d for d in read_decided(table)]
    write_decided(table, decided)
    cases = [Case(c, "", c, "", "site", "", Split.POOL, "CT", "") for c in "abc"]
    wide, narrow = (hindsight(cases, SCHEMA, 1, MachineParams(workers=1), tolerance_mm=mm) for mm in (1.0, 0.5))
    assert wide["attention"] == narrow["attention"]
    assert (wide["attention"]["any"]["errors"], wide["visible"]["any"]["errors"]) == (3, 2)
    assert (narrow["visible"]["any"]["errors"], narrow["visible"]["tolerance_mm"]) == (3, 0.5)
    assert wide["errors"] == {"boundary": 1, "false_negative": 2}, "the table of errors is strict"
    section = (round_folder / "reports/sections/hindsight.html").read_text("utf-8")
    assert "farther than 0.5 mm" in section
    assert section.count("<table>") == 3


def test_hindsight_is_remembered_by_all_that_it_depends_on(round_folder, monkeypatch):
    """The round is none of it: the same case with the same decisions and labels has the same errors."""

    def key(source="site", of=SCHEMA, number=1):
        cases = [Case("a", "", "a", "", source, "", Split.POOL, "CT", "")]
        return keys_of(stage, lambda: hindsight(cases, of, number, MachineParams(workers=1)))["a"]

    first = key()
    assert key(number=2) == first
    changed = [key(source="other"), key(of=ensembles.schema_of(2, c1={"inside": "c0"}))]
    box = bounding_box(BEFORE)
    nothing = ("c1", None, np.zeros((0, 0, 0), np.uint8))
    write_attention(
        round_folder / "data/round/attention/a.b2nd", [("c0", box, BEFORE[box]), nothing], ["c0", "c1"], GRID
    )
    changed.append(key())
    thin(round_folder)
    changed.append(key())
    write(round_folder / "data/round/bundles/bundle-r01-ann/labels/a.nii.gz", cube((3, 3, 3), 8), GRID)
    changed.append(key())
    (round_folder / "data/round/predictions/poor").rename(round_folder / "data/round/predictions/other")
    changed.append(key())
    decisions = round_folder / "data/round/decisions.csv"
    decisions.write_text(decisions.read_text("utf-8").replace("a,c0,revise", "a,c0,accept"), "utf-8")
    changed.append(key())
    monkeypatch.setitem(VERSIONS, "hindsight", -1)
    changed.append(key())
    assert len({first, *changed}) == 1 + len(changed)


def test_errors_of_earlier_rounds_go_on(round_folder):
    cases = [Case(c, "", c, "", f"site{c}", "", Split.POOL, "CT", "") for c in "abc"]
    hindsight(cases, SCHEMA, 1, MachineParams(workers=1))
    (round_folder / "data/base/errors.csv").write_bytes((round_folder / "reports/errors.csv").read_bytes())
    metrics = hindsight(cases, SCHEMA, 2, MachineParams(workers=1))
    assert metrics["errors_by_round"] == {"1": {"false_negative": 2}, "2": {"false_negative": 2}}
    assert metrics["errors"] == {"false_negative": 2}
    assert [e.round for e in read_errors(round_folder / "reports/errors.csv")] == [1, 1, 2, 2]


def audited(folder, number, wrong=0, cases=18, of=SCHEMA, pool=80):
    """Hindsight of a round whose audit drew some cases, `wrong` of them with an error; its history is promoted."""
    base = folder / "data/base"
    drawn = [f"r{number}-{i}" for i in range(cases)]
    attention = folder / "data/round/attention"
    for case_id in drawn:
        nothing = ("c0", None, np.zeros((0, 0, 0), np.uint8))
        write_attention(attention / f"{case_id}.b2nd", [nothing], ["c0"], GRID)
    rows = [WorkItem(i, c, "c0", 0.0, 0.0, AUDIT, "ann", 7.5) for i, c in enumerate(["unpredicted", *drawn])]
    write_worklist(folder / "data/round/worklist.csv", rows)
    decided = [Decided(c, "c0", REVISE if i < wrong else ACCEPT, "ann", 5.0, "") for i, c in enumerate(drawn)]
    write_decided(folder / "data/round/decisions.csv", [Decided("unpredicted", "c0", REVISE, "ann", 5.0, ""), *decided])
    everything = [Case(f"case{i}", "", f"image{i}", "", "", "", Split.POOL, "CT", "") for i in range(pool)]
    everything.append(Case(f"test{number}", "", "", "", "", "", Split.TEST, "CT", ""))
    history, earlier = read_history(base / "history.csv"), read_audits(base / "history.csv")
    metrics = hindsight(everything, of, number, MachineParams(workers=1), earlier=earlier)
    effort = Effort(cases, cases, cases, 0, 1.0, 1.0, 0, 0, 0.0, Labelled(0, 0, 0, 0))
    write_history(base / "history.csv", [*history, *round_rows(number, [], effort, audit_of(metrics))])
    return metrics["audit"]


@pytest.fixture
def no_rounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/base").mkdir(parents=True)
    (tmp_path / "data/base/errors.csv").write_text("", "utf-8")
    return tmp_path


def test_four_rounds_of_eighteen_clean_audits_allow_to_stop(no_rounds):
    """No round needs 72 clean cases of its own: the bound is that of the audits of all four."""
    found = [audited(no_rounds, number) for number in (1, 2, 3, 4)]
    assert [f["allows_to_stop"] for f in found] == [False, False, False, True]
    assert (found[3]["cases"], found[3]["with_errors"], found[3]["high"]) == (18, 0, pytest.approx(0.185, abs=1e-3))
    pooled = found[3]["pooled"]
    assert (pooled["since_round"], pooled["rounds"], pooled["cases"], pooled["with_errors"]) == (1, 4, 72, 0)
    assert pooled["high"] == pytest.approx(0.0499, abs=1e-4)


def test_errors_of_earlier_audits_count_until_enough_newer_ones_are_there(no_rounds):
    found = [audited(no_rounds, number, wrong) for number, wrong in enumerate((9, 1, 0, 0, 0, 0), start=1)]
    assert [f["pooled"]["with_errors"] for f in found] == [9, 10, 10, 10, 1, 0]
    assert [f["allows_to_stop"] for f in found] == [False] * 5 + [True]


def test_audits_are_not_pooled_over_new_cases_or_classes(no_rounds):
    """An audit says nothing about cases that were not there, nor about a class that nobody was asked for."""
    for number in (1, 2, 3):
        audited(no_rounds, number)
    added = audited(no_rounds, 4, pool=81)
    assert (added["pooled"]["since_round"], added["allows_to_stop"]) == (4, False)
    learnt = audited(no_rounds, 5, pool=81, of=ensembles.schema_of(3))
    assert learnt["pooled"]["since_round"] == 5
    assert audited(no_rounds, 6, pool=81, of=ensembles.schema_of(3))["pooled"]["since_round"] == 5


def test_a_round_without_audit_does_not_allow_to_stop(no_rounds):
    assert audited(no_rounds, 1, cases=80)["allows_to_stop"]
    none = audited(no_rounds, 2, cases=0)
    assert (none["cases"], none["pooled"]["cases"], none["allows_to_stop"]) == (0, 0, False)


def test_audits_of_a_history_from_before_are_unknown(no_rounds):
    """A history without the columns is read; its rounds are not pooled, nor counted as rounds without errors."""
    audited(no_rounds, 1)
    path = no_rounds / "data/base/history.csv"
    with open(path, encoding="utf-8", newline="") as stream:
        rows = [row[:14] for row in csv.reader(stream)]
    path.write_text("".join(",".join(row) + "\n" for row in rows), "utf-8")
    assert audited(no_rounds, 2)["pooled"]["since_round"] == 2
    found = audited(no_rounds, 3)["pooled"]
    assert (found["since_round"], found["rounds"], found["cases"]) == (2, 2, 36)


@pytest.mark.parametrize(
    ("bits", "expected"), [([0, 0, 0], ""), ([1, 3, 2], "inconsistent"), ([6, 4, 0], "overlapping")]
)
def test_criterion_of_most_attention(bits, expected):
    assert criterion_of(np.array(bits, np.uint8)) == expected


def test_hindsight_of_a_round_without_decisions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/round").mkdir(parents=True)
    (tmp_path / "data/base").mkdir()
    (tmp_path / "data/base/errors.csv").write_text("", "utf-8")
    write_decided(tmp_path / "data/round/decisions.csv", [])
    write_worklist(tmp_path / "data/round/worklist.csv", [])
    metrics = hindsight([], SCHEMA, 0, MachineParams(workers=1))
    assert metrics["attention"]["cases"] == 0
    assert metrics["attention"]["any"]["sensitivity"] is None
    assert metrics["audit"]["share"] is None


def test_tune(round_folder):
    cases = [Case(c, "", c, "", "site", "", Split.POOL, "CT", "") for c in "abc"]
    trials = tune(cases, SCHEMA, ScoreParams(), MachineParams(workers=1))
    everywhere = {(t.parameter, t.threshold): t for t in trials if not t.class_name}
    assert len(everywhere) == len(INCONSISTENCY) + len(UNCERTAINTY)
    # one model claims the missed cube with 0.9, the other does not: a deviation of 0.45
    assert all(everywhere["inconsistency", t].sensitivity == 1 for t in INCONSISTENCY)
    assert everywhere["inconsistency", 0.3].errors == 2
    # in the accepted case too
    assert everywhere["inconsistency", 0.3].precision == pytest.approx(2 / 3)
    # entropy of 0.9 is 0.095, halved by the other model, but the whole of it where they agree
    assert everywhere["uncertainty", 0.035].sensitivity == 1
    assert everywhere["uncertainty", 0.05].sensitivity == 0
    chosen = {t.parameter: t.threshold for t in best(trials) if not t.class_name}
    assert chosen == {"inconsistency": 0.3, "uncertainty": 0.035}


def thin(round_folder):
    """Let the error of case a be a plate of 3 × 8 × 8 voxels, which two erosions remove and one does not."""
    corrected = BEFORE.copy()
    corrected[12:15, 10:18, 10:18] = 1
    write(round_folder / "data/release/labels/a.nii.gz", corrected, GRID)
    write_soft(
        round_folder / "data/round/predictions/good/a.b2nd", [("c0", corrected * 0.9)], ["c0"], GRID, "good", "image"
    )


def tuned(round_folder, schema=SCHEMA, **params):
    """Trials of case a, and the memo keys that are new."""
    cases = [Case("a", "", "a", "", "site", "", Split.POOL, "CT", "")]
    memo = round_folder / ".memo/tune"
    before = set(memo.glob("[0-9a-f]*"))
    trials = tune(cases, schema, ScoreParams(**params), MachineParams(workers=1))
    return trials, set(memo.glob("[0-9a-f]*")) - before


@pytest.mark.parametrize("change", [{"opening": 1}, {"entropy": "binary"}])
def test_tune_heeds_every_score_parameter_that_attention_depends_on(round_folder, change):
    """The opening and the form of the entropy are those of params.yaml, and a changed one is computed anew."""
    thin(round_folder)
    first, new = tuned(round_folder)
    assert len(new) == 1
    second, new = tuned(round_folder, **change)
    assert len(new) == 1
    assert second != first
    assert tuned(round_folder) == (first, set())


def test_tune_of_thin_structures_without_opening(round_folder):
    """An error may be as small as the smallest region that attention can have, which the opening sets."""
    thin(round_folder)
    corrected = read(round_folder / "data/release/labels/a.nii.gz").array
    corrected[19, 0, 0] = 1
    write(round_folder / "data/release/labels/a.nii.gz", corrected, GRID)
    for opening, errors, found in ((0, 2, 0.5), (1, 1, 1.0), (2, 1, 0.0), (3, 0, 1.0)):
        trials, _ = tuned(round_folder, opening=opening)
        assert {t.errors for t in trials} == {errors}
        assert max(t.sensitivity for t in trials) == found
    assert [smallest_region(opening) for opening in range(4)] == [1, 27, 125, 343]


def test_tune_tries_its_own_thresholds_for_every_class(round_folder):
    """What it tries does not depend on the thresholds of params.yaml; nor are they computed anew."""
    trials, _ = tuned(round_folder)
    assert tuned(round_folder, inconsistency=0.3, uncertainty=0.2, budget=1) == (trials, set())


def test_tune_for_all_classes_leaves_out_those_with_a_threshold_of_their_own(round_folder):
    """`score.inconsistency` does not hold for a class that has its own, so that class does not tune it."""
    trials, _ = tuned(round_folder)
    own, new = tuned(round_folder, classes={"c0": {"inconsistency": 0.2}})
    assert not new
    assert [t for t in own if t.class_name or t.parameter == "uncertainty"] == [
        t for t in trials if t.class_name or t.parameter == "uncertainty"
    ]
    assert not [t for t in own if not t.class_name and t.parameter == "inconsistency"]


def test_tune_depends_on_labels_predictions_decisions_schema_and_the_attention(round_folder, monkeypatch):
    """Each of them makes another memo key, and so does a new version of what computes the attention."""
    tuned(round_folder)
    thin(round_folder)
    assert len(tuned(round_folder)[1]) == 1
    assert len(tuned(round_folder, ensembles.schema_of(2, c1={"inside": "c0"}))[1]) == 1
    write(round_folder / "data/round/bundles/bundle-r01-ann/labels/a.nii.gz", cube((3, 3, 3), 8), GRID)
    assert len(tuned(round_folder)[1]) == 1
    decisions = round_folder / "data/round/decisions.csv"
    decisions.write_text(decisions.read_text("utf-8").replace("a,c0,revise", "a,c0,accept"), "utf-8")
    assert len(tuned(round_folder)[1]) == 1
    monkeypatch.setitem(VERSIONS, "score", -1)
    assert len(tuned(round_folder)[1]) == 1


def test_tune_never_looks_at_test_cases(round_folder):
    cases = [Case(c, "", c, "", "site", "", Split.TEST, "CT", "") for c in "abc"]
    with pytest.raises(VoxledgerError, match="has a decision in data"):
        tune(cases, SCHEMA, ScoreParams(), MachineParams(workers=1))


def test_an_audited_case_that_readers_do_not_agree_on_cannot_be_said_to_be_right(no_rounds):
    """It has no decision, or one on another class alone; both would else make the audit look better than it was."""
    assert audited(no_rounds, 1)["with_errors"] == 0
    rows = [
        Reading(1, case_id, "c1", who, decision, None, "none", "", "", "", "majority", Outcome.PENDING)
        for case_id in ("r1-3", "r1-4")
        for who, decision in (("ann", ACCEPT), ("ben", REVISE))
    ]
    write_readings(no_rounds / "data/release/readings.csv", rows)
    decided = [row for row in read_decided(no_rounds / "data/round/decisions.csv") if row.case_id != "r1-4"]
    write_decided(no_rounds / "data/round/decisions.csv", decided)
    everything = [Case(f"case{i}", "", f"image{i}", "", "", "", Split.POOL, "CT", "") for i in range(80)]
    found = hindsight(everything, SCHEMA, 1, MachineParams(workers=1))["audit"]
    assert (found["cases"], found["with_errors"]) == (18, 2)
