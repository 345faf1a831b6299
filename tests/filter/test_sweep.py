"""The rules over all thresholds in one pass leave what the filter leaves at each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxledger.evaluate.detection import diameter_mm
from voxledger.filter.apply import apply_rules
from voxledger.filter.chain import read_rules
from voxledger.filter.curves import curve_by_filtering, lesion_curve
from voxledger.filter.harm import detection_of
from voxledger.filter.proposal import Proposal, Verdict
from voxledger.filter.rules.minimum_volume import MinimumVolume
from voxledger.filter.sweep import Unseen, sweep
from voxledger.imaging.boxes import bounding_box, whole
from voxledger.imaging.detection import ball_ml, detect
from voxledger.imaging.froc import TRIED, tried_thresholds
from voxledger.imaging.soft import SoftPrediction
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

Entry = dict[str, Any]
NAMES = ("pancreas", "pancreatic_duct", "pdac", "cyst")
SCHEMA = LabelSchema.model_validate(
    {
        "name": "test",
        "classes": [
            {"id": 5, "name": "pancreas"},
            {"id": 6, "name": "pancreatic_duct", "inside": "pancreas"},
            {"id": 7, "name": "pdac", "inside": "pancreas", "lesion": True},
            {"id": 8, "name": "cyst", "inside": "pancreas", "lesion": True},
        ],
    }
)
BOTH = ["pdac", "cyst"]
RULES: list[Entry] = [
    {"rule": "largest_component", "classes": ["pancreas"]},
    {"rule": "minimum_volume", "classes": ["pancreas"], "ml": 0.004},
    {"rule": "fill_holes", "classes": ["pancreas"]},
    {"rule": "inside_organ", "classes": BOTH},
    {"rule": "inside_organ", "classes": BOTH, "grown_mm": 1.1},
    {"rule": "inside_organ", "classes": ["pdac"], "share": 0.5, "to": "organ"},
    {"rule": "inside_organ", "classes": ["cyst"], "share": 0.5},
    {"rule": "volume_ratio", "classes": BOTH, "percent": {"pdac": 30, "cyst": 20}},
    {"rule": "volume_ratio", "classes": ["pdac"], "percent": {"pdac": 20}, "scope": "patient"},
    {"rule": "volume_ratio", "classes": BOTH, "percent": {"pdac": 20, "cyst": 40}, "denominator": "organ"},
    {"rule": "touching", "classes": BOTH, "tolerance_mm": 1.0},
    {"rule": "touching", "classes": ["cyst"]},
    {"rule": "touching", "classes": ["pdac"], "structures": ["cyst"]},
    {"rule": "distance", "classes": BOTH, "structures": ["pancreatic_duct"], "maximum_mm": 3},
    {"rule": "mean_hu", "classes": BOTH, "ranges": {"pdac": [-20, 60], "cyst": [0, 80]}},
    {"rule": "minimum_volume", "classes": BOTH, "ml": 0.004},
    {"rule": "expected_volume", "classes": BOTH, "ml": 0.003},
    {"rule": "minimum_slices", "classes": BOTH, "slices": 2},
    {"rule": "elongation", "classes": BOTH, "maximum": 2},
    {"rule": "largest_component", "classes": ["pdac"], "to": "organ"},
]
FLOOR = 0.003


def case(
    maps: dict[str, Any], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), image: Any = None, is_ct: bool = True
) -> Proposal:
    """The proposal of one model at 0.5."""
    stored = np.stack(list(maps.values())).astype(np.float16)
    boxes = {name: bounding_box(values) for name, values in zip(maps, stored, strict=True)}
    grid = Grid.plain(stored.shape[1:], spacing)
    soft = SoftPrediction(tuple(maps), boxes, grid, "model", "", whole(grid.shape), stored)
    intensities = np.full(stored.shape[1:], 40, np.int16) if image is None else image
    return Proposal([soft], intensities, is_ct, SCHEMA, dict.fromkeys(SCHEMA.names, 0.5))


def random_case(rng: np.random.Generator, is_ct: bool = True) -> Proposal:
    shape = tuple(rng.integers(1, 9, 3))
    maps = {}
    for name, offset in zip(NAMES, (0.3, -2, -1, -1), strict=True):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), rng.choice([0.4, 0.8, 1.5]))
        p = 1 / (1 + np.exp(-(2 * noise / (noise.std() + 1e-9) + offset)))
        maps[name] = np.round(p, rng.choice([1, 2, 3])) * (rng.random(shape) > 0.2)
    spacing = rng.choice([0.7, 1.0, 2.5], 3)
    image = rng.integers(-100, 150, shape).astype(np.int16)
    return case(maps, (float(spacing[0]), float(spacing[1]), float(spacing[2])), image, is_ct)


def assert_equal_everywhere(
    proposal: Proposal,
    truth: Any,
    name: str,
    entries: list[Entry],
    overlap: float,
    floor: float,
    from_mm: float = 0.0,
) -> int:
    """The curve against the filter at every threshold that could differ; returns how often a component was left."""
    rules = read_rules(entries, SCHEMA)
    curve = lesion_curve(proposal, truth, [name], rules, overlap, from_mm, floor)
    values = np.unique(proposal.predictions[0].read(name)).astype(np.float32)
    thresholds = np.unique(np.concatenate([values, np.nextafter(values, np.float32(0)), [np.float32(0.5)]]))
    thresholds = thresholds[thresholds >= np.float32(floor)]
    if curve.tried:
        thresholds = np.array(tried_thresholds(0.5, floor), np.float32)[::7]
    found = np.stack(curve.at(thresholds), axis=1)
    expected = []
    for threshold in thresholds:
        one = proposal.at([name], float(threshold))
        apply_rules(one, rules, "case")
        detection, _ = detection_of(one, truth, [name], overlap)
        hit = [h for h, ml in zip(detection.hit, detection.lesion_ml, strict=True) if diameter_mm(ml) >= from_mm]
        expected.append((detection.components, detection.true_components, sum(hit)))
        assert (curve.lesions, curve.small) == (len(hit), detection.lesions - len(hit))
    np.testing.assert_array_equal(found, expected)
    return int(np.count_nonzero(found[:, 0]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    chosen=st.lists(st.sampled_from(range(len(RULES))), min_size=1, max_size=5, unique=True),
    overlap=st.sampled_from([0.0, 0.1, 0.5]),
    floor=st.sampled_from([0.0, FLOOR, 0.1]),
    is_ct=st.sampled_from([True, True, False]),
    from_mm=st.sampled_from([0.0, 1.5, 3.0]),
)
def test_random_volumes(
    seed: int, chosen: list[int], overlap: float, floor: float, is_ct: bool, from_mm: float
) -> None:
    rng = np.random.default_rng(seed)
    proposal = random_case(rng, is_ct)
    inside = rng.random(proposal.grid.shape) < rng.choice([0.02, 0.1, 0.3])
    for name in BOTH:
        truth = np.where(inside, SCHEMA[name].id, 0)
        assert_equal_everywhere(proposal, truth, name, [RULES[k] for k in chosen], overlap, floor, from_mm)


@pytest.mark.parametrize("entry", RULES, ids=lambda entry: f"{entry['rule']}-{'-'.join(entry['classes'])}")
def test_every_rule_is_seen_alone_in_one_pass(entry: Entry) -> None:
    """Neither by chance equal on empty masks, nor filtered threshold by threshold."""
    left = seen = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        proposal = random_case(rng)
        truth = np.where(rng.random(proposal.grid.shape) < 0.2, SCHEMA["pdac"].id, 0)
        try:
            sweep(proposal, "pdac", read_rules([entry], SCHEMA), FLOOR)
        except Unseen:
            continue
        left += assert_equal_everywhere(proposal, truth, "pdac", [entry], 0.1, FLOOR)
        seen += 1
    assert seen >= 4
    assert left > 0


def maps_of(shape: tuple[int, int, int] = (6, 8, 10), **blocks: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Maps of all classes; blocks are (z, y, x, probability)."""
    maps = {name: np.zeros(shape) for name in NAMES}
    for name, parts in blocks.items():
        for z, y, x, p in parts:
            maps[name][z, y, x] = p
    return maps


WHOLE = (slice(None),) * 3


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7)])
@pytest.mark.parametrize(
    ("maps", "truth"),
    [
        (maps_of(), []),
        (maps_of(), [(2, 3, 4)]),
        (maps_of(pdac=[(2, 3, 4, 0.2)]), [(2, 3, 4)]),
        (maps_of(pancreas=[(*WHOLE, 0.9)], pdac=[(2, 3, 4, 0.2)]), [(2, 3, 4)]),
        (maps_of(pancreas=[(*WHOLE, 0.9)], pdac=[(*WHOLE, 0.9)]), [(2, 3, 4)]),
        (maps_of(pancreas=[(*WHOLE, 0.9)], pdac=[(*WHOLE, 0.001)]), [(2, 3, 4)]),
        (maps_of((1, 1, 1), pancreas=[(0, 0, 0, 0.9)], pdac=[(0, 0, 0, 0.9)]), [(0, 0, 0)]),
    ],
)
def test_empty_and_single_and_full(maps: dict[str, Any], truth: list[Any], spacing: tuple[float, float, float]) -> None:
    labels = np.zeros(next(iter(maps.values())).shape, np.uint8)
    for place in truth:
        labels[place] = SCHEMA["pdac"].id
    for entry in RULES:
        assert_equal_everywhere(case(maps, spacing), labels, "pdac", [entry], 0.1, FLOOR)


def test_what_lies_in_a_removed_piece_of_an_organ_goes_along_and_what_bridges_it_is_cut() -> None:
    """At 0.3 the lesion hangs on the piece alone, and goes whole; at 0.1 it reaches the organ, and is cut in two."""
    row = [(3, 4, x, p) for x, p in zip(range(1, 8), (0.2, 0.6, 0.6, 0.3, 0.1, 0.1, 0.4), strict=True)]
    maps = maps_of(pancreas=[(3, 4, slice(2, 4), 0.9), (slice(1, 5), slice(2, 7), slice(6, 10), 0.9)], pdac=row)
    truth = np.zeros((6, 8, 10), np.uint8)
    truth[3, 4, 1] = truth[3, 4, 7] = SCHEMA["pdac"].id
    proposal = case(maps)
    rules = read_rules(RULES[:1], SCHEMA)
    nodes = sweep(proposal, "pdac", rules, FLOOR)
    assert nodes is not None
    curve = lesion_curve(proposal, truth, ["pdac"], rules, 0.0, 0.0, FLOOR)
    found = np.stack(curve.at(np.array([0.5, 0.35, 0.25, 0.15, 0.05], np.float32)), axis=1)
    assert found.tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1], [2, 2, 2]]
    assert assert_equal_everywhere(proposal, truth, "pdac", RULES[:1], 0.0, FLOOR) > 0


def lesions_over_the_organ() -> dict[str, Any]:
    return maps_of(
        pancreas=[(slice(1, 5), slice(2, 7), slice(1, 9), 0.9)],
        pancreatic_duct=[(2, 4, slice(1, 9), 0.9)],
        pdac=[(slice(1, 5), slice(2, 7), slice(1, 7), 0.1), (3, 4, slice(2, 5), 0.8)],
        cyst=[(3, slice(2, 7), 8, 0.7)],
    )


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"rule": "fill_holes", "classes": ["pdac"]}, "fill_holes judges pdac at one threshold alone"),
        ({"rule": "touching", "classes": ["pdac"], "structures": ["pdac"]}, "touching judges pdac at one threshold"),
        ({"rule": "volume_ratio", "classes": ["cyst"], "percent": {"cyst": 10}}, "volume_ratio of cyst looks at pdac"),
        (
            {"rule": "minimum_volume", "classes": ["pdac"], "ml": 0.05, "to": "background"},
            "takes voxels of pdac out",
        ),
        ({"rule": "minimum_volume", "classes": ["cyst"], "ml": 0.05, "to": "background"}, ""),
    ],
)
def test_where_the_class_decides_about_others_the_filter_is_asked(entry: Entry, why: str) -> None:
    maps = lesions_over_the_organ()
    if not why:
        maps["pdac"][3, 4, 8] = 0.05
        why = "minimum_volume removes what is cyst and pdac"
    truth = np.zeros((6, 8, 10), np.uint8)
    truth[3, 4, 2:5] = SCHEMA["pdac"].id
    proposal, rules = case(maps), read_rules([entry], SCHEMA)
    with pytest.raises(Unseen, match=why):
        sweep(proposal, "pdac", rules, FLOOR)
    curve = lesion_curve(proposal, truth, ["pdac"], rules, 0.1, 0.0, FLOOR)
    assert why in curve.tried
    thresholds = tried_thresholds(0.5, FLOOR)
    assert (len(thresholds), thresholds[0], thresholds[-1]) == (TRIED, 0.5, float(np.float32(FLOOR)))
    same = curve_by_filtering(proposal, truth, ["pdac"], rules, 0.1, 0.0, thresholds, "")
    for a, b in zip(curve.at(np.array(thresholds)), same.at(np.array(thresholds)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal_everywhere(proposal, truth, "pdac", [entry], 0.1, FLOOR)


def test_another_lesion_that_comes_out_alike_either_way_needs_no_filter() -> None:
    """The rule looks at the class, but what it says of the cyst is the same without it and with all of it."""
    proposal = case(lesions_over_the_organ())
    rules = read_rules([{"rule": "volume_ratio", "classes": BOTH, "percent": {"pdac": 20, "cyst": 60}}], SCHEMA)
    nodes = sweep(proposal, "pdac", rules, FLOOR)
    assert nodes is not None
    assert 0 < nodes.spans.length(nodes.tree.size).sum() < nodes.tree.spans.length(nodes.tree.size).sum()


class Doubled(MinimumVolume):
    """A rule of another package that changes what ours judges, and nothing else."""

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        return MinimumVolume(rule="", classes=self.classes, ml=2 * self.ml).judge(proposal, name)


def test_a_rule_that_inherits_all_but_its_judge_is_not_believed() -> None:
    rule = Doubled(rule="doubled", classes=("pdac",), ml=0.004)
    with pytest.raises(Unseen, match="doubled judges pdac at one threshold alone"):
        sweep(case(lesions_over_the_organ()), "pdac", [rule], FLOOR)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    chosen=st.lists(st.sampled_from(range(len(RULES))), min_size=1, max_size=3, unique=True),
    overlap=st.sampled_from([0.0, 0.1, 0.5]),
    from_mm=st.sampled_from([0.0, 1.5]),
)
def test_lesions_of_all_classes_are_found_by_regions_of_any(
    seed: int, chosen: list[int], overlap: float, from_mm: float
) -> None:
    rng = np.random.default_rng(seed)
    proposal = random_case(rng)
    truth = rng.choice(np.array([0, *(SCHEMA[n].id for n in SCHEMA.lesions)], np.uint8), proposal.grid.shape)
    truth *= rng.random(truth.shape) < 0.3
    rules = read_rules([RULES[i] for i in chosen], SCHEMA)
    curve = lesion_curve(proposal, truth, SCHEMA.lesions, rules, overlap, from_mm, FLOOR)
    assume(not curve.tried)
    thresholds = np.array([0.5, *np.quantile(proposal.predictions[0].read("pdac"), np.linspace(0.2, 1, 9))], np.float32)
    thresholds = np.unique(thresholds[thresholds >= FLOOR])
    small_ml = ball_ml(from_mm)
    for threshold, *found in zip(thresholds, *curve.at(thresholds), strict=True):
        seen = []
        for name in SCHEMA.lesions:
            one = proposal.at([name], float(threshold))
            apply_rules(one, rules, "case")
            predicted = one.mask(name, whole(truth.shape))
            seen.append(detect(predicted, truth > 0, proposal.grid.voxel_ml, overlap))
        hit = np.logical_or.reduce([d.hit for d in seen]) & (np.array(seen[0].lesion_ml) >= small_ml)
        counts = [sum(d.components for d in seen), sum(d.true_components for d in seen), int(hit.sum())]
        assert found == counts


def test_the_proposal_is_not_changed() -> None:
    proposal = case(lesions_over_the_organ())
    before = proposal.label_map()
    sweep(proposal, "pdac", read_rules([RULES[0], RULES[3], RULES[7]], SCHEMA), FLOOR)
    np.testing.assert_array_equal(proposal.label_map(), before)


def test_a_class_with_another_inside_and_one_that_no_model_knows(propose: Callable[..., Proposal]) -> None:
    proposal = propose({"pancreas": [(2, 3, 4, 0.9)]})
    with pytest.raises(Unseen, match="pancreatic_duct lies inside pancreas"):
        sweep(proposal, "pancreas", [], FLOOR)
    assert sweep(proposal, "pdac", [], FLOOR) is None
    truth = np.zeros(proposal.grid.shape, np.uint8)
    truth[2, 3, 4] = 7
    curve = lesion_curve(proposal, truth, ["pdac"], [], 0.1, 0.0, FLOOR)
    assert (curve.lesions, curve.hits.size) == (1, 0)
