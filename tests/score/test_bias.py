"""Agreement of models from counts of claims."""

from __future__ import annotations

import pytest

from voxledger.score.bias import agreement


@pytest.mark.parametrize(
    ("models", "votes", "expected"),
    [
        (["a"], {}, {("a", "ensemble"): 1.0}),
        (["a"], {0b11: 5}, {("a", "ensemble"): 1.0}),
        # a claims 4, b claims 6, 3 of them both; the ensemble follows b
        (
            ["a", "b"],
            {0b111: 3, 0b001: 1, 0b110: 3},
            {("a", "b"): 0.6, ("a", "ensemble"): 0.6, ("b", "ensemble"): 1.0},
        ),
        (["a", "b"], {0b001: 2}, {("a", "b"): 0.0, ("a", "ensemble"): 0.0, ("b", "ensemble"): 1.0}),
    ],
)
def test_agreement(models, votes, expected):
    assert agreement(models, votes) == pytest.approx(expected)
