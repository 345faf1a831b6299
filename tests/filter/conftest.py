"""Hand-made cases: soft predictions of a few blocks in a small volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.filter.proposal import Proposal
from voxledger.imaging.soft import open_soft, write_soft
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

SCHEMA = LabelSchema.model_validate(
    {
        "name": "test",
        "classes": [
            {"id": 1, "name": "liver"},
            {"id": 2, "name": "kidney_left"},
            {"id": 3, "name": "kidney_right"},
            {"id": 4, "name": "aorta"},
            {"id": 5, "name": "pancreas"},
            {"id": 6, "name": "pancreatic_duct", "inside": "pancreas"},
            {"id": 7, "name": "pdac", "inside": "pancreas", "lesion": True},
            {"id": 8, "name": "cyst", "inside": "pancreas", "lesion": True},
        ],
    }
)

Blocks = dict[str, list[tuple[Any, ...]]]
"""Class → blocks, each (z slice, y slice, x slice, probability)."""


@pytest.fixture
def schema() -> LabelSchema:
    return SCHEMA


@pytest.fixture
def propose(tmp_path: Path) -> Callable[..., Proposal]:
    """Make a proposal from blocks of probability; one model a dict of blocks."""

    def make(
        *models: Blocks,
        shape: tuple[int, int, int] = (12, 24, 30),
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        image: Any = None,
        is_ct: bool = True,
        thresholds: dict[str, float] | None = None,
        direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    ) -> Proposal:
        grid = Grid(shape, spacing, (0.0, 0.0, 0.0), direction)
        opened = []
        for number, blocks in enumerate(models):
            path = tmp_path / f"model{number}.b2nd"
            write_soft(path, painted(blocks, shape), list(blocks), grid, f"model{number}", "image")
            opened.append(open_soft(path))
        voxels = np.zeros(shape, np.int16) if image is None else image
        chosen = dict.fromkeys(SCHEMA.names, 0.5) | (thresholds or {})
        return Proposal(opened, voxels, is_ct, SCHEMA, chosen)

    return make


def painted(blocks: Blocks, shape: tuple[int, int, int]) -> Any:
    for name, parts in blocks.items():
        values = np.zeros(shape, np.float32)
        for z, y, x, p in parts:
            values[z, y, x] = p
        yield name, values
