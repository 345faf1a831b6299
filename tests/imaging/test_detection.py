"""Lesions found and false components of one case, and rates over cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxledger.imaging.detection import detect


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
        ("######", "#....#", 0.5, 1, 0, (False, False)),  # a sixth of it is either of the lesions
        ("##########.", "#..........", 0.1, 1, 1, (True,)),
        ("###########", "#..........", 0.1, 1, 0, (False,)),  # more than ten times the lesion
        ("###########", "#.........#", 0.1, 1, 1, (False, False)),  # a false alarm for neither, and finds neither
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
