"""Removing a component takes the classes inside it along, and the log says what really happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.filter.apply import apply_rules, decide
from voxledger.filter.chain import read_rules
from voxledger.filter.decisions import Decision
from voxledger.filter.explain import stories
from voxledger.filter.proposal import Component, Outcome, Proposal
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.soft import SoftPrediction
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

A = slice(2, 6)
LARGEST = {"rule": "largest_component", "classes": ["pancreas"]}


def rows(decisions: list[Decision]) -> list[tuple[str, str, int, int, float, str, str]]:
    return [
        (d.class_name, d.rule, d.component, d.voxels, round(d.measured, 4), d.bound, d.outcome.value) for d in decisions
    ]


def test_a_lesion_does_not_bring_back_the_organ_component_that_was_removed(
    propose: Callable[..., Proposal], schema: LabelSchema
) -> None:
    """The log said 48 voxels of the organ were removed; the 12 of the lesion in them stayed, and counted as organ."""
    proposal = propose(
        {
            "pancreas": [(A, A, A, 0.9), (A, slice(10, 14), slice(20, 23), 0.9)],
            "pdac": [(3, 3, 3, 0.9), (A, slice(10, 13), 21, 0.7)],
        }
    )
    decisions = apply_rules(proposal, read_rules([LARGEST], schema), "case-1")
    assert rows(decisions) == [
        ("pancreas", "largest_component", 1, 64, 0.064, ">=0.0640", "kept"),
        ("pancreas", "largest_component", 2, 48, 0.048, ">=0.0640", "removed"),
        ("pdac", "largest_component", 1, 12, 1.0, "with pancreas 2", "removed"),
    ]
    assert (decisions[2].ml, decisions[2].peak_p) == (pytest.approx(0.012), pytest.approx(0.7, abs=1e-3))
    labels = proposal.label_map()
    assert int(schema.mask(labels, "pancreas").sum()) == 64
    assert (labels == schema["pdac"].id).sum() == 1
    assert [c.number for c in proposal.components("pdac")] == [2]


@pytest.mark.parametrize(
    ("lesion", "gone", "left"),
    [
        ([(3, 11, 21)], 1, 0),  # a single voxel
        ([(A, 11, slice(19, 25))], 24, 0),  # part of it lies in no organ at all: it goes too
        ([(3, 3, slice(3, 22))], 2, 17),  # it reaches into the component that stays: so does the rest
        ([(3, 3, slice(5, 9)), (10, 20, 20)], 0, 5),  # nothing of it lies there
        ([], 0, 0),
    ],
)
def test_what_goes_with_an_organ_component(
    propose: Callable[..., Proposal], schema: LabelSchema, lesion: list[Any], gone: int, left: int
) -> None:
    organ = [(A, slice(2, 14), A, 0.9), (A, slice(3, 14), slice(20, 23), 0.9)]
    proposal = propose({"pancreas": organ, "pdac": [(*block, 0.9) for block in lesion]})
    decisions = apply_rules(proposal, read_rules([LARGEST], schema), "case-1")
    assert sum(d.voxels for d in decisions if d.class_name == "pdac") == gone
    assert proposal.voxels("pdac") == left


def test_a_component_keeps_the_organ_of_a_neighbour_that_stays(
    propose: Callable[..., Proposal], schema: LabelSchema
) -> None:
    """A cyst that overlaps a removed tumour keeps its voxels, and its organ under them."""
    proposal = propose({"pancreas": [(A, A, A, 0.9)], "pdac": [(3, 3, A, 0.9)], "cyst": [(3, 3, slice(5, 9), 0.9)]})
    rule = {"rule": "minimum_volume", "classes": ["pdac"], "ml": 1.0, "to": "background"}
    (decision,) = apply_rules(proposal, read_rules([rule], schema), "case-1")
    assert (decision.voxels, decision.outcome) == (4, Outcome.REMOVED)
    assert (proposal.voxels("cyst"), proposal.voxels("pancreas")) == (4, 61)
    labels = proposal.label_map()
    assert labels[3, 3, 2:9].tolist() == [0, 0, 0, 8, 8, 8, 8]


def test_explain_tells_that_it_went_with_its_organ(propose: Callable[..., Proposal], schema: LabelSchema) -> None:
    blocks = {"pancreas": [(A, A, A, 0.9), (9, 9, slice(9, 12), 0.9)], "pdac": [(9, 9, slice(9, 11), 0.9)]}
    rules = read_rules([{"rule": "inside_organ", "classes": ["pdac"]}, LARGEST], schema)
    told = [s for s in stories(propose(blocks), rules, "case-1") if s.end.class_name == "pdac"]
    assert [[(d.rule, d.outcome.value) for d in s.decisions] for s in told] == [
        [("inside_organ", "kept"), ("largest_component", "removed")]
    ]


SCHEMA = LabelSchema.model_validate(
    {
        "name": "nested",
        "classes": [
            {"id": 1, "name": "organ"},
            {"id": 2, "name": "lesion", "inside": "organ", "lesion": True},
            {"id": 3, "name": "core", "inside": "lesion", "lesion": True},
            {"id": 4, "name": "duct", "inside": "organ"},
            {"id": 5, "name": "left"},
            {"id": 6, "name": "right"},
            {"id": 7, "name": "stone", "inside": "left", "lesion": True},
        ],
    }
)
SHAPE = (4, 5, 8)
PARTNER = {"left": "right", "right": "left", "stone": "right"}
RULES = [
    {"rule": "largest_component", "classes": ["organ", "left"]},
    {"rule": "largest_component", "classes": ["lesion"], "to": "organ"},
    {"rule": "minimum_volume", "classes": ["core", "organ"], "ml": 0.004},
    {"rule": "minimum_volume", "classes": ["lesion", "duct"], "ml": 0.006, "to": "background"},
    {"rule": "minimum_slices", "classes": ["core", "lesion", "organ", "left"], "slices": 2, "to": "background"},
    {"rule": "inside_organ", "classes": ["lesion", "core", "stone"]},
    {"rule": "inside_organ", "classes": ["duct"], "share": 0.5, "to": "organ"},
    {"rule": "fill_holes", "classes": ["organ"]},
    {"rule": "paired_sides", "classes": ["left", "right"]},
]


@st.composite
def probabilities(draw: st.DrawFn) -> np.ndarray:
    """Some boxes a class, and single voxels; classes inside others need not lie in them."""
    found = np.zeros((len(SCHEMA.classes), *SHAPE), np.float16)
    for index in range(len(found)):
        for _ in range(draw(st.integers(0, 3))):
            where = tuple(slice(*sorted((draw(st.integers(0, n - 1)), draw(st.integers(1, n))))) for n in SHAPE)
            found[(index, *where)] = draw(st.sampled_from([0.0, 0.75, 1.0]))
        for _ in range(draw(st.integers(0, 2))):
            found[(index, *(draw(st.integers(0, n - 1)) for n in SHAPE))] = 0.875
    return found


def proposal_of(found: np.ndarray) -> Proposal:
    boxes = {name: bounding_box(p) for name, p in zip(SCHEMA.names, found, strict=True)}
    grid = Grid.plain(SHAPE)
    soft = SoftPrediction(tuple(SCHEMA.names), boxes, grid, "m", "i", tuple(slice(0, n) for n in SHAPE), found)
    return Proposal([soft], np.zeros(SHAPE, np.int16), True, SCHEMA, dict.fromkeys(SCHEMA.names, 0.5), grid)


def whole(component: Component) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[component.box] = component.mask
    return mask


ALL = (slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2]))


def masks_of(proposal: Proposal) -> dict[str, np.ndarray]:
    return {name: proposal.mask(name, ALL) for name in SCHEMA.names}


def replay(masks: dict[str, np.ndarray], decision: Decision, component: Component) -> None:
    """Do to plain masks what one row of the log says; its count is what its class gained or lost."""
    name, mask = decision.class_name, whole(component)
    before = masks[name].copy()
    assert decision.voxels == int(mask.sum()) > 0
    if decision.outcome is Outcome.FILLED:
        masks[name] |= mask
    elif decision.outcome is not Outcome.KEPT:
        masks[name] &= ~mask
    if decision.outcome is Outcome.TO_PARTNER:
        masks[PARTNER[name]] |= mask
    if decision.outcome is Outcome.REMOVED:
        for around in SCHEMA.chain(name)[1:]:
            inner = [masks[n] for n in SCHEMA.names if n != around and around in SCHEMA.chain(n)]
            masks[around] &= ~(mask & ~np.any(inner, axis=0))
    if decision.outcome is not Outcome.KEPT:
        assert decision.voxels == int((masks[name] != before).sum())


def outside(masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Voxels of a class that lie outside the class around it."""
    return {c.name: masks[c.name] & ~masks[c.inside] for c in SCHEMA.classes if c.inside}


@given(probabilities(), st.lists(st.sampled_from(RULES), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_the_log_replayed_gives_the_result_and_nothing_is_left_outside_its_organ(
    found: np.ndarray, entries: list[dict[str, Any]]
) -> None:
    proposal = proposal_of(found)
    masks = masks_of(proposal)
    for rule in read_rules(entries, SCHEMA):
        strayed = outside(masks)
        for decision, component in decide(proposal, [rule], "case-1"):
            replay(masks, decision, component)
        now = masks_of(proposal)
        assert {n: int(m.sum()) for n, m in now.items()} == {n: int(m.sum()) for n, m in masks.items()}
        assert all(np.array_equal(now[n], masks[n]) for n in SCHEMA.names)
        for name, mask in outside(now).items():
            assert not (mask & ~strayed[name]).any(), (rule, name)
        for name in SCHEMA.names:
            assert sum(c.voxels for c in proposal.components(name)) == proposal.voxels(name) == int(masks[name].sum())


def test_what_strays_into_another_component_does_not_take_its_voxels_before_it_is_judged() -> None:
    """The log said a voxel of the second organ component was removed that the core of the first had taken along."""
    found = np.zeros((len(SCHEMA.classes), *SHAPE), np.float16)
    found[0, 0, 0, [0, 2]] = 1  # two components of the organ
    found[1, 0, 0, 0] = 1  # a lesion in the first
    found[2, 0, 0, 0:5] = 1  # its core, which strays into the second
    proposal = proposal_of(found)
    masks = masks_of(proposal)
    rule = {"rule": "minimum_volume", "classes": ["organ"], "ml": 0.004}
    log = list(decide(proposal, read_rules([rule], SCHEMA), "case-1"))
    for decision, component in log:
        replay(masks, decision, component)
    assert [(d.class_name, d.voxels, d.bound) for d, _ in log] == [
        ("organ", 1, ">=0.0040"),
        ("lesion", 1, "with organ 1"),
        ("core", 1, "with organ 1"),
        ("organ", 1, ">=0.0040"),
        ("core", 4, "with organ 2"),
    ]
    assert not proposal.names


def test_a_stone_in_a_kidney_that_changes_sides_joins_the_other_kidney_and_is_told() -> None:
    """A class inside the left kidney would make its voxels left again."""
    found = np.zeros((len(SCHEMA.classes), *SHAPE), np.float16)
    found[4, 1:3, 1:4, 0:3] = 1  # left, on the right side
    found[6, 1, 2, 1:5] = 1  # its stone, which reaches beyond it
    proposal = proposal_of(found)
    rule = {"rule": "paired_sides", "classes": ["left", "right"]}
    decisions = apply_rules(proposal, read_rules([rule], SCHEMA), "case-1")
    told = [(d.class_name, d.component, d.voxels, d.outcome) for d in decisions]
    assert told[:2] == [("left", 1, 18, Outcome.TO_PARTNER), ("stone", 1, 4, Outcome.TO_PARTNER)]
    labels = proposal.label_map()
    assert set(np.unique(labels)) == {0, SCHEMA["right"].id}
    assert (labels != 0).sum() == 20
