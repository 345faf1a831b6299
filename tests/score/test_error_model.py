"""The model of errors: trees as arrays, probabilities, thresholds."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from voxledger.errors import VoxledgerError
from voxledger.records.card import WEIGHTS, save_arrays
from voxledger.score import error_model
from voxledger.score.error_model import (
    conformal_threshold,
    learn_trees,
    platt,
    read_error_model,
    region_scores,
    tensors_of,
)


def rows(count=3000, seed=0):
    """Voxels of four features, of which two say how likely an error is."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 4)).astype(np.float32)
    wrong = rng.random(count) < 1 / (1 + np.exp(-(2 * values[:, 0] + values[:, 1] * values[:, 2] - 2)))
    return values, wrong, rng.uniform(0.5, 2.0, count)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(error_model, "TREES", 12)
    return learn_trees(*rows(), 0)


def test_arrays_say_what_the_trees_of_scikit_learn_say(monkeypatch):
    kept = []

    class Kept(HistGradientBoostingClassifier):
        def fit(self, *args, **kwargs):
            kept.append(self)
            return super().fit(*args, **kwargs)

    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", Kept)
    monkeypatch.setattr(error_model, "TREES", 12)
    found = learn_trees(*rows(), 0)
    asked = rows(500, seed=1)[0]
    np.testing.assert_allclose(found.scores(asked), kept[0].decision_function(asked), rtol=0, atol=1e-12)
    assert found.feature.shape == (12, 31)


def test_a_model_is_read_as_it_was_written(model, tmp_path):
    save_arrays(tmp_path, tensors_of(model))
    asked = rows(500, seed=1)[0]
    again = read_error_model(tmp_path / WEIGHTS, 4)
    np.testing.assert_array_equal(again.scores(asked), model.scores(asked))
    (tmp_path / "twice").mkdir()
    assert save_arrays(tmp_path, tensors_of(model)) == save_arrays(
        tmp_path / "twice", tensors_of(learn_trees(*rows(), 0))
    )


@pytest.mark.parametrize(
    ("content", "features"),
    [(pickle.dumps({"feature": 1}), 4), (b"", 4), (None, 2)],
    ids=["a pickle", "nothing", "trees of features that a voxel does not have"],
)
def test_what_is_no_model_is_refused(model, tmp_path, content, features):
    save_arrays(tmp_path, tensors_of(model))
    if content is not None:
        (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(VoxledgerError, match=WEIGHTS):
        read_error_model(tmp_path / WEIGHTS, features)


@pytest.mark.parametrize("name", ["audited", "round", "found_at"])
def test_audits_that_do_not_fit_each_other_are_refused(model, tmp_path, name):
    """Else it would be found out by an error that says nothing, or not at all."""
    spoilt = tensors_of(model) | {name: np.zeros(3, getattr(model, name).dtype)}
    save_arrays(tmp_path, spoilt)
    with pytest.raises(VoxledgerError, match=WEIGHTS):
        read_error_model(tmp_path / WEIGHTS, 4)


def test_probabilities_are_those_of_other_cases():
    """Scores three times too sure are brought back; without an error nothing is known."""
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, 20_000)
    wrong = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    slope, offset = platt(3 * odds + 1, wrong, np.ones(len(odds)))
    assert slope == pytest.approx(1 / 3, abs=0.02)
    assert offset == pytest.approx(-1 / 3, abs=0.05)
    np.testing.assert_array_equal(platt(odds, np.zeros(len(odds), bool), np.ones(len(odds))), [1, 0])


@pytest.mark.parametrize(
    ("patient", "found_at", "miss", "expected"),
    [
        ([], [], 0.15, None),
        ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], 0.15, None),  # 1 / 6 > 0.15 already
        ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], 0.15, 1.0),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4, 3, 2, 1], 0.3, 3.0),
        ([0] * 2 + [1, 2, 3, 4, 5, 6, 7], [0, 9, 5, 5, 5, 5, 5, 5, 5], 0.17, 5.0),  # half of one patient
        ([0, 1, 2, 3, 4, 5], [-np.inf, 2, 3, 4, 5, 6], 0.15, None),  # what is never found counts
        ([0, 1, 2, 3, 4, 5], [-np.inf, 2, 3, 4, 5, 6], 0.3, 2.0),
        ([0, 0, 1, 1, 2, 2], [4, 4, 4, 4, 4, 4], 0.25, 4.0),
    ],
)
def test_the_threshold_is_the_highest_that_is_allowed(patient, found_at, miss, expected):
    assert conformal_threshold(np.array(patient, np.int32), np.array(found_at, float), miss) == expected


@pytest.mark.parametrize("miss", [0.1, 0.15, 0.3])
def test_no_more_is_missed_than_was_asked_for(miss):
    """Over many draws of 15 audited patients, of the errors of one patient more; and hardly less."""
    rng, missed = np.random.default_rng(1), []
    for _ in range(3000):
        patients = [rng.normal(rng.normal(), 1, rng.integers(1, 5)) for _ in range(16)]
        number = np.repeat(np.arange(15, dtype=np.int32), [len(p) for p in patients[:15]])
        threshold = conformal_threshold(number, np.concatenate(patients[:15]), miss)
        missed.append(np.mean(patients[15] < threshold) if threshold is not None else 0.0)
    assert np.mean(missed) <= miss + 3 * np.std(missed) / np.sqrt(len(missed))
    assert np.mean(missed) >= miss - 0.08


def audits(*patients_by_round):
    """A model whose threshold is set by patients with an error each, found at the number of their round."""
    counts = [len(patients) for patients in patients_by_round]
    rounds = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    audited = np.array([patient for patients in patients_by_round for patient in patients], np.int32)
    return replace(learn_trees(*rows(200), 0), audited=audited, round=rounds, found_at=rounds.astype(float))


@pytest.mark.parametrize(
    ("patients", "miss", "expected", "count"),
    [
        ([[0, 1, 2], [3, 4, 5]], 0.25, 1.0, 3),  # the newest round is enough
        ([[0, 1, 2], [3, 4]], 0.25, 0.0, 5),  # it is not, and goes together with the one before
        ([[0, 1, 2], [3, 4, 5], [6], [7]], 0.25, 1.0, 5),  # as few rounds as it takes
        ([[0, 1, 2], [3, 3, 3]], 0.25, 0.0, 4),  # several errors of one patient are not several patients
        ([[0, 1], []], 0.25, None, 2),
        ([[]], 0.25, None, 0),
    ],
)
def test_the_newest_audits_set_the_threshold(patients, miss, expected, count):
    """Networks of earlier rounds erred elsewhere; of these as few count as are needed."""
    model = audits(*patients)
    assert (model.threshold(miss), model.audited_patients(miss)) == (expected, count)


def test_errors_out_of_reach_are_outweighed_by_earlier_audits():
    """Two of seven patients are too much for 0.25, of thirteen they are not."""
    model = audits(range(6), range(6, 13))
    found = model.found_at.copy()
    found[-1], found[-2] = -np.inf, -np.inf
    model = replace(model, found_at=found)
    assert conformal_threshold(model.audited[6:], found[6:], 0.25) is None
    assert (model.threshold(0.25), model.audited_patients(0.25)) == (0.0, 13)


@pytest.mark.parametrize(("each", "beyond", "miss"), [(2, 0.03, 0.15), (8, 0.0, 0.15), (8, 0.08, 0.15), (4, 0.08, 0.3)])
def test_that_as_few_rounds_as_possible_are_taken_misses_no_more(each, beyond, miss):
    """Five rounds with some patients each, of whose errors some are out of reach; and one patient more."""
    rng, missed = np.random.default_rng(2), []

    def patient():
        found = rng.normal(rng.normal(), 1, rng.integers(1, 5))
        return np.where(rng.random(len(found)) < beyond, -np.inf, found)

    bare = audits([])
    for _ in range(1500):
        patients = [patient() for _ in range(5 * each)]
        counts = [len(one) for one in patients]
        number = np.arange(5 * each, dtype=np.int32)
        model = replace(
            bare,
            audited=np.repeat(number, counts),
            round=np.repeat(number // each, counts),
            found_at=np.concatenate(patients),
        )
        if (threshold := model.threshold(miss)) is not None:
            missed.append(np.mean(patient() < threshold))
    assert len(missed) > 700
    assert np.mean(missed) <= miss + 3 * np.std(missed) / np.sqrt(len(missed))


def test_regions_too_small_to_be_seen_are_none():
    places = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 3], [0, 0, 5], [0, 0, 7], [0, 0, 7]], np.int32)
    scores, asked = np.array([1.0, 2.0, 0.5, -2.0, 3.0, 3.0]), np.array([0.2, 0.1, 0.2, 0.2, 0.2, 0.2], np.float32)
    # Two cells together are large enough; a cell that stands there for each of two errors is as small as it is.
    assert region_scores(places, scores, asked).tolist() == [2.0, 2.0, -np.inf, -np.inf, -np.inf, -np.inf]
