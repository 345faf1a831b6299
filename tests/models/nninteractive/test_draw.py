"""Prompts that the training draws."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from voxledger.imaging.boxes import whole
from voxledger.imaging.volume import Grid
from voxledger.models.nninteractive.draw import FIRST, correction, corrupted, first_prompts
from voxledger.models.nninteractive.marks import cut

START = (5, 6, 7)
GRID = Grid.plain((30, 30, 30), (2.0, 1.0, 1.0))


def ball(radius: float, shape=(9, 11, 13)) -> np.ndarray:
    middle = (np.array(shape) - 1) / 2
    away = (np.indices(shape) - middle[:, None, None, None]) / middle[:, None, None, None]
    return (away**2).sum(axis=0) <= radius**2


SHAPES = {
    "ball": ball(1.0),
    "one voxel": np.ones((1, 1, 1), bool),
    "one slice": np.ones((1, 5, 5), bool),
    "a line": np.ones((1, 1, 9), bool),
    "two voxels at corners": np.eye(2, dtype=bool)[None] & np.ones((2, 2, 2), bool),
}


def painted(prompt) -> np.ndarray:
    """The voxels of a prompt in the image."""
    return cut(prompt.mask, whole(GRID.shape), prompt.start)


def inside(prompt, mask: np.ndarray) -> np.ndarray:
    """The voxels of a prompt in the box of the object."""
    z, y, x = (a - b for a, b in zip(prompt.start, START, strict=True))
    out = np.zeros_like(mask)
    out[z : z + prompt.mask.shape[0], y : y + prompt.mask.shape[1], x : x + prompt.mask.shape[2]] = prompt.mask
    assert out.sum() == prompt.mask.sum()
    return out


@pytest.mark.parametrize("name", SHAPES)
def test_first_prompts_mark_the_object(name):
    mask, rng = SHAPES[name], np.random.default_rng(0)
    for _ in range(200):
        prompts = first_prompts(mask, START, GRID, rng)
        if prompts[0].kind == "guess":
            assert [p.kind for p in prompts] == ["guess", "scribble"]
            assert (painted(prompts[0]) & painted(prompts[1])).any()
            continue
        for prompt in prompts:
            voxels = inside(prompt, mask)
            assert prompt.positive
            assert voxels.any()
            assert (voxels & mask).any()
            match prompt.kind:
                case "point":
                    assert prompt.mask.shape == (1, 1, 1)
                case "lasso":
                    assert 1 in prompt.mask.shape
                    assert not (voxels & ~mask).any()
                case "box":
                    assert 1 in prompt.mask.shape
                    assert prompt.mask.all()
                case "scribble":
                    assert 1 in prompt.mask.shape


def test_kinds_come_as_often_as_they_should():
    rng = np.random.default_rng(0)
    drawn = Counter(first_prompts(SHAPES["ball"], START, GRID, rng)[0].kind for _ in range(2000))
    drawn["recist"] = drawn.pop("guess")
    assert {kind: pytest.approx(share, abs=0.04) for kind, share in FIRST.items()} == {
        k: n / 2000 for k, n in drawn.items()
    }


def test_a_lasso_in_several_planes_ends_with_the_one_that_the_patch_lies_around():
    rng = np.random.default_rng(0)
    drawn = [first_prompts(SHAPES["ball"], START, GRID, rng) for _ in range(500)]
    several = [prompts for prompts in drawn if len(prompts) > 1 and prompts[0].kind == "lasso"]
    assert several
    assert {len(prompts) for prompts in several} == {2, 3}
    assert all(len({p.mask.shape.index(1) for p in prompts}) == len(prompts) for prompts in several)


def test_a_diameter_is_drawn_with_a_guess_as_thick_as_it_is_in_millimetres():
    rng = np.random.default_rng(0)
    drawn = [first_prompts(SHAPES["ball"], START, GRID, rng) for _ in range(200)]
    guesses = [prompts[0].mask for prompts in drawn if prompts[0].kind == "guess"]
    thick = {(int(m.any(axis=(1, 2)).sum()), int(m.any(axis=(0, 1)).sum())) for m in guesses}
    assert thick >= {(7, 13)}, "13 mm wide, and thick: seven slices of 2 mm"
    assert len(thick) > 1, "of several planes, some with the short axis"


def test_a_correction_points_into_the_largest_error_and_says_what_is_there():
    truth = np.zeros((9, 20, 20), bool)
    truth[2:7, 3:15, 3:15] = True
    missed, found = truth.copy(), truth.copy()
    missed[2:7, 9:15, 3:15] = False
    found[0:9, 16:20, 16:20] = True
    rng = np.random.default_rng(0)
    for wrong, positive in ((missed, True), (found, False)):
        click = correction(truth, wrong, START, rng)
        at = tuple(a - b for a, b in zip(click.start, START, strict=True))
        assert (click.kind, click.positive) == ("point", positive)
        assert truth[at] != wrong[at]
        assert truth[at] is np.bool_(positive)
    assert correction(truth, truth, START, rng) is None


@pytest.mark.parametrize("name", SHAPES)
def test_a_corrupted_mask_is_another_one_of_the_same_shape(name):
    rng = np.random.default_rng(0)
    drawn = [corrupted(SHAPES[name], rng) for _ in range(50)]
    assert {(m.shape, m.dtype) for m in drawn} == {(SHAPES[name].shape, np.dtype(bool))}
    assert sum(not np.array_equal(m, SHAPES[name]) for m in drawn) > 10
