"""The score stage on a small repository of synthetic predictions."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import ensembles
import numpy as np
import pytest
from memo_keys import keys_of

from voxledger.algorithms import VERSIONS
from voxledger.errors import CasesFailed
from voxledger.imaging.attention_file import open_attention
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, read, read_label, write
from voxledger.params import Params
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Entry, Origin
from voxledger.records.mask_quality import JudgedMask, MaskQuality, Signs, read_predicted
from voxledger.records.readings import Outcome, Reading
from voxledger.records.worklist import AUDIT, DISAGREES, NOT_FOUND, REJECTED, read_worklist
from voxledger.score import run as stage
from voxledger.score.run import score_round
from voxledger.score.table import read_scores
from voxledger.weak.decisions import WeakDecision

SCHEMA = ensembles.schema_of(3, c1={"inside": "c0", "lesion": True})
GRID = Grid.plain((24, 26, 28), (2.0, 1.0, 1.0))


def case(case_id, split=Split.POOL):
    return Case(case_id, f"data/images/{case_id}.nii.gz", "image", "", "site", "CC0-1.0", split, "CT", "")


def entry(case_id, name, origin=Origin.SOURCE):
    return Entry(case_id, name, 0, origin, (), "", "", "", "", 1.0)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Six predicted pool cases, the later the softer the borders, and a test case."""
    monkeypatch.chdir(tmp_path)
    for i in range(7):
        models = ensembles.ensemble(GRID.shape, SCHEMA.names, 2, seed=5, softness=1 + 0.4 * i, wobble=0.5)
        for m, model in enumerate(models):
            path = tmp_path / f"data/round/predictions/model{m}/case{i}.b2nd"
            write_soft(path, model.items(), list(model), GRID, f"m{m}", "image")
        labels = np.zeros(GRID.shape, np.uint8)
        for class_id, name in enumerate(SCHEMA.names, start=1):
            labels[np.mean([model[name] for model in models], axis=0) > 0.5] = class_id
        write(tmp_path / f"data/images/case{i}.nii.gz", (labels * 40.0).astype(np.float32), GRID)
        write(tmp_path / f"data/round/pseudo/case{i}.nii.gz", labels, GRID)
    return tmp_path


CASES = [*(case(f"case{i}") for i in range(6)), case("case6", Split.TEST)]
PREDICTIONS, OUT = "data/round/predictions", "data/round"


def score(repository, ledger=(), cases=CASES, errors=(), not_found=None, judged=(), schema=SCHEMA, **score_params):
    params = Params.model_validate(
        {
            "round": 1,
            "score": {"budget": 3, **score_params},
            "export": {"reviewers": ["ann", "bob"]},
            "machine": {"workers": 1},
        }
    )
    return score_round(
        cases,
        {(e.case_id, e.class_name): e for e in ledger},
        errors,
        repository / PREDICTIONS,
        schema,
        params,
        not_found or {},
        judged=judged,
    )


def test_writes_what_the_round_needs(repository):
    rows = score(repository)
    out = repository / OUT
    expected = [name for i in range(6) for name in (f"case{i}.b2nd", f"case{i}_heat.nii.gz")]
    assert sorted(p.name for p in (out / "attention").iterdir()) == [*sorted(expected), "heat.ctbl"]
    attention = open_attention(out / "attention/case5.b2nd")
    assert attention.classes == ("c0", "c1", "c2")
    assert attention.grid == GRID
    scores = {(s.case_id, s.class_name): s for s in read_scores(out / "score.csv")}
    assert len(scores) == 18
    for name in SCHEMA.names:
        bits = attention.read(name)
        assert scores["case5", name].attention_ml == pytest.approx(np.count_nonzero(bits) * 0.002, abs=1e-4)
        assert scores["case5", name].models == 2
    heat = read(out / "attention/case5_heat.nii.gz")
    assert heat.array.dtype == np.uint8
    np.testing.assert_array_equal(heat.array > 0, sum(attention.read(n) for n in SCHEMA.names) > 0)
    assert read_worklist(out / "worklist.csv") == [
        type(r)(**{**r.__dict__, **{k: round(getattr(r, k), 4) for k in ("attention_ml", "priority")}}) for r in rows
    ]
    header = (out / "worklist.csv").read_text("utf-8").splitlines()[0]
    assert header == "rank,case_id,class_name,attention_ml,priority,reason,reviewer,expected_minutes"
    with open(out / "agreement.csv", encoding="utf-8") as stream:
        pairs = list(csv.DictReader(stream))
    assert len(pairs) == 6 * 3 * 3
    assert all(0 <= float(p["dice"]) <= 1 for p in pairs)


def test_priority_is_the_attention_of_untrusted_classes(repository):
    everything = score(repository)
    assert [r.case_id for r in everything][::3] == ["case5", "case4", "case3"]
    assert len(everything) == 9
    for rank in (1, 2, 3):
        rows = [r for r in everything if r.rank == rank]
        assert sum(r.attention_ml for r in rows) == pytest.approx(rows[0].priority)
        assert len({r.reviewer for r in rows}) == 1
    known = [entry("case5", n) for n in SCHEMA.names] + [entry("case4", "c0"), entry("case4", "c2", Origin.PREDICTED)]
    rows = score(repository, known)
    assert "case5" not in {r.case_id for r in rows}
    assert {r.class_name for r in rows if r.case_id == "case4"} == {"c1", "c2"}


def test_audit_is_outside_the_worklist_and_blind(repository):
    rows = score(repository, audit=2)
    chosen = {r.case_id for r in rows if r.reason == "attention"}
    audit = {r.case_id for r in rows if r.reason == AUDIT}
    assert chosen == {"case3", "case4", "case5"}
    assert len(audit) == 2
    assert audit < {"case0", "case1", "case2"}
    places = set()
    for seed in range(8):
        ranks = {r.rank for r in score(repository, audit=1, seed=seed) if r.reason == AUDIT}
        places |= ranks
    assert len(places) > 1


def test_result_does_not_depend_on_memo_or_order_of_cases(repository):
    first = score(repository, audit=1)
    places = repository / OUT, repository / "reports"
    files = {p: p.read_bytes() for place in places for p in place.rglob("*") if p.is_file()}
    assert repository / "reports/sections/score.html" in files
    shutil.rmtree(repository / ".memo")
    shutil.rmtree(repository / OUT / "attention")
    assert score(repository, audit=1) == first
    assert all(p.read_bytes() == content for p, content in files.items())


def test_outlook_and_section(repository):
    rejected = [replace(entry(f"case{i}", "c0", Origin.REJECTED), bundle="b") for i in (0, 1)]
    accepted = [replace(entry("case2", n, Origin.ACCEPTED), bundle="b") for n in SCHEMA.names]
    score(repository, rejected + accepted, audit=1)
    outlook = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
    assert (outlook["revised_last"], outlook["reviewed_last"], outlook["open_cases"]) == (2, 3, 5)
    assert outlook["chosen"] == 3
    assert not outlook["stop"]
    assert 0 <= outlook["expected_revisions"]["low"] <= outlook["expected_revisions"]["estimate"] <= 3
    section = (repository / "reports/sections/score.html").read_text("utf-8")
    assert "2 of the last 3 cases needed revision" in section
    assert section.count("data:image/png;base64,") == 5
    assert "http" not in section
    curve = (repository / "reports/plots/attention.csv").read_text("utf-8").splitlines()
    assert curve[0] == "rank,case_id,attention_ml"
    assert len(curve) == 6


@pytest.mark.parametrize(
    "acquisition", ["entropy", "inconsistency", "importance", "diversity", "random", "foreground_random", "stratified"]
)
def test_every_acquisition(repository, acquisition):
    rows = score(repository, acquisition=acquisition)
    assert {r.reason for r in rows} == {acquisition}
    assert len({r.case_id for r in rows}) == 3


def judged_before(count=30):
    """Masks of the pool that people judged: the more is inconsistent, the more was wrong."""
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        for name in SCHEMA.names[:2]:
            wrong = float(rng.uniform(0.01, 0.3))
            signs = Signs(2, wrong, wrong, wrong, 0.0, 1.0, wrong / 100, 1 - wrong)
            mask = MaskQuality(f"case{number % 6}-{number}", name, signs, None)
            found.append(JudgedMask(0, mask, True, 1 - wrong, 2 * wrong, wrong))
    return found


def test_quality_is_predicted_where_enough_was_judged(repository):
    judged = judged_before()
    cases = [*CASES, *(case(one.mask.case_id) for one in judged[::2])]
    trusted = [entry(c.case_id, name) for c in cases[len(CASES) :] for name in SCHEMA.names]
    rows = score(repository, trusted, cases, judged=judged, quality=True, acquisition="expected_gain", audit=1)
    out = repository / OUT
    masks = {(m.case_id, m.class_name): m.quality for m in read_predicted(out / "quality.csv")}
    assert len(masks) == 18  # of the six predicted cases: the others are trusted, and case6 is a test case
    assert all((quality is None) == (name == "c2") for (_, name), quality in masks.items())
    for row in rows:
        assert (row.quality is None) == (row.class_name == "c2")
        if row.quality is not None:
            assert row.quality.predicted_dice == pytest.approx(
                masks[row.case_id, row.class_name].predicted_dice, abs=1e-4
            )
            expected = 0.5 + 43 / 3 * row.quality.predicted_path_share
            assert row.expected_minutes == pytest.approx(expected)
    gains = {}
    for row in rows:
        if row.reason == "expected_gain" and row.quality is not None:
            ml, minutes = gains.get(row.case_id, (0, 0))
            gains[row.case_id] = ml + row.quality.predicted_error_ml, minutes + row.expected_minutes
    values = [ml / minutes for ml, minutes in gains.values()]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3
    record = json.loads((out / "quality.json").read_text("utf-8"))
    assert (record["masks"], record["cases"], record["intervals_from"]) == (60, 30, "blind audit")
    left = json.loads((out / "outlook.json").read_text("utf-8"))["left"]
    assert (left["masks"], left["cases"], left["unpredicted"], left["blind"]) == (12, 6, 6, True)
    section = (repository / "reports/sections/score.html").read_text("utf-8")
    assert f"model {record['id']}" in section
    assert "12 masks of 6 cases that nobody looked at" in section


@pytest.mark.parametrize(
    ("judged", "params", "said"),
    [
        pytest.param([], {"quality": True}, "there are 0 of 0.", id="nobody has judged anything"),
        pytest.param(
            [replace(m, mask=replace(m.mask, case_id=m.mask.case_id[:5])) for m in judged_before()],
            {"quality": True},
            "there are 60 of 6.",
            id="too few patients",
        ),
        pytest.param(
            [replace(m, mask=replace(m.mask, case_id="case6")) for m in judged_before()],
            {"quality": True},
            "there are 0 of 0.",
            id="a test case",
        ),
        pytest.param(judged_before(), {}, "", id="not asked for"),
    ],
)
def test_nothing_is_predicted_otherwise(repository, judged, params, said):
    before = score(repository)
    rows = score(repository, judged=judged, **params)
    assert rows == before
    assert json.loads((repository / OUT / "quality.json").read_text("utf-8"))["id"] == ""
    section = (repository / "reports/sections/score.html").read_text("utf-8")
    assert ("Predicted quality" in section) == bool(said)
    assert said in section


def test_a_target_stops_where_no_reviewer_has(repository):
    judged = judged_before()
    cases = [*CASES, *(case(one.mask.case_id) for one in judged[::2])]
    trusted = [entry(c.case_id, name) for c in cases[len(CASES) :] for name in SCHEMA.names]
    trusted += [entry(c.case_id, "c2") for c in CASES[:6]]
    for ml, stop in ((1000.0, True), (1e-6, False)):
        score(repository, trusted, cases, judged=judged, quality=True, stop_error_ml=ml)
        found = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
        assert found["stop"] is stop
        assert "of error, where" in found["why"]


def test_a_target_goes_on_where_nothing_left_can_be_predicted(repository):
    """As of a class that was added: nobody has judged it yet."""
    judged = judged_before()
    cases = [*CASES, *(case(one.mask.case_id) for one in judged[::2])]
    trusted = [entry(c.case_id, name) for c in cases for name in SCHEMA.names[:2]]
    trusted += [entry(c.case_id, "c2") for c in cases[len(CASES) :]]
    trusted = [replace(e, origin=Origin.ACCEPTED, bundle="bundle") for e in trusted]
    score(repository, trusted, cases, judged=judged, quality=True)
    without = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
    assert without["stop"], "nobody had to revise anything"
    score(repository, trusted, cases, judged=judged, quality=True, stop_dice=0.5)
    found = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
    assert (found["stop"], found["left"]) == (False, None)
    assert found["why"] == f"the quality of {found['open_cases']} masks that nobody looked at cannot be predicted"


@pytest.mark.parametrize("params", [{"stop_dice": 0.9}, {"stop_error_ml": 3.0}, {"stop_dice": 0.9, "audit": 2}])
def test_a_target_that_cannot_be_judged_is_named(repository, params):
    score(repository, quality=True, **params)
    found = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
    assert found["why"].startswith("nobody has reviewed anything yet; the target of score.stop_error_ml or score.stop")
    section = (repository / "reports/sections/score.html").read_text("utf-8")
    assert ("cannot be judged without a blind audit" in section) == ("audit" not in params)


def test_all_cases_reviewed(repository):
    judged = judged_before()
    cases = [*CASES, *(case(one.mask.case_id) for one in judged[::2])]
    trusted = [entry(c.case_id, name) for c in cases for name in SCHEMA.names]
    assert score(repository, trusted, cases, judged=judged, quality=True, stop_dice=0.9) == []
    found = json.loads((repository / OUT / "outlook.json").read_text("utf-8"))
    assert (found["stop"], found["left"]) == (True, None)


@pytest.mark.parametrize("acquisition", ["expected_gain", "lowest_dice"])
class TestByPredictedQuality:
    """Cases are chosen by predicted quality, whatever is lacking."""

    def chosen(self, repository, acquisition, judged, schema=SCHEMA, *, trusted=()):
        """Cases of the worklist in their order, and whether anything is predicted of each."""
        cases = [*CASES, *(case(case_id) for case_id in sorted({one.mask.case_id for one in judged}))]
        ledger = [entry(c.case_id, name) for c in cases[len(CASES) :] for name in schema.names]
        ledger += [entry(case_id, name) for case_id in trusted for name in schema.names]
        options = {"quality": True, "acquisition": acquisition}
        rows = score(repository, ledger, cases, judged=judged, schema=schema, **options)
        assert {row.reason for row in rows} <= {acquisition}
        return {row.case_id: row.quality is not None for row in rows}

    def test_nobody_has_judged_anything(self, repository, acquisition):
        found = self.chosen(repository, acquisition, [])
        assert list(found.values()) == [False] * 3
        scores = read_scores(repository / OUT / "score.csv")
        by_case = {c.case_id: [s for s in scores if s.case_id == c.case_id] for c in CASES[:6]}
        doubt = {
            "expected_gain": lambda of: -sum(s.attention_ml for s in of),
            "lowest_dice": lambda of: (min(s.lowest_agreement for s in of), -sum(s.mean_entropy for s in of)),
        }[acquisition]
        assert list(found) == sorted(by_case, key=lambda c: doubt(by_case[c]))[:3]

    def test_one_class(self, repository, acquisition):
        schema = ensembles.schema_of(1)
        judged = [one for one in judged_before() if one.mask.class_name in schema.names]
        assert list(self.chosen(repository, acquisition, judged, schema).values()) == [True] * 3

    def test_one_model(self, repository, acquisition):
        shutil.rmtree(repository / PREDICTIONS / "model1")
        one = {"models": 1, "inconsistent_ml": 0.0, "lowest_agreement": 1.0}
        judged = [replace(j, mask=replace(j.mask, signs=replace(j.mask.signs, **one))) for j in judged_before()]
        assert len(self.chosen(repository, acquisition, judged)) == 3
        scores = read_scores(repository / OUT / "score.csv")
        assert {row.models for row in scores if row.case_id in {c.case_id for c in CASES[:6]}} == {1}

    def test_all_cases_are_reviewed(self, repository, acquisition):
        assert self.chosen(repository, acquisition, judged_before(), trusted=[c.case_id for c in CASES]) == {}


def test_without_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = score(tmp_path)
    assert {r.reason for r in rows} == {"random"}
    assert len(rows) == 9
    assert rows[0].expected_minutes == pytest.approx(43 / 3)
    assert (tmp_path / OUT / "attention").is_dir()


@pytest.mark.parametrize("trusted", range(len(SCHEMA.names) + 1))
def test_one_trusted_class_of_many_does_not_stand_for_a_case_that_models_learn_from(tmp_path, monkeypatch, trusted):
    """With one, nothing could be trained, which asked for a case to be reviewed; and nobody was given one."""
    monkeypatch.chdir(tmp_path)
    rows = score(tmp_path, [entry("case0", name) for name in SCHEMA.names[:trusted]])
    assert bool(rows) is (trusted < len(SCHEMA.names))


def renamed(repository):
    """The same image and predictions under another id, as after a case was taken out and added again."""
    for model in ("model0", "model1"):
        folder = repository / PREDICTIONS / model
        (folder / "case0.b2nd").rename(folder / "other.b2nd")
    for name in ("images/{}.nii.gz", "round/pseudo/{}.nii.gz"):
        (repository / "data" / name.format("case0")).rename(repository / "data" / name.format("other"))
    return [replace(CASES[0], case_id="other", image="data/images/other.nii.gz")]


def test_a_case_under_another_id_gets_attention_of_its_own(repository):
    """What is remembered lies under names of the case, so the id is part of what it is remembered by."""
    score(repository, cases=CASES[:1])
    shutil.rmtree(repository / OUT / "attention")
    score(repository, cases=renamed(repository))
    files = sorted(p.name for p in (repository / OUT / "attention").iterdir())
    assert files == ["heat.ctbl", "other.b2nd", "other_heat.nii.gz"]


def rewrite(repository, wobble):
    path = repository / PREDICTIONS / "model1/case0.b2nd"
    model = ensembles.ensemble(GRID.shape, SCHEMA.names, 1, seed=5, wobble=wobble)[0]
    write_soft(path, model.items(), list(model), GRID, "m1", "image")
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"inconsistency": 0.2},
        {"uncertainty": 0.2},
        {"entropy": "binary"},
        {"opening": 1},
        {"classes": {"c0": {"inconsistency": 0.2}}},
    ],
)
def test_attention_is_remembered_by_every_parameter_that_it_depends_on(repository, change):
    first = keys_of(stage, lambda: score(repository))
    assert len(set(first.values())) == len(first) == 6
    second = keys_of(stage, lambda: score(repository, **change))
    assert not set(first.values()) & set(second.values())
    assert keys_of(stage, lambda: score(repository, budget=1, seed=5, acquisition="random")) == first


def test_attention_is_remembered_by_case_predictions_schema_and_version(repository, monkeypatch):
    first = keys_of(stage, lambda: score(repository))
    rewrite(repository, 1.0)
    second = keys_of(stage, lambda: score(repository))
    assert {c for c in first if first[c] != second[c]} == {"case0"}
    moved = [replace(CASES[1], sha256="another")]
    assert keys_of(stage, lambda: score(repository, cases=moved)) != {"case1": first["case1"]}
    (repository / PREDICTIONS / "model1").rename(repository / PREDICTIONS / "model2")
    assert not set(keys_of(stage, lambda: score(repository)).values()) & set(second.values())
    third = keys_of(stage, lambda: score(repository))
    fourth = keys_of(stage, lambda: score(repository, schema=ensembles.schema_of(3)))
    monkeypatch.setitem(VERSIONS, "score", -1)
    fifth = keys_of(stage, lambda: score(repository))
    assert len({*third.values(), *fourth.values(), *fifth.values()}) == 18


def test_a_prediction_of_another_image_is_refused(repository):
    other = [Case(**{**c.__dict__, "sha256": "another"}) for c in CASES[:1]]
    with pytest.raises(CasesFailed, match="another image"):
        score(repository, cases=other)


@pytest.mark.parametrize(
    ("origin", "said", "reason"),
    [
        (Origin.REJECTED, [], REJECTED),
        (Origin.PREDICTED, ["reject"], REJECTED),
        (Origin.PREDICTED, ["accept", "reject"], REJECTED),
        (Origin.PREDICTED, ["reject", "pending"], REJECTED),
        (Origin.PREDICTED, ["reject", "revise"], "attention"),
        (Origin.REVISED, ["reject"], "attention"),
        (Origin.PREDICTED, [], "attention"),
    ],
)
def test_a_case_with_a_class_that_was_rejected_comes_first(repository, origin, said, reason):
    readings = [
        Reading(
            *(number, "case0", "formerly-c2" if number == 0 else "c2", "ann"),
            *(Decision("accept" if word == "pending" else word), None, "", "", "", "b" * 64, ""),
            Outcome.PENDING if word == "pending" else Outcome.COUNTED,
        )
        for number, word in enumerate(said)
    ]
    schema = ensembles.schema_of(
        3,
        c1={"inside": "c0", "lesion": True},
        c2={"formerly": ({"name": "formerly-c2", "round": 1, "date": "2026-01-31"},)},
    )
    ledger = {("case0", "c2"): entry("case0", "c2", origin)}
    params = Params(score={"budget": 3, "rejected_first": True})
    rows = score_round(CASES, ledger, [], repository / PREDICTIONS, schema, params, readings=readings)
    assert [r.reason for r in rows if r.case_id == "case0"][:1] == ([reason] if reason == REJECTED else [])
    assert (rows[0].case_id == "case0") is (reason == REJECTED)


def test_a_case_in_which_an_organ_was_not_found_is_looked_at_first_and_the_report_says_so(repository):
    """The least attention, but no model looked for what lies in c0; a test case is in the report alone."""
    not_found = {"case0": ["c0"], "case6": ["c0"]}
    rows = score(repository, not_found=not_found)
    assert [(r.case_id, r.reason) for r in rows[::3]] == [
        ("case0", NOT_FOUND),
        ("case5", "attention"),
        ("case4", "attention"),
    ]
    assert [r.reason for r in read_worklist(repository / OUT / "worklist.csv")] == [r.reason for r in rows]
    said = (repository / "reports/sections/score.html").read_text()
    assert "<strong>Organ not found</strong> in 2 cases" in said
    assert "case0 (c0); case6 (c0)" in said
    view = json.loads((repository / OUT / "outlook.json").read_text())
    assert (view["stop"], view["why"]) == (
        False,
        "an organ was not found in 1 case, and nobody has looked for what lies in it",
    )
    trusted = [entry("case0", name) for name in ("c0", "c1")]
    assert [r.case_id for r in score(repository, ledger=trusted, not_found=not_found)][::3] == [
        "case5",
        "case4",
        "case3",
    ]


def weak(case_id, name, agrees, check="agreement"):
    return WeakDecision(case_id, name, 1, "slice_mask", "nifti", "0" * 64, "inter", check, 0.5, ">=0.8", agrees)


@pytest.mark.parametrize("rejected", [False, True])
def test_a_case_whose_weak_label_disagrees_comes_first_and_is_not_hidden(repository, rejected):
    """Not where people stand behind the class; a class is told once, however many checks it failed."""
    found = [weak("case0", "c1", False), weak("case0", "c1", False, "border"), weak("case0", "c2", False)]
    found += [weak("case1", "c0", True), weak("case2", "c0", False)]
    ledger = {("case2", "c0"): entry("case2", "c0"), ("case1", "c0"): entry("case1", "c0", Origin.REJECTED)}
    params = Params(score={"budget": 3, "rejected_first": rejected}, machine={"workers": 1})
    rows = score_round(CASES, ledger, [], repository / PREDICTIONS, SCHEMA, params, weak=found)
    expected = [("case1", REJECTED)] * rejected + [("case0", DISAGREES), ("case5", "attention"), ("case4", "attention")]
    assert list(dict.fromkeys((r.case_id, r.reason) for r in rows)) == expected[:3]
    said = (repository / "reports/sections/score.html").read_text()
    assert (
        "<strong>Weak label disagrees</strong> with what was predicted from it, or rules left nothing of that" in said
    )
    assert "in 1 cases" in said
    assert "case0 (c1, c2)" in said
    scores = {(s.case_id, s.class_name) for s in read_scores(repository / OUT / "score.csv")}
    assert ("case0", "c1") in scores


def test_one_of_two_lesions_that_were_marked_and_filtered_out_is_not_hidden(repository):
    """A class of which another lesion was left hid the one that a rule had taken."""
    lesion = SCHEMA["c1"].id
    labels = np.zeros(GRID.shape, np.uint8)
    labels[4, 4:8, 4:8] = labels[4, 16:20, 16:20] = lesion
    write(repository / "data/weak/case0.nii.gz", labels, GRID)
    write(repository / "data/weak/case1.nii.gz", labels, GRID)
    write(repository / "data/round/pseudo/case1.nii.gz", labels, GRID)
    labels[4, 4:8, 4:8] = 0
    write(repository / "data/round/pseudo/case0.nii.gz", labels, GRID)
    params = Params(score={"budget": 3}, machine={"workers": 1})
    found = [weak("case0", "c1", True), weak("case1", "c1", True)]
    rows = score_round(CASES, {}, [], repository / PREDICTIONS, SCHEMA, params, weak=found)
    assert {r.case_id for r in rows if r.reason == DISAGREES} == {"case0"}


def test_what_was_marked_and_filtered_out_is_not_hidden(repository):
    """A rule took a lesion that somebody had marked for its organ, and nobody was told."""
    labels = read_label(repository / "data/round/pseudo/case0.nii.gz")
    labels[labels == SCHEMA["c1"].id] = SCHEMA["c0"].id
    write(repository / "data/round/pseudo/case0.nii.gz", labels, GRID)
    params = Params(score={"budget": 3}, machine={"workers": 1})
    found = [weak("case0", "c1", True), weak("case0", "c0", True), weak("case1", "c1", True)]
    rows = score_round(CASES, {}, [], repository / PREDICTIONS, SCHEMA, params, weak=found)
    assert (rows[0].case_id, rows[0].reason) == ("case0", DISAGREES)
    assert {r.case_id for r in rows if r.reason == DISAGREES} == {"case0"}
    assert "case0 (c1)" in (repository / "reports/sections/score.html").read_text()
