"""The real session of nnInteractive with a tiny network: what it is shown is what the training shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxledger.models.nninteractive.images import clipped, normalised
from voxledger.models.nninteractive.marks import ball_of, centre_of, cut, encode, guessed, looked_at, patch_around
from voxledger.models.nninteractive.network import artifacts, build_network, describe_object, patch_of
from voxledger.models.nninteractive.plan import plan
from voxledger.models.nninteractive.session import Session
from voxledger.weak.prompt import Prompt

PATCH = (16, 24, 16)
IMAGE = np.random.default_rng(0).normal(100, 30, (20, 30, 26)).astype(np.float32)
PROMPTS = {
    "lasso": Prompt("lasso", (10, 12, 8), np.ones((1, 9, 7), bool)),
    "lasso in another plane": Prompt("lasso", (6, 12, 8), np.ones((5, 1, 7), bool)),
    "box": Prompt("box", (5, 10, 20), np.ones((6, 8, 1), bool)),
    "scribble": Prompt("scribble", (14, 10, 11), np.eye(9, dtype=bool)[None]),
    "point": Prompt("point", (12, 20, 15), np.ones((1, 1, 1), bool)),
    "point beside the object, at the edge": Prompt("point", (0, 29, 25), np.ones((1, 1, 1), bool), positive=False),
    "lasso wider than the patch": Prompt("lasso", (10, 1, 1), np.ones((1, 28, 24), bool)),
}


def session_of(patch=PATCH, clip=None, features=(4, 8)) -> Session:
    torch.manual_seed(0)
    plans = plan(patch, features, clip)
    return Session(artifacts(plans, describe_object(), build_network(plans)), "cpu", clip)


@pytest.fixture
def session() -> Session:
    return session_of()


def watch(session: Session) -> list[np.ndarray]:
    """Inputs that the network of a session gets from now on."""
    seen: list[np.ndarray] = []
    network, forward = session.network.network, session.network.network.forward
    network.forward = lambda patches: (seen.append(patches[0].numpy().copy()), forward(patches))[1]
    return seen


def expected(prompts: list[Prompt], clip=None) -> np.ndarray:
    box = patch_around(centre_of(prompts), PATCH)
    image = normalised(IMAGE, clip)
    return np.concatenate(
        [cut(image, box)[None], guessed(prompts, box)[None], encode(prompts, box, ball_of(2), IMAGE.shape)]
    )


@pytest.mark.parametrize("name", PROMPTS)
def test_the_network_is_shown_what_the_training_shows(session, name):
    seen = watch(session)
    session.show(IMAGE)
    session.segment([PROMPTS[name]])
    assert len(seen) == 1
    # Points are kept in half precision.
    np.testing.assert_allclose(seen[0], expected([PROMPTS[name]]), atol=3e-4)
    assert np.abs(seen[0][1:]).sum() > 0


def test_intensities_are_clipped_where_the_network_was_trained_so():
    session = session_of(clip=(80.0, 120.0))
    seen = watch(session)
    session.show(IMAGE)
    session.segment([PROMPTS["point"]])
    np.testing.assert_allclose(seen[0], expected([PROMPTS["point"]], (80.0, 120.0)), atol=3e-4)


def test_prompts_that_lie_close_together_are_looked_at_together(session):
    near = [PROMPTS["lasso"], Prompt("lasso", (6, 12, 10), np.ones((8, 9, 1), bool))]
    seen = watch(session)
    session.show(IMAGE)
    session.segment(near)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], expected(near), atol=3e-4)


def test_a_guess_is_the_mask_before_and_moves_nothing(session):
    prompts = [Prompt("guess", (0, 2, 3), np.ones((20, 28, 20), bool)), PROMPTS["scribble"]]
    seen = watch(session)
    session.show(IMAGE)
    box, _ = session.segment(prompts)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], expected(prompts), atol=3e-4)
    assert seen[0][1].mean() > 0.5
    assert box == looked_at(prompts, PATCH, IMAGE.shape) == looked_at(prompts[1:], PATCH, IMAGE.shape)


def test_prompts_that_lie_apart_are_looked_at_one_after_the_other(session):
    apart = [PROMPTS["lasso"], Prompt("lasso", (1, 12, 8), np.ones((18, 9, 1), bool))]
    seen = watch(session)
    session.show(IMAGE)
    box, _ = session.segment(apart)
    assert len(seen) == 2
    assert seen[1][1].any()  # the second look goes on from what the first found
    assert box == (slice(2, 18), slice(4, 28), slice(0, 20))  # both patches


def test_the_probability_is_that_of_the_mask_that_the_session_writes(session):
    session.show(IMAGE)
    box, probability = session.segment([PROMPTS["scribble"]])
    assert probability.shape == tuple(s.stop - s.start for s in box)
    assert 0 < probability.mean() < 1
    np.testing.assert_array_equal(probability > 0.5, session.target_buffer[box] > 0)
    outside = session.target_buffer.copy()
    outside[box] = 0
    assert not outside.any()


def test_an_object_does_not_depend_on_those_before_it(session):
    session.show(IMAGE)
    first = session.segment([PROMPTS["point"]])
    session.segment([Prompt("guess", (8, 10, 9), np.ones((9, 9, 9), bool)), PROMPTS["lasso"], PROMPTS["box"]])
    again = session.segment([PROMPTS["point"]])
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("value", [0, -1024])
def test_an_image_that_is_the_same_everywhere_gets_no_answer(session, value):
    session.show(np.full((20, 30, 26), value, np.int16))
    assert session.segment([PROMPTS["point"]]) is None
    session.show(IMAGE)
    assert session.segment([PROMPTS["point"]]) is not None
    assert clipped(IMAGE, (500.0, 600.0)) is None


def test_a_prompt_in_an_empty_part_of_an_image_is_answered(session):
    image = np.zeros((20, 60, 60), np.float32)
    image[:, 40:, 40:] = IMAGE[:, :20, :20]
    session.show(image)
    box, probability = session.segment([PROMPTS["point"]])
    assert not image[box].any()
    assert np.isfinite(probability).all()


@pytest.mark.slow
def test_a_large_patch_zooms_out_and_its_probabilities_fit_the_mask():
    """nnInteractive's own way for objects larger than its patch: a coarse look, then patches at full resolution."""
    session = session_of(patch=(64, 64, 64), features=(2, 4))
    assert session.MAX_AUTOZOOM_FACTOR == 4
    seen = watch(session)
    image = np.random.default_rng(1).normal(size=(20, 78, 78)).astype(np.float32)
    session.show(image)
    box, probability = session.segment([Prompt("lasso", (10, 5, 5), np.ones((1, 64, 64), bool))])
    assert len(seen) > 1
    np.testing.assert_array_equal(probability > 0.5, session.target_buffer[box] > 0)
    assert session.target_buffer.sum() == session.target_buffer[box].sum() > 0


def test_a_small_patch_does_not_zoom_out(session):
    assert (session.MAX_AUTOZOOM_FACTOR, patch_of(plan(PATCH, (4, 8), None))) == (1, PATCH)


@pytest.mark.parametrize(
    "names", [*([name] for name in PROMPTS), ["lasso", "point"], ["lasso wider than the patch", "box"]]
)
def test_it_looks_at_what_the_checks_take_it_to_look_at(session, names):
    prompts = [PROMPTS[name] for name in names]
    session.show(IMAGE)
    box, _ = session.segment(prompts)
    assert box == looked_at(prompts, PATCH, IMAGE.shape)
