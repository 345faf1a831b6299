"""Thresholded mean of the models, components, and composition of the label map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from voxledger.filter.proposal import Component, Outcome, Proposal, Verdict

A = slice(2, 6)
ALL = (A, A, A)


def test_mean_of_models_above_threshold(propose: Callable[..., Proposal]) -> None:
    proposal = propose({"liver": [(*ALL, 0.9), (A, A, slice(10, 12), 0.75)]}, {"liver": [(*ALL, 0.2)]})
    assert proposal.voxels("liver") == 64  # (0.9 + 0.2) / 2 is above, 0.75 / 2 is not


def test_a_model_that_does_not_know_a_class_has_no_say(propose: Callable[..., Proposal]) -> None:
    proposal = propose({"liver": [(*ALL, 0.8)]}, {"aorta": [(*ALL, 0.8)]})
    assert proposal.voxels("liver") == 64
    assert proposal.voxels("aorta") == 64


def test_threshold_is_exclusive_and_per_class(propose: Callable[..., Proposal]) -> None:
    blocks = {"liver": [(*ALL, 0.5)], "pdac": [(*ALL, 0.25)]}
    proposal = propose(blocks, thresholds={"pdac": 0.125})
    assert proposal.names == ["pdac"]


def test_no_voxels(propose: Callable[..., Proposal]) -> None:
    proposal = propose({"liver": [(*ALL, 0.1)]})
    assert proposal.names == []
    assert proposal.components("liver") == []
    assert proposal.holes("liver") == []
    assert not proposal.label_map().any()


def test_component_statistics(propose: Callable[..., Proposal]) -> None:
    image = np.full((12, 24, 30), -3000, np.int16)
    image[A, A, slice(20, 24)] = 40
    blocks = {"liver": [(A, A, slice(0, 2), 0.6), (A, A, slice(20, 24), 0.6), (3, 3, 21, 0.75)]}
    first, second = propose(blocks, image=image).components("liver")
    assert (first.number, first.voxels, first.peak_p, first.mean_hu) == (1, 32, pytest.approx(0.6, abs=1e-3), -1000.0)
    assert (second.number, second.voxels, second.peak_p, second.mean_hu) == (2, 64, 0.75, 40.0)
    assert second.box == (A, A, slice(20, 24))
    mr = propose(blocks, image=image, is_ct=False)
    assert mr.components("liver")[0].mean_hu == -3000.0


def test_corner_neighbours_are_one_component(propose: Callable[..., Proposal]) -> None:
    one = propose({"liver": [(2, 2, 2, 0.9), (3, 3, 3, 0.9), (5, 5, 5, 0.9)]})
    assert [c.voxels for c in one.components("liver")] == [2, 1]


def test_single_voxel_on_the_border(propose: Callable[..., Proposal]) -> None:
    proposal = propose({"liver": [(0, 0, 0, 0.9), (11, 23, 29, 0.9)]})
    assert [c.box[0].start for c in proposal.components("liver")] == [0, 11]
    assert proposal.label_map()[11, 23, 29] == 1


def test_holes_are_closed_on_all_sides(propose: Callable[..., Proposal]) -> None:
    solid = (slice(2, 9), slice(2, 9), slice(2, 9), 0.9)
    closed = propose({"liver": [solid, (4, 4, 4, 0.1)]})
    assert [(c.voxels, c.box[2].start) for c in closed.holes("liver")] == [(1, 4)]
    tunnel = propose({"liver": [solid, (4, 4, slice(4, 9), 0.1)]})
    assert tunnel.holes("liver") == []
    at_border = propose({"liver": [(slice(0, 3), A, A, 0.9), (0, 3, 3, 0.1)]})
    assert at_border.holes("liver") == []


def test_composition_draws_outer_to_inner(propose: Callable[..., Proposal]) -> None:
    labels = propose(
        {"pancreas": [(*ALL, 0.9)], "pdac": [(3, 3, 3, 0.6)], "pancreatic_duct": [(4, 4, 4, 0.6)]}
    ).label_map()
    assert labels.dtype == np.uint8
    assert labels[3, 3, 3] == 7
    assert labels[4, 4, 4] == 6
    assert labels[2, 2, 2] == 5


@pytest.mark.parametrize(("liver", "aorta", "winner"), [(0.9, 0.6, 1), (0.6, 0.9, 4), (0.75, 0.75, 1)])
def test_siblings_share_by_probability_ties_by_schema(
    propose: Callable[..., Proposal], liver: float, aorta: float, winner: int
) -> None:
    labels = propose({"aorta": [(*ALL, aorta)], "liver": [(*ALL, liver), (9, 9, 9, 0.8)]}).label_map()
    assert (labels[ALL] == winner).all()
    assert labels[9, 9, 9] == 1


def verdict(component: Component, outcome: Outcome, partner: str = "") -> Verdict:
    return Verdict(component, 0.0, "", outcome, partner)


def test_outcomes(propose: Callable[..., Proposal]) -> None:
    def fresh() -> tuple[Proposal, Component]:
        made = propose({"pancreas": [(*ALL, 0.9)], "pdac": [(3, 3, 3, 0.9), (9, 9, 9, 0.9)]})
        return made, made.components("pdac")[0]

    proposal, lesion = fresh()
    proposal.carry_out("pdac", verdict(lesion, Outcome.KEPT))
    assert proposal.label_map()[3, 3, 3] == 7
    proposal.carry_out("pdac", verdict(lesion, Outcome.TO_ORGAN))
    assert proposal.label_map()[3, 3, 3] == 5
    assert [c.number for c in proposal.components("pdac")] == [2]  # the number of the other one stays

    proposal, lesion = fresh()
    proposal.carry_out("pdac", verdict(lesion, Outcome.REMOVED))
    assert proposal.label_map()[3, 3, 3] == 0
    assert proposal.voxels("pancreas") == 63
    proposal.carry_out("pdac", verdict(proposal.components("pdac")[0], Outcome.REMOVED))
    assert proposal.components("pdac") == []

    proposal = propose({"kidney_left": [(*ALL, 0.9)]})
    proposal.carry_out(
        "kidney_left", verdict(proposal.components("kidney_left")[0], Outcome.TO_PARTNER, "kidney_right")
    )
    assert proposal.names == ["kidney_right"]
    assert (proposal.label_map()[ALL] == 3).all()

    proposal = propose({"liver": [(slice(2, 9), slice(2, 9), slice(2, 9), 0.9), (4, 4, 4, 0.1)]})
    proposal.carry_out("liver", verdict(proposal.holes("liver")[0], Outcome.FILLED))
    assert proposal.voxels("liver") == 343
