"""The story of every component as text and picture."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from voxledger.filter.chain import read_rules
from voxledger.filter.explain import describe, picture, stories
from voxledger.filter.proposal import Proposal
from voxledger.schema import LabelSchema

A = slice(2, 6)
BLOCKS = {
    "pancreas": [(slice(1, 9), slice(2, 12), slice(2, 12), 0.9)],
    "pdac": [(A, A, A, 0.8), (10, 20, 20, 0.7)],
}
RULES = [
    {"rule": "inside_organ", "classes": ["pdac"]},
    {"rule": "mean_hu", "classes": ["pdac"], "ranges": {"pdac": [0, 50]}},
]


def test_text(propose: Callable[..., Proposal], schema: LabelSchema) -> None:
    image = np.full((12, 24, 30), 60, np.int16)
    told = stories(propose(BLOCKS, image=image), read_rules(RULES, schema), "case-1")
    assert [[d.outcome.value for d in s.decisions] for s in told] == [["kept", "to_organ"], ["removed"]]
    assert describe(told).splitlines() == [
        "pdac",
        "  component 1 at voxel (4, 4, 4): 0.064 ml, peak p 0.800, mean 60 HU",
        "    inside_organ              1.000  >0.0000        kept",
        "    mean_hu                  60.000  0..50HU        to_organ",
        "  component 2 at voxel (20, 20, 10): 0.001 ml, peak p 0.700, mean 60 HU",
        "    inside_organ              0.000  >0.0000        removed",
    ]
    assert describe([]) == "no rule looked at anything in this case"


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9)])
def test_picture_shows_the_component_in_the_colour_of_its_outcome(
    propose: Callable[..., Proposal], schema: LabelSchema, spacing: tuple[float, float, float]
) -> None:
    from matplotlib.image import imread

    proposal = propose(BLOCKS, spacing=spacing)
    told = stories(proposal, read_rules(RULES[:1], schema), "case-1")
    png = picture(proposal, told)
    assert png == picture(proposal, told)
    pixels = np.round(imread(io.BytesIO(png))[..., :3] * 255).astype(int)
    for color in ((0x35, 0xD0, 0x7F), (0xFF, 0x4D, 0x4D)):
        assert (np.abs(pixels - color).sum(axis=-1) < 12).sum() > 20


def test_picture_of_nothing(propose: Callable[..., Proposal]) -> None:
    assert picture(propose({"liver": []}), []).startswith(b"\x89PNG")
