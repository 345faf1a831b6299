"""What learned attention knows of a cell, against plain numpy."""

from __future__ import annotations

import ensembles
import numpy as np
import pytest
from scipy import ndimage

from voxledger.imaging.boxes import whole
from voxledger.imaging.components import connected_components
from voxledger.imaging.visible_change import visible_change
from voxledger.imaging.volume import Grid
from voxledger.params import ScoreParams
from voxledger.score import entropy, judged_cells
from voxledger.score.attention import Attention
from voxledger.score.cells import FEATURES, SURE, CaseCells, cell_size
from voxledger.score.error_model import learn_trees
from voxledger.score.judged_cells import OF_ERROR, RIGHT, Judged, draw_cells, write_judged
from voxledger.score.learn import _found_at
from voxledger.score.learned import attend_learned
from voxledger.score.ranks import quantiles, ranks_of

SHAPE, SPACING = (14, 21, 22), (3.0, 1.0, 1.2)
SIZE = (1, 4, 3)
SCHEMA = ensembles.schema_of(2)


@pytest.fixture
def case(tmp_path):
    """Cells of a case, its published attention, and the probabilities by class and model."""
    models = ensembles.ensemble(SHAPE, SCHEMA.names, 2, seed=1, softness=1.0, wobble=0.7)
    predictions = ensembles.write_ensemble(tmp_path, models, Grid.plain(SHAPE, SPACING))
    read = {name: np.stack([p.read(name) for p in predictions]).astype(np.float64) for name in SCHEMA.names}
    labels = np.zeros(SHAPE, np.uint8)
    for number, name in enumerate(SCHEMA.names, start=1):
        labels[read[name].mean(axis=0) > 0.5] = number
    labels.flat[np.flatnonzero(labels == 1)[:10]] = 0
    image = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    return CaseCells(predictions, labels, image, SCHEMA), Attention(predictions, SCHEMA, ScoreParams(opening=0)), read


def every_voxel(cells):
    return cells.voxels(np.ones(len(cells.features), np.bool_))


def questioned(p, mask):
    """Voxels in question."""
    mean = p.mean(axis=0)
    return ((mean > SURE) & (mean < 1 - SURE)) | (mask != (mean > 0.5))


def test_voxels_in_question_are_in_doubt_or_on_the_wrong_side(case):
    cells_of, attention, read = case
    cells = cells_of.of(attention["c0"], 1)
    voxels, rows = every_voxel(cells)
    mask = cells_of.labels == 1
    np.testing.assert_array_equal(voxels, np.argwhere(questioned(read["c0"], mask)))
    assert (mask != (read["c0"].mean(axis=0) > 0.5)).any(), "the filter took some of it"
    places = voxels // np.array(SIZE)
    assert len(np.unique(np.column_stack([places, rows]), axis=0)) == len(cells.features), "one row, one cell"
    assert len({tuple(p) for p in (cells.places[rows] - places).tolist()}) == 1, "places are those of the rows"
    chosen = np.arange(len(cells.features)) % 3 == 0
    some, of = cells.voxels(chosen)
    np.testing.assert_array_equal(some, voxels[chosen[rows]])
    np.testing.assert_array_equal(of, rows[chosen[rows]])
    level = (np.arange(len(cells.features)) % 5).astype(np.uint8)
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[tuple(voxels.T)] = level[rows]
    np.testing.assert_array_equal(cells.painted(level), wanted[cells.box])


def test_cells_that_touch_a_box(case):
    cells_of, attention, _ = case
    cells = cells_of.of(attention["c0"], 1)
    voxels, rows = every_voxel(cells)
    box = (slice(3, 9), slice(5, 10), slice(7, 20))
    inside = np.all([(voxels[:, i] >= s.start) & (voxels[:, i] < s.stop) for i, s in enumerate(box)], axis=0)
    assert cells.touching(box)[rows[inside]].all()
    assert not cells.touching(box).all()
    assert cells.touching(whole(SHAPE)).all()


def test_features_are_what_they_say(case):
    cells_of, attention, read = case
    p, mask, image = read["c0"], cells_of.labels == 1, cells_of.image.astype(np.float64)
    cells = cells_of.of(attention["c0"], 1)
    voxels, rows = every_voxel(cells)
    place = np.zeros((len(cells.features), 3), int)
    place[rows] = voxels // np.array(SIZE)
    asked, mean = questioned(p, mask), p.mean(axis=0)
    low, high = np.percentile(image, (5, 95))
    image = (image - np.median(image)) / (high - low)
    around = np.zeros(SHAPE)
    for axis, area in enumerate((1.2, 3.6, 3.0)):
        step = np.abs(np.diff(mask.astype(int), axis=axis)) * area
        first, last = ([(1, 0) if a == axis else (0, 0) for a in range(3)] for _ in range(2))
        around += np.where(mask, np.pad(step, first) + np.pad(step, [pair[::-1] for pair in last]), 0)
    # The sums reach as far as the box that any model predicts anything in.
    box = ndimage.find_objects(((p > 0).any(axis=0) | mask).astype(int))[0]
    there = np.zeros(SHAPE)
    there[box] = 1

    def of_cell(values, near=False, take=np.sum):
        pad = np.pad(values * there, [(0, -n % s) for n, s in zip(SHAPE, SIZE, strict=True)])
        blocks = pad.reshape([v for n, s in zip(pad.shape, SIZE, strict=True) for v in (n // s, s)])
        found = take(blocks, axis=(1, 3, 5))
        return (ndimage.convolve(found, np.ones((3, 3, 3)), mode="constant") if near else found)[tuple(place.T)]

    count, size, size_near = of_cell(asked), of_cell(there), of_cell(there, near=True)
    one = attention["c0"]
    bits = np.zeros(SHAPE, np.uint8)
    bits[one.box] = one.bits
    entropies = np.mean([-(q * np.log(q) + (1 - q) * np.log(1 - q)) for q in np.clip(p, 1e-9, 1 - 1e-9)], axis=0)
    inside, outside = of_cell(mask), size - of_cell(mask)
    across = of_cell(image * mask) / np.maximum(inside, 1) - of_cell(image * ~mask) / np.maximum(outside, 1)
    areas = mask.sum(axis=(1, 2))
    wanted = {
        "asked": count / size,
        "doubt": of_cell(asked & (mean > 0.1) & (mean < 0.9)) / size,
        "against": of_cell(mask != (mean > 0.5)) / size,
        "mean": of_cell(asked * mean) / count,
        "deviation": of_cell(asked * p.std(axis=0)) / count,
        "entropy": of_cell(asked * entropies) / count,
        "deviation_most": of_cell(asked * p.std(axis=0), take=np.max),
        "inconsistent": of_cell(asked & (bits & 1 > 0)) / count,
        "uncertain": of_cell(asked & (bits & 2 > 0)) / count,
        "mask": inside / size,
        "border": of_cell(around) / (size * 3.6),
        "thickness_mm": np.minimum(of_cell(asked, True) * 3.6 / np.maximum(of_cell(around, True), 1e-6), 50),
        "slice_mm": np.sqrt(areas * 1.2)[place[:, 0]],
        "slice_share": (areas / areas.max())[place[:, 0]],
        "intensity": of_cell(asked * image) / count,
        "unlike_mask": (of_cell(asked * image) / count - image[mask].mean()) / image[mask].std(),
        "across": np.where((inside > 0) & (outside > 0), across, 0),
        "doubt_near": of_cell(asked & (mean > 0.1) & (mean < 0.9), True) / size_near,
        "entropy_near": of_cell(asked * entropies, True) / of_cell(asked, True),
        "mask_near": of_cell(mask, True) / size_near,
        "class_ml": np.full(len(place), np.log1p(mask.sum() * 0.0036)),
        "class": np.ones(len(place)),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(cells.features[:, FEATURES.index(name)], values, rtol=2e-3, atol=2e-3, err_msg=name)
    assert cell_size(cells_of.grid) == SIZE


def test_one_model_has_no_deviation(tmp_path, case):
    cells_of, _, _ = case
    models = ensembles.ensemble(SHAPE, SCHEMA.names, 1, seed=1)
    alone = ensembles.write_ensemble(tmp_path / "alone", models)
    found = CaseCells(alone, cells_of.labels, cells_of.image, SCHEMA).of(
        Attention(alone, SCHEMA, ScoreParams())["c0"], 0
    )
    assert found.features[:, FEATURES.index("deviation")].max() < 1e-3
    assert (found.features[:, FEATURES.index("class_agreement")] == 1).all()


@pytest.mark.parametrize("labelled", [False, True], ids=["nothing at all", "one voxel that no model predicts"])
def test_a_class_without_a_prediction(tmp_path, labelled):
    models = [{"c0": np.zeros(SHAPE), "c1": np.zeros(SHAPE)}]
    predictions = ensembles.write_ensemble(tmp_path, models)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 4, 5] = labelled
    empty = CaseCells(predictions, labels, np.zeros(SHAPE, np.int16), SCHEMA)
    found = empty.of(Attention(predictions, SCHEMA, ScoreParams())["c0"], 0)
    if not labelled:
        assert found is None
        return
    np.testing.assert_array_equal(every_voxel(found)[0], [[3, 4, 5]])
    assert np.isfinite(found.features).all()


def test_slabs_do_not_show(case, monkeypatch):
    cells_of, attention, _ = case
    first = cells_of.of(attention["c0"], 1)
    monkeypatch.setattr(entropy, "SLAB", 3)
    again = cells_of.of(attention["c0"], 1)
    np.testing.assert_array_equal(first.features, again.features)
    for one, other in zip(every_voxel(first), every_voxel(again), strict=True):
        np.testing.assert_array_equal(one, other)


def ranks_in(cells_of, attention):
    """Ranks of a round of which this is the only case."""
    found = {name: cells_of.of(attention[name], 0) for name in SCHEMA.names}
    return ranks_of([{name: quantiles(cells.features).tolist() for name, cells in found.items()}])


def test_attention_touches_just_the_errors_whose_score_reaches_the_threshold(tmp_path, case):
    """Else the bound on what is missed, which is set by these scores, would not be one of what people are shown."""
    cells_of, attention, _ = case
    after = np.roll(cells_of.labels, (1, 2, 2), (0, 1, 2))
    ranks = ranks_in(cells_of, attention)
    errors, drawn = draw_cells(cells_of, attention, ranks, after, dict.fromkeys(SCHEMA.names, True), 0.0, "seed", True)
    judged = Judged(tmp_path / "judged.safetensors", "case", 0, True, errors)
    write_judged(judged, drawn)
    wrong = (drawn.error > 0) ^ (np.random.default_rng(0).random(len(drawn.error)) < 0.2)
    model = learn_trees(drawn.features, wrong, np.ones(len(wrong)), 0)
    scores = _found_at(judged, model, {name: number for number, name in enumerate(SCHEMA.names)})
    assert len(np.unique(scores)) > 2
    numbers = iter(scores.tolist())
    of_class = {name: np.array([next(numbers) for _ in range(errors[name])]) for name in SCHEMA.names}
    for threshold in np.unique(scores[np.isfinite(scores)]).tolist():
        for found in attend_learned(cells_of, attention, ranks, model, SCHEMA.names, threshold)[1]:
            flagged = np.zeros(SHAPE, np.bool_)
            if found.box is not None:
                flagged[found.box] = found.bits != 0
            was, became = (SCHEMA.mask(labels, found.name) for labels in (cells_of.labels, after))
            components, count = connected_components(visible_change(was, became, SPACING, 0.0))
            touched = np.isin(np.arange(1, count + 1), components[flagged])
            np.testing.assert_array_equal(touched, of_class[found.name] >= threshold)


def test_what_is_drawn_stands_for_all_and_repeats(case, monkeypatch):
    cells_of, attention, _ = case
    monkeypatch.setattr(judged_cells, "RIGHT", 20)
    after = cells_of.labels.copy()
    after[cells_of.labels == 1] = np.where(np.argwhere(cells_of.labels == 1)[:, 2] < 8, 0, 1)
    revised = {"c0": True, "c1": False}
    ranks = ranks_in(cells_of, attention)
    errors, drawn = draw_cells(cells_of, attention, ranks, after, revised, 1.0, "seed", False)
    assert errors["c0"] > 0
    assert errors["c1"] == 0, "it was accepted, though the label map differs from what it became"
    assert set(drawn.error.tolist()) <= set(range(errors["c0"] + 1))
    numbers = [len(cells_of.of(attention[name], 0).features) for name in SCHEMA.names]
    right = drawn.error == 0
    of_error = len(np.unique(drawn.features[~right], axis=0))
    assert drawn.weight[right].sum() == pytest.approx(sum(numbers) - of_error, rel=1e-5)
    assert np.bincount(drawn.error)[1:].max() <= OF_ERROR
    assert np.count_nonzero(right) <= 2 * 20 < 2 * RIGHT
    _, again = draw_cells(cells_of, attention, ranks, after, revised, 1.0, "seed", False)
    for name in vars(drawn):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(again, name))
    _, audited = draw_cells(cells_of, attention, ranks, after, revised, 1.0, "seed", True)
    assert (audited.weight == 1).all(), "of a blind case all cells are kept"
    assert np.count_nonzero(audited.error == 0) == sum(numbers) - of_error
    _, other = draw_cells(cells_of, attention, ranks, after, revised, 1.0, "another seed", False)
    assert not np.array_equal(drawn.features, other.features)
