"""What of a class comes back from the spacing that a network works at."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models.coarse import comes_back, too_coarse
from voxledger.models.monai.network import resample

SHAPE = (20, 24, 24)


def ball(radius: float) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    return (z - 10) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 <= radius**2


def line() -> np.ndarray:
    """One voxel wide, aslant, from corner to corner."""
    mask = np.zeros(SHAPE, bool)
    for step in np.linspace(1, 18, 200):
        mask[round(step), round(step + 2), 12] = True
    return mask


CASES = [
    ("a ball at half the resolution", ball(7), (10, 12, 12), 0.8, 0.9),
    ("a line at a little less", line(), (18, 21, 21), 0.0, 0.5),
    ("a line at twice the resolution", line(), (40, 48, 48), 1.0, 1.0),
    ("a line on the same grid", line(), SHAPE, 1.0, 1.0),
    ("one voxel at a third of the resolution", ball(0), (7, 8, 8), 0.0, 0.0),
    ("a class at the border", ~ball(7), (10, 12, 12), 0.97, 1.0),
]


@pytest.mark.parametrize(("mask", "shape", "low", "high"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_comes_back_is_what_interpolating_the_mask_gives(mask, shape, low, high):
    labels = mask * np.int16(3)
    working = resample(labels, shape, nearest=True).astype(np.int16)
    there = resample((working == 3).astype(np.float32), SHAPE) > 0.5
    share = comes_back(labels, working, 3)
    assert share == pytest.approx(there[mask].mean(), abs=2e-3)
    assert low <= share <= high


@pytest.mark.parametrize(
    ("shares", "lost"),
    [([], 0), ([1.0], 0), ([0.5], 1), ([0.79, 0.8, 0.81], 1), ([0.5] + 9 * [1.0], 0), ([0.5, 0.5] + 9 * [1.0], 2)],
)
def test_a_few_cases_are_no_reason_to_say_so(shares, lost):
    assert too_coarse(shares) == lost
