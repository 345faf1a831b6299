"""Learned attention from round to round, on a small repository of synthetic cases."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from types import MappingProxyType

import ensembles
import numpy as np
import pytest
from memo_keys import keys_of
from safetensors.numpy import load_file, save_file

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.export.run import export_round
from voxledger.imaging.attention_file import Criterion, open_attention
from voxledger.imaging.soft import open_soft, write_soft
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, read, read_grid, write
from voxledger.params import Params
from voxledger.records.card import WEIGHTS, check_model, read_card, write_card
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decided, Decision, write_decided
from voxledger.records.ledger import Entry, Origin
from voxledger.records.predicted import Predicted, read_predicted, write_predicted
from voxledger.records.predicted import ensembles as ensembles_of
from voxledger.records.worklist import AUDIT, WorkItem, read_worklist, write_worklist
from voxledger.score import cells, error_model, learn, run
from voxledger.score.cells import FEATURES
from voxledger.score.judged_cells import all_judged, read_judged
from voxledger.score.learn import learn_round
from voxledger.score.ranks import Ranks
from voxledger.score.run import score_round
from voxledger.score.table import read_scores

GRID = Grid.plain((12, 24, 24), (2.0, 1.0, 1.0))
TAUGHT, AUDITED, OPEN = 5, 4, 2
"""Cases of the pool: those on the worklist, those of the audit, those that nobody looked at."""


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Enough is little here."""
    monkeypatch.setattr(error_model, "TREES", 15)
    monkeypatch.setattr(learn, "ENOUGH_CASES", 3)
    monkeypatch.setattr(learn, "ENOUGH_ERRORS", 3)


def build(folder, classes=("c0", "c1"), models=2):
    """A round that people have finished: a model sees a bright organ, and with it a dark blob that is none."""
    cases, rows, decided, predicted = [], [], [], []
    for number in range(TAUGHT + AUDITED + OPEN + 1):
        case_id, rng = f"case{number:02d}", np.random.default_rng(number)
        split = Split.TEST if number == TAUGHT + AUDITED + OPEN else Split.POOL
        truth = np.zeros(GRID.shape, np.uint8)
        for i in range(len(classes)):
            truth[2:10, 4 + 10 * i : 11 + 10 * i, 3:12] = i + 1
        wrong = truth.copy()
        at = int(rng.integers(3, 6))
        wrong[at : at + 4, 5:10, 12:18] = 1
        soft = [
            [
                (c, np.clip((wrong == i) * 0.75 + rng.normal(0, 0.02, GRID.shape), 0, 1))
                for i, c in enumerate(classes, 1)
            ]
            for _ in range(models)
        ]
        image = (100.0 * (truth > 0) + rng.normal(0, 5, GRID.shape)).astype(np.float32)
        write(path := layout.label_map(layout.IMAGES, case_id), image, GRID)
        write(layout.label_map(layout.PSEUDO, case_id), wrong, GRID)
        cases.append(Case(case_id, str(path), sha256 := file_sha256(path), "", "", "", split, "MR", ""))
        for m, p in enumerate(soft):
            write_soft(layout.PREDICTIONS / f"m{m}" / f"{case_id}.b2nd", p, list(classes), GRID, f"m{m}", sha256)
            predicted.append(Predicted(case_id, f"m{m}", f"m{m}", tuple(classes), f"{case_id}/m{m}"))
        if number >= TAUGHT + AUDITED and split is Split.POOL:
            continue
        write(layout.label_map(layout.BUNDLES / "bundle-r00-ann" / "labels", case_id), wrong, GRID)
        write(layout.label_map(layout.RELEASE_LABELS, case_id), truth, GRID)
        reason = AUDIT if TAUGHT <= number < TAUGHT + AUDITED else "attention"
        for i, name in enumerate(classes):
            rows.append(WorkItem(number + 1, case_id, name, 0.0, 0.0, reason, "ann", 1.0))
            said = Decision.ACCEPT if i else Decision.REVISE
            decided.append(Decided(case_id, name, said, "ann", 1.0, "bundle"))
    write_decided(layout.DECISIONS, decided)
    write_predicted(layout.PREDICTED, predicted)
    scored(cases, params(), len(classes))
    write_worklist(layout.WORKLIST, rows)
    return cases


@pytest.fixture
def cases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(tmp_path)


def params(number=0, **score):
    asked = {"attention": "learned", "miss": 0.25, "opening": 0, "budget": 2, **score}
    return Params.model_validate({"round": number, "score": asked, "machine": {"workers": 1}})


def schema(classes=2):
    return ensembles.schema_of(classes)


def open_next():
    """What `round open` does with it."""
    shutil.rmtree(layout.BASE_ATTENTION, ignore_errors=True)
    shutil.copytree(layout.NEXT_ATTENTION, layout.BASE_ATTENTION)


def scored(cases, asked, classes=2, ledger=MappingProxyType({})):
    score_round(cases, dict(ledger), (), layout.PREDICTIONS, schema(classes), asked)
    return json.loads(layout.OUTLOOK.read_text("utf-8"))


def files(folder):
    return {p.relative_to(folder): file_sha256(p) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("classes", "models"), [(2, 2), (1, 2), (2, 1)], ids=["two", "one class", "one model"])
def test_attention_is_learned_from_what_people_changed(tmp_path, monkeypatch, classes, models):
    monkeypatch.chdir(tmp_path)
    names = schema(classes).names
    cases = build(tmp_path, names, models)
    learned = learn_round(cases, schema(classes), params())
    card = check_model(layout.NEXT_ERROR_MODEL)
    assert (card.id, card.backend, card.params["classes"]) == (learned, "attention", names)
    assert [card.params["judged"], card.params["audited_patients"], card.round] == [TAUGHT + AUDITED, AUDITED, 0]
    open_next()
    found = scored(cases, params(1), classes)["attention"]
    assert (found["by"], found["model"], found["cases"], found["audited"]) == ("learned", learned, TAUGHT, AUDITED)
    assert learned[:12] in layout.SCORE_SECTION.read_text("utf-8")
    case_id = f"case{TAUGHT + AUDITED:02d}"
    attention = open_attention(layout.attention(case_id))
    assert attention.model_id == learned
    bits = attention.read("c0")
    truth = read(layout.label_map(layout.IMAGES, case_id)).array > 50
    wrong = (read(layout.label_map(layout.PSEUDO, case_id)).array == 1) & ~truth
    assert ((bits != 0) == ((bits & Criterion.LEARNED) != 0)).all(), "no voxel is left of the published criteria alone"
    assert np.count_nonzero(wrong & (bits > 0)) > 0.3 * np.count_nonzero(wrong)
    assert np.count_nonzero(truth & (bits > 0)) < 0.1 * np.count_nonzero(truth)
    heat = read(layout.heat(case_id)).array
    np.testing.assert_array_equal(heat > 0, sum((attention.read(n) for n in names), np.zeros_like(bits)) > 0)
    assert heat[wrong & (bits > 0)].mean() > 128, "it is a probability"
    row = next(r for r in read_scores(layout.SCORES) if (r.case_id, r.class_name) == (case_id, "c0"))
    assert row.attention_ml == pytest.approx(np.count_nonzero(bits) * GRID.voxel_ml, abs=1e-3)
    assert row.uncertain_ml > row.attention_ml, "what the models are unsure of is counted as before"


def test_errors_are_found_where_models_became_surer(cases):
    """As networks do that learned from what people corrected: by values such errors were never seen."""
    learn_round(cases, schema(), params())
    open_next()
    case_id = f"case{TAUGHT + AUDITED:02d}"
    truth = read(layout.label_map(layout.IMAGES, case_id)).array > 50
    wrong = (read(layout.label_map(layout.PSEUDO, case_id)).array == 1) & ~truth
    found = {}
    for surer in (False, True):
        for path in sorted(layout.PREDICTIONS.glob("*/*.b2nd")) if surer else ():
            soft = open_soft(path)
            likely = [
                (name, np.clip(soft.probabilities(name).astype(np.float32), 1e-3, 1 - 1e-3)) for name in soft.classes
            ]
            sharper = [(name, 1 / (1 + ((1 - p) / p) ** 1.8)) for name, p in likely]
            path.unlink()
            write_soft(path, sharper, list(soft.classes), GRID, path.parent.name, soft.image_sha256)
        assert scored(cases, params(1))["attention"]["by"] == "learned"
        bits = open_attention(layout.attention(case_id)).read("c0") > 0
        found[surer] = np.count_nonzero(wrong & bits) / np.count_nonzero(wrong)
    assert found[True] > 0.8 * found[False] > 0.25


def test_without_ranks_of_the_round_nothing_is_drawn(cases):
    layout.CELL_RANKS.unlink()
    with pytest.raises(VoxledgerError, match=r"ranks.safetensors"):
        learn_round(cases, schema(), params())


def test_without_revisions_attention_is_published_and_the_report_says_why(cases):
    plain = scored(cases, params(attention="published"))
    before = files(layout.ATTENTION)
    assert "attention" not in plain
    found = scored(cases, params())["attention"]
    assert found["by"] == "published criteria"
    assert "people have changed 0 visible errors in 0 cases so far" in found["why"]
    assert found["why"].split(",")[0] in layout.SCORE_SECTION.read_text("utf-8")
    assert files(layout.ATTENTION) == before


def test_models_that_are_always_certain_teach_nothing(cases):
    """As a label map that was registered as a model: of its errors no voxel is in question."""
    for path in sorted(layout.PREDICTIONS.glob("*/*.b2nd")):
        shown = read(layout.label_map(layout.PSEUDO, path.stem)).array
        path.unlink()
        certain = ((name, (shown == i).astype(np.float32)) for i, name in enumerate(("c0", "c1"), 1))
        image = file_sha256(layout.label_map(layout.IMAGES, path.stem))
        write_soft(path, certain, ["c0", "c1"], GRID, path.parent.name, image)
    assert learn_round(cases, schema(), params()) == ""
    open_next()
    found = scored(cases, params(1))["attention"]
    assert "people have changed 0 visible errors in 0 cases so far" in found["why"]


def test_without_enough_audited_cases_too(cases):
    learn_round(cases, schema(), params())
    open_next()
    found = scored(cases, params(1, miss=0.1))["attention"]
    assert found["by"] == "published criteria"
    assert "4 patients of blind audits had visible errors" in found["why"]
    assert "at least 9 are needed" in found["why"]


@pytest.mark.parametrize("several", [False, True], ids=["a case each", "two cases each"])
def test_several_cases_of_a_patient_set_the_threshold_as_one(cases, several):
    """Three patients are needed for a quarter, and four cases of two are too few."""
    same = list(cases)
    for n in range(AUDITED) if several else ():
        same[TAUGHT + n] = replace(cases[TAUGHT + n], patient=f"p{n // 2}")
    learn_round(same, schema(), params())
    open_next()
    found = scored(same, params(1))["attention"]
    if several:
        assert "2 patients of blind audits had visible errors" in found["why"]
        assert "at least 3 are needed" in found["why"]
    else:
        assert (found["by"], found["audited"]) == ("learned", AUDITED)


def test_a_model_that_learned_from_values_is_not_used(cases):
    """As version 3 did."""
    learn_round(cases, schema(), params())
    open_next()
    card = read_card(layout.BASE_ERROR_MODEL)
    of_before = {name: value for name, value in card.params.items() if name != "ranks"}
    write_card(layout.BASE_ERROR_MODEL, card.model_copy(update={"params": of_before}))
    assert "from values instead of ranks" in scored(cases, params(1))["attention"]["why"]
    learn_round(cases, schema(), params(1))
    open_next()
    assert scored(cases, params(2))["attention"]["by"] == "learned"


def entry(case_id, name, labels):
    grid = read_grid(layout.label_map(layout.IMAGES, case_id))
    return Entry(case_id, name, 0, Origin.SOURCE, (), "", "", mask_sha256(labels > 0, grid), "", 1.0)


def test_attention_goes_by_the_label_map_that_people_are_shown(cases, monkeypatch):
    """Where people stand behind a class, that is not the label map of the models."""
    seen = {}

    class Seen(cells.CaseCells):
        def __init__(self, predictions, labels, image, schema):
            seen[int(image.sum())] = labels
            super().__init__(predictions, labels, image, schema)

    learn_round(cases, schema(), params())
    open_next()
    shutil.rmtree(layout.BUNDLES)
    monkeypatch.setattr(run, "ranks_of_round", lambda *_: Ranks({}))  # which all cases depend on
    number = TAUGHT + AUDITED
    case_id, base = f"case{number:02d}", np.zeros(GRID.shape, np.uint8)
    base[2:10, 3:12, 2:14] = 2
    write(layout.label_map(layout.BASE_LABELS, case_id), base, GRID)
    ledger = {(case_id, "c1"): entry(case_id, "c1", base)}
    without = keys_of(run, lambda: scored(cases, params(1)))
    assert {
        c for c, key in keys_of(run, lambda: scored(cases, params(1), ledger=ledger)).items() if key != without[c]
    } == {case_id}
    monkeypatch.setattr(cells, "CaseCells", Seen)
    assert scored(cases, params(1), ledger=ledger)["attention"]["by"] == "learned"
    asked = [WorkItem(1, case_id, "c0", 0.0, 0.0, "attention", "ann", 1.0)]
    export_round(asked, cases, schema(), ledger, ensembles_of(read_predicted(layout.PREDICTED)), "d", 1)
    shown = read(layout.label_map(layout.BUNDLES / "bundle-r01-ann" / "labels", case_id)).array
    assert np.count_nonzero(shown != read(layout.label_map(layout.PSEUDO, case_id)).array) > 100
    image = read(layout.label_map(layout.IMAGES, case_id)).array
    np.testing.assert_array_equal(seen[int(image.sum())], shown)


def test_all_cases_reviewed(cases):
    learn_round(cases, schema(), params())
    open_next()
    assert scored([c for c in cases if c.split is Split.TEST], params(1))["open_cases"] == 0


def test_only_cases_of_the_pool_teach_and_only_while_asked(cases):
    """The test case was decided on as well; the blind ones are in a file each, marked."""
    assert learn_round(cases, schema(), params(attention="published")) == ""
    assert not list(layout.NEXT_ATTENTION.rglob("*"))
    learn_round(cases, schema(), params())
    judged = [read_judged(path) for path in sorted(layout.NEXT_JUDGED_CELLS.iterdir())]
    assert [one.case_id for one in judged] == [f"case{n:02d}" for n in range(TAUGHT + AUDITED)]
    assert [one.audited for one in judged] == [False] * TAUGHT + [True] * AUDITED
    assert all(one.errors == {"c0": 1, "c1": 0} for one in judged)
    open_next()
    moved = [c if c.case_id != "case00" else Case(**{**vars(c), "split": Split.TEST}) for c in cases]
    learn_round(moved, schema(), params(1))
    carried = len(list(layout.NEXT_JUDGED_CELLS.iterdir()))
    assert read_card(layout.NEXT_ERROR_MODEL).params["judged"] == carried - 1, "case00 is a test case now"
    assert read_card(layout.NEXT_ERROR_MODEL).parent == read_card(layout.BASE_ERROR_MODEL).id
    open_next()
    learn_round(cases, schema(), params(attention="published"))
    assert files(layout.NEXT_ATTENTION) == files(layout.BASE_ATTENTION), "it is carried on as it is"
    shutil.rmtree(layout.BASE_ERROR_MODEL)
    assert scored(cases, params(2))["attention"]["why"] == "no model was learned at the end of the round before"


def test_audited_cases_do_not_teach(cases, monkeypatch):
    taught = []
    monkeypatch.setattr(learn, "learn_trees", lambda rows, *rest: taught.append(len(rows)) or original(rows, *rest))
    learn_round(cases, schema(), params())
    judged = [read_judged(path) for path in sorted(layout.NEXT_JUDGED_CELLS.iterdir())]
    assert taught == [sum(len(one.cells().error) for one in judged if not one.audited)]

    open_next()
    write_worklist(layout.WORKLIST, [replace(row, reason="attention") for row in read_worklist()])
    learn_round(cases, schema(), params(1))
    audited = {one.case_id for one in judged if one.audited}
    judged = [read_judged(path) for path in sorted(layout.NEXT_JUDGED_CELLS.iterdir())]
    assert len(judged) == 2 * (TAUGHT + AUDITED)
    assert taught[1] == sum(len(one.cells().error) for one in judged if one.case_id not in audited)


def test_other_cases_of_audited_patients_do_not_teach(cases):
    learn_round(cases, schema(), params())
    alone = all_judged(layout.NEXT_JUDGED_CELLS, cases)
    assert len(alone) == TAUGHT + AUDITED
    other = next(one.case_id for one in alone if not one.audited)
    audited = next(one.case_id for one in alone if one.audited)
    same = [replace(c, patient="p") if c.case_id in (other, audited) else c for c in cases]
    assert [one.case_id for one in alone if one not in all_judged(layout.NEXT_JUDGED_CELLS, same)] == [other]


def test_a_case_that_was_audited_twice_counts_once(cases):
    """As one of which a class was rejected the first time; the bound is one of patients."""
    for number in range(2):
        learn_round(cases, schema(), params(number))
        open_next()
    model = error_model.read_error_model(layout.BASE_ERROR_MODEL / WEIGHTS, len(FEATURES))
    assert (len(model.found_at), len(np.unique(model.audited))) == (2 * AUDITED, AUDITED)
    assert model.threshold(1 / (AUDITED + 1) - 0.01) is None


original = learn.learn_trees


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_single_voxels_and_of_values_are_carried_on_and_teach_nothing(cases, version):
    """As formats 1 and 2 have them."""
    learn_round(cases, schema(), params())
    for path in layout.NEXT_JUDGED_CELLS.iterdir():
        arrays, one = load_file(path), read_judged(path)
        said = {
            "format": version,
            "case_id": one.case_id,
            "round": 0,
            "audited": one.audited,
            "features": ["mean", "class"],
        }
        said |= {"classes": list(one.errors), "errors": list(one.errors.values())}
        of_voxels = {"features": arrays["features"][:, :2].copy(), "error": arrays["error"], "weight": arrays["weight"]}
        save_file(of_voxels, path, metadata={"voxledger": json.dumps(said)})
    open_next()
    learn_round(cases, schema(), params(1))
    assert read_card(layout.NEXT_ERROR_MODEL).params["judged"] == TAUGHT + AUDITED
    old = {path.name: file_sha256(path) for path in layout.BASE_JUDGED_CELLS.iterdir()}
    assert old.items() < {path.name: file_sha256(path) for path in layout.NEXT_JUDGED_CELLS.iterdir()}.items()
    why = scored(cases, params(1))["attention"]["why"]
    assert "people have changed 0 visible errors in 0 cases so far" in why
    assert f"what an older voxledger kept of {TAUGHT + AUDITED} judged cases teaches nothing" in why


def test_it_repeats_without_the_memo(cases):
    first = learn_round(cases, schema(), params())
    made = files(layout.NEXT_ATTENTION)
    shutil.rmtree(layout.MEMO)
    assert learn_round(cases, schema(), params()) == first
    assert files(layout.NEXT_ATTENTION) == made


@pytest.mark.parametrize(
    ("file", "said"),
    [(f"errors/{WEIGHTS}", "it was altered"), ("judged/r00-case00.safetensors", "holds no judged cells")],
)
def test_altered_files_are_refused(cases, file, said):
    learn_round(cases, schema(), params())
    open_next()
    path = layout.BASE_ATTENTION / file
    path.chmod(0o600)
    path.write_bytes(pickle.dumps({"feature": 1}))
    with pytest.raises(VoxledgerError, match=said):
        scored(cases, params(1))
