"""Lesions found and false components of one case, and rates over cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from voxledger.imaging.detection import bootstrap, detect, ratio


def line(text: str) -> Any:
    """`#` is set; a row of voxels."""
    return np.array([[[c == "#" for c in text]]])


@pytest.mark.parametrize(
    ("predicted", "truth", "overlap", "components", "true", "hit"),
    [
        ("......", "......", 0.0, 0, 0, ()),
        ("#.....", "......", 0.0, 1, 0, ()),
        ("......", "##..#.", 0.0, 0, 0, (False, False)),
        ("#..##.", "##....", 0.0, 2, 1, (True,)),
        ("######", "#....#", 0.0, 1, 1, (True, True)),
        ("######", "#....#", 0.5, 1, 0, (True, True)),  # 2 of 6 voxels are lesion
        ("#.....", "##....", 0.5, 1, 1, (True,)),
        ("#.....", "###...", 0.5, 1, 1, (False,)),
        ("#.#...", "###...", 0.5, 2, 2, (True,)),  # what counts is the share of the lesion, not of one component
        ("######", "######", 1.0, 1, 1, (True,)),
    ],
)
def test_detect(predicted: str, truth: str, overlap: float, components: int, true: int, hit: tuple[bool, ...]) -> None:
    found = detect(line(predicted), line(truth), 0.5, overlap)
    assert (found.components, found.true_components, found.hit) == (components, true, hit)
    assert found.false_components == components - true
    assert sum(found.lesion_ml) == 0.5 * truth.count("#")


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="prediction of shape"):
        detect(line("#"), line("##"), 1.0)


def test_bootstrap_of_a_ratio() -> None:
    counts = np.array([[1, 1], [0, 1], [1, 2], [0, 0]])
    found = bootstrap(counts, [ratio(0, 1), ratio(1, 0)], 500, seed=3)[0]
    assert found.value == 0.5
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert bootstrap(counts, [ratio(0, 1)], 500, seed=3)[0] == found


def test_bootstrap_of_nothing() -> None:
    assert math.isnan(bootstrap(np.zeros((0, 2)), [ratio(0, 1)], 100, 0)[0].value)
    assert math.isnan(bootstrap(np.zeros((3, 2)), [ratio(0, 1)], 100, 0)[0].value)
