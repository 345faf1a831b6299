"""Attention files: what is written is read, byte for byte the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.errors import UnreadableImage
from voxledger.imaging.attention_file import open_attention, write_attention
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import Grid


@pytest.mark.parametrize("shape", [(1, 1, 1), (70, 20, 30), (64, 130, 129), (5, 300, 7)])
def test_round_trip(tmp_path, shape):
    rng = np.random.default_rng(1)
    whole = (rng.random(shape) > 0.9) * rng.integers(1, 8, shape).astype(np.uint8)
    whole[: shape[0] // 2] = 0
    whole[-1, -1, -1] = 7
    box = bounding_box(whole)
    masks = [("a", box, whole[box]), ("b", None, np.zeros((0, 0, 0), np.uint8))]
    grid = Grid.plain(shape, (2, 1, 1))
    for name in ("one", "two"):
        write_attention(tmp_path / f"{name}.b2nd", masks, ["a", "b"], grid)
    assert (tmp_path / "one.b2nd").read_bytes() == (tmp_path / "two.b2nd").read_bytes()
    found = open_attention(tmp_path / "one.b2nd")
    assert found.classes == ("a", "b")
    assert found.grid == grid
    assert found.boxes == {"a": box, "b": None}
    np.testing.assert_array_equal(found.read("a"), whole)
    np.testing.assert_array_equal(found.read("a", box), whole[box])
    assert not found.read("b").any()
    assert not found.read("unknown").any()


def test_refuses_what_is_no_attention_file(tmp_path):
    (tmp_path / "x.b2nd").write_bytes(b"nonsense")
    with pytest.raises(UnreadableImage, match="dvc repro score"):
        open_attention(tmp_path / "x.b2nd")


def test_classes_come_in_order(tmp_path):
    with pytest.raises(ValueError, match="expected a"):
        write_attention(tmp_path / "x.b2nd", [("b", None, np.zeros(0, np.uint8))], ["a", "b"], Grid.plain((2, 2, 2)))
