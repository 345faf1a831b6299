"""Pictures repeat, and the colour table is one that viewers read."""

from __future__ import annotations

import ensembles
import numpy as np
import pytest

from voxledger.imaging.volume import Grid
from voxledger.score.pictures import attention_curve, busiest_slice, side_by_side, thermal_table

SCHEMA = ensembles.schema_of(2)


def test_thermal_table():
    rows = [r.split() for r in thermal_table().splitlines() if not r.startswith("#")]
    assert [int(r[0]) for r in rows] == list(range(256))
    colors = np.array([[int(v) for v in r[2:]] for r in rows])
    assert colors[0].tolist() == [0, 0, 0, 0]
    assert colors[-1].tolist() == [255, 255, 255, 255]
    assert (np.diff(colors[:, :3].sum(1)) >= 0).all()


def test_busiest_slice():
    heat = np.zeros((4, 3, 3), np.uint8)
    assert busiest_slice(heat) == 0
    heat[2, 1] = 200
    heat[3, 1, 1] = 255
    assert busiest_slice(heat) == 2


@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.5, 2)])
def test_side_by_side_repeats(spacing):
    image, labels, heat = np.zeros((20, 30)), np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    labels[4:9, 4:9], heat[6:7, 6:9] = 2, 90
    first, second = (side_by_side(image, labels, heat, Grid.plain((1, 20, 30), spacing), SCHEMA) for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert first != side_by_side(image, labels, heat * 0, Grid.plain((1, 20, 30), spacing), SCHEMA)


@pytest.mark.parametrize(("sizes", "knee", "chosen"), [([], 0, 0), ([1.0], 0, 1), ([9.0, 8, 1, 0, 0], 2, 3)])
def test_attention_curve(sizes, knee, chosen):
    assert attention_curve(sizes, knee, chosen) == attention_curve(sizes[::-1], knee, chosen)
