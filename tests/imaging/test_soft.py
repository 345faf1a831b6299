from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import UnreadableImage
from voxledger.imaging.soft import FLOOR, NOWHERE, ensemble_mean, open_soft, write_soft
from voxledger.imaging.volume import Grid, file_sha256

GRID = Grid((5, 70, 131), (5.0, 0.8, 0.8), (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def some(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    liver = np.zeros(GRID.shape, np.float32)
    liver[1:4, 30:66, 100:131] = rng.random((3, 36, 31))
    point = np.zeros(GRID.shape, np.float32)
    point[4, 69, 0] = 1.0
    return {"liver": liver, "empty": np.zeros(GRID.shape, np.float32), "point": point}


def put(path: Path, values: dict[str, np.ndarray]) -> None:
    write_soft(path, values.items(), list(values), GRID, "model-1", "image-1")


def test_every_class_is_read_back(tmp_path: Path) -> None:
    values = some()
    put(tmp_path / "a.b2nd", values)
    soft = open_soft(tmp_path / "a.b2nd")
    assert (soft.classes, soft.grid, soft.model_id, soft.image_sha256) == (tuple(values), GRID, "model-1", "image-1")
    for name, array in values.items():
        expected = np.where(array >= FLOOR, array, 0).astype(np.float16)
        np.testing.assert_array_equal(soft.read(name), expected)
        box = (slice(1, 3), slice(29, 70), slice(0, 101))
        np.testing.assert_array_equal(soft.read(name, box), expected[box])
    assert soft.boxes["empty"] is None
    assert soft.boxes["point"] == (slice(4, 5), slice(69, 70), slice(0, 1))
    assert soft.read("unknown").sum() == 0


def test_a_calibrated_threshold_survives(tmp_path: Path) -> None:
    array = np.full(GRID.shape, 0.003, np.float32)
    put(tmp_path / "a.b2nd", {"liver": array})
    np.testing.assert_allclose(open_soft(tmp_path / "a.b2nd").read("liver"), 0.003, rtol=1e-3)


def test_bytes_repeat(tmp_path: Path) -> None:
    put(tmp_path / "a.b2nd", some())
    put(tmp_path / "sub" / "other.b2nd", some())
    put(tmp_path / "c.b2nd", some(1))
    assert file_sha256(tmp_path / "a.b2nd") == file_sha256(tmp_path / "sub" / "other.b2nd")
    assert file_sha256(tmp_path / "a.b2nd") != file_sha256(tmp_path / "c.b2nd")


@pytest.mark.parametrize("content", [None, b"", b"not blosc"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.b2nd"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"bad\.b2nd"):
        open_soft(path)


def test_classes_must_come_in_order(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_soft(tmp_path / "a.b2nd", some().items(), ["point", "liver", "empty"], GRID, "m", "i")


def test_the_bytes_do_not_depend_on_the_threads_of_the_process(tmp_path: Path) -> None:
    import blosc2

    before = blosc2.set_nthreads(1)
    put(tmp_path / "a.b2nd", some())
    blosc2.set_nthreads(3)
    put(tmp_path / "b.b2nd", some())
    blosc2.set_nthreads(before)
    assert file_sha256(tmp_path / "a.b2nd") == file_sha256(tmp_path / "b.b2nd")


EXTENT = (slice(1, 4), slice(20, 60), slice(90, 131))


def put_part(path: Path, extent, value: float, classes: tuple[str, ...] = ("liver",)) -> None:
    values = np.full(tuple(s.stop - s.start for s in extent), value, np.float32)
    write_soft(path, ((name, values) for name in classes), list(classes), GRID, "m", "i", extent)


def test_a_part_of_the_image_is_written_where_it_lies(tmp_path: Path) -> None:
    put_part(tmp_path / "a.b2nd", EXTENT, 0.75)
    soft = open_soft(tmp_path / "a.b2nd")
    expected = np.zeros(GRID.shape, np.float16)
    expected[EXTENT] = 0.75
    np.testing.assert_array_equal(soft.read("liver"), expected)
    assert (soft.extent, soft.boxes["liver"], soft.looked_for("liver")) == (EXTENT, EXTENT, True)
    put(tmp_path / "b.b2nd", some())
    assert open_soft(tmp_path / "b.b2nd").extent == (slice(0, 5), slice(0, 70), slice(0, 131))
    with pytest.raises(ValueError, match="expected"):
        write_soft(tmp_path / "c.b2nd", [("liver", expected)], ["liver"], GRID, "m", "i", EXTENT)


@pytest.mark.parametrize("sides", [[[0, 6], [0, 9], [0, 9]], [[-1, 2], [0, 9], [0, 9]], [[2, 1], [0, 9], [0, 9]], [3]])
def test_an_extent_that_is_none_of_the_grid_is_refused(tmp_path: Path, sides: list) -> None:
    import blosc2

    put(tmp_path / "a.b2nd", some())
    array = blosc2.open(str(tmp_path / "a.b2nd"), mode="a")
    array.schunk.vlmeta["voxledger"] = array.schunk.vlmeta["voxledger"] | {"extent": sides}
    with pytest.raises(UnreadableImage, match=r"a\.b2nd is not a readable soft prediction"):
        open_soft(tmp_path / "a.b2nd")


def test_a_model_that_looked_at_nothing_says_nothing(tmp_path: Path) -> None:
    put_part(tmp_path / "a.b2nd", NOWHERE, 0.5)
    soft = open_soft(tmp_path / "a.b2nd")
    assert (soft.classes, soft.boxes, soft.extent) == (("liver",), {"liver": None}, NOWHERE)
    assert not soft.looked_for("liver")
    assert not soft.read("liver").any()


@pytest.mark.parametrize("box", [None, (slice(0, 2), slice(10, 30), slice(80, 100)), (slice(0, 1),) * 3])
def test_the_mean_is_over_those_that_looked_at_the_voxel(tmp_path: Path, box) -> None:
    """By voxel, as one would write it down: sum over those that have a say, divided by how many they are."""
    whole = (slice(0, 5), slice(0, 70), slice(0, 131))
    extents = [whole, EXTENT, (slice(0, 5), slice(0, 25), slice(0, 95)), NOWHERE]
    values = [0.9, 0.3, 0.6, 1.0]
    total, count = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.float32)
    for i, (extent, value) in enumerate(zip(extents, values, strict=True)):
        put_part(tmp_path / f"{i}.b2nd", extent, value)
        total[extent] += np.float32(np.float16(value))
        count[extent] += 1
    put_part(tmp_path / "other.b2nd", whole, 1.0, ("spleen",))
    softs = [open_soft(path) for path in sorted(tmp_path.glob("*.b2nd"))]
    expected = (total / np.maximum(count, 1))[box or whole]
    np.testing.assert_array_equal(ensemble_mean(softs, "liver", box), expected)
    assert not ensemble_mean(softs, "kidney", box).any()
