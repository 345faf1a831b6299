"""What learned attention knows of a voxel, against plain numpy."""

from __future__ import annotations

import ensembles
import numpy as np
import pytest
from scipy import ndimage

from voxledger.imaging.volume import Grid
from voxledger.params import ScoreParams
from voxledger.score import entropy
from voxledger.score.attention import Attention
from voxledger.score.judged_voxels import OF_ERROR, RIGHT, draw_voxels
from voxledger.score.voxels import FEATURES, SURE, CaseVoxels

SHAPE, SPACING = (14, 20, 22), (3.0, 1.0, 1.0)
SCHEMA = ensembles.schema_of(2)


@pytest.fixture
def case(tmp_path):
    """Voxels of a case, its published attention, and the mean of the models by class."""
    models = ensembles.ensemble(SHAPE, SCHEMA.names, 2, seed=1, softness=1.0, wobble=0.7)
    predictions = ensembles.write_ensemble(tmp_path, models, Grid.plain(SHAPE, SPACING))
    mean = {name: np.mean([model[name] for model in models], axis=0) for name in SCHEMA.names}
    labels = np.zeros(SHAPE, np.uint8)
    for number, name in enumerate(SCHEMA.names, start=1):
        labels[mean[name] > 0.5] = number
    labels.flat[np.flatnonzero(labels == 1)[:10]] = 0
    image = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    return CaseVoxels(predictions, labels, image, SCHEMA), Attention(predictions, SCHEMA, ScoreParams(opening=0)), mean


def table(case, attention, name="c0"):
    """All voxels in question of a class, and their features."""
    slabs = list(case.slabs(attention[name], 1))
    return np.concatenate([s.voxels for s in slabs]), np.concatenate([s.features for s in slabs])


def test_voxels_in_question_are_in_doubt_or_on_the_wrong_side(case):
    voxels_of, attention, mean = case
    found, _ = table(voxels_of, attention)
    p, mask = mean["c0"].astype(np.float32), voxels_of.labels == 1
    wanted = ((p > SURE) & (p < 1 - SURE)) | (mask != (p > 0.5))
    np.testing.assert_array_equal(found, np.argwhere(wanted))
    assert (mask != (p > 0.5)).any(), "the filter took some of it"


def test_features_are_what_they_say(case):
    voxels_of, attention, mean = case
    found, features = table(voxels_of, attention)
    at, column = tuple(found.T), {name: features[:, i] for i, name in enumerate(FEATURES)}
    mask, image = voxels_of.labels == 1, voxels_of.image.astype(np.float64)
    distance = [ndimage.distance_transform_edt(m, sampling=SPACING) for m in (mask, ~mask)]
    signed = np.where(mask, distance[0], -distance[1])
    near, apart = np.ones((3, 3, 3)), np.zeros((5, 5, 5))
    apart[::2, ::2, ::2] = 1
    one = attention["c0"]
    bits = np.zeros(SHAPE, np.uint8)
    bits[one.box] = one.bits
    inside = mask.sum() * 0.003
    areas = mask.sum(axis=(1, 2))
    high, low = np.percentile(image, (95, 5))
    count = ndimage.convolve(np.ones(SHAPE), near, mode="constant")
    contrast = ndimage.convolve(image**2, near, mode="constant") / count
    contrast -= (ndimage.convolve(image, near, mode="constant") / count) ** 2
    wanted = {
        "mean": mean["c0"],
        "mean_near": ndimage.convolve(mean["c0"], near, mode="constant") / count,
        "doubt_near": ndimage.convolve(((mean["c0"] > 0.1) & (mean["c0"] < 0.9)) * 1.0, apart, mode="constant") / 27,
        "uncertain": (bits & 2) > 0,
        "border_mm": np.clip(signed, -5, 5),
        "mask_near": ndimage.convolve(mask.astype(float), apart, mode="constant") / 27,
        "slice_mm": np.sqrt(areas)[:, None, None] + np.zeros(SHAPE),
        "slice_share": (areas / areas.max())[:, None, None] + np.zeros(SHAPE),
        "intensity": (image - np.median(image)) / (high - low),
        "unlike_mask": (image - image[mask].mean()) / image[mask].std(),
        "contrast": np.sqrt(contrast) / (high - low),
        "class_ml": np.full(SHAPE, np.log1p(inside)),
        "class": np.ones(SHAPE),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(column[name], np.asarray(values, float)[at], rtol=2e-3, atol=2e-3, err_msg=name)
    assert (column["deviation"] > 0).any()


def test_one_model_has_no_deviation(tmp_path, case):
    voxels_of, _, _ = case
    models = ensembles.ensemble(SHAPE, SCHEMA.names, 1, seed=1)
    alone = ensembles.write_ensemble(tmp_path / "alone", models)
    found = CaseVoxels(alone, voxels_of.labels, voxels_of.image, SCHEMA)
    _, features = table(found, Attention(alone, SCHEMA, ScoreParams()))
    assert not features[:, FEATURES.index("deviation")].any()
    assert (features[:, FEATURES.index("class_agreement")] == 1).all()


def test_a_class_without_a_voxel_has_none_in_question(tmp_path):
    models = [{"c0": np.zeros(SHAPE), "c1": np.zeros(SHAPE)}]
    predictions = ensembles.write_ensemble(tmp_path, models)
    empty = CaseVoxels(predictions, np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.int16), SCHEMA)
    assert list(empty.slabs(Attention(predictions, SCHEMA, ScoreParams())["c0"], 0)) == []


def test_slabs_do_not_show(case, monkeypatch):
    voxels_of, attention, _ = case
    whole = table(voxels_of, attention)
    monkeypatch.setattr(entropy, "SLAB", 3)
    for one, other in zip(whole, table(voxels_of, attention), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_drawn_stands_for_all_and_repeats(case, monkeypatch):
    voxels_of, attention, _ = case
    after = voxels_of.labels.copy()
    after[voxels_of.labels == 1] = np.where(np.argwhere(voxels_of.labels == 1)[:, 2] < 8, 0, 1)
    revised = {"c0": True, "c1": False}
    errors, drawn = draw_voxels(voxels_of, attention, after, revised, 1.0, "seed")
    assert errors["c0"] > 0
    assert errors["c1"] == 0, "it was accepted, though the label map differs from what it became"
    numbers = [len(table(voxels_of, attention, name)[0]) for name in SCHEMA.names]
    assert drawn.weight.sum() == pytest.approx(sum(numbers), rel=1e-5)
    assert set(drawn.error.tolist()) <= set(range(errors["c0"] + 1))
    of_error = np.bincount(drawn.error)
    assert of_error[1:].max() <= OF_ERROR
    assert np.count_nonzero(drawn.error == 0) <= 2 * RIGHT
    monkeypatch.setattr(entropy, "SLAB", 3)
    _, again = draw_voxels(voxels_of, attention, after, revised, 1.0, "seed")
    for name in vars(drawn):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(again, name))
    _, other = draw_voxels(voxels_of, attention, after, revised, 1.0, "another seed")
    assert not np.array_equal(drawn.features, other.features)
