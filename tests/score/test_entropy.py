"""Entropy tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxledger.score.entropy import slabs, table


@pytest.mark.parametrize(
    ("kind", "p", "nats"),
    [
        ("one_sided", 0.0, 0.0),
        ("one_sided", 1.0, 0.0),
        ("one_sided", 0.5, 0.5 * math.log(2)),
        ("binary", 0.0, 0.0),
        ("binary", 1.0, 0.0),
        ("binary", 0.5, math.log(2)),
        ("binary", 0.25, 0.25 * math.log(4) + 0.75 * math.log(4 / 3)),
        ("categorical", 0.25, 0.25 * math.log(4)),
    ],
)
def test_table(kind, p, nats):
    bits = int(np.array(p, np.float16).view(np.uint16))
    assert table(kind)[bits] / 2**40 == pytest.approx(nats, abs=1e-11)


def test_table_has_every_float16_up_to_one():
    assert np.arange(len(table("binary")), dtype=np.uint16).view(np.float16)[-1] == 1.0
    assert (table("binary") >= table("one_sided")).all()


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 1, [(0, 1)]),
        (0, 64, [(0, 64)]),
        (60, 130, [(60, 64), (64, 128), (128, 130)]),
        (64, 65, [(64, 65)]),
        (3, 3, []),
    ],
)
def test_slabs(start, stop, expected):
    assert [(s.start, s.stop) for s in slabs(start, stop)] == expected
