import numpy as np
import pytest

from voxledger.imaging.volume import Grid
from voxledger.phantom.weak import recist, slice_mask

GRID = Grid((6, 20, 30), (5.0, 2.0, 1.0), (-10.0, 20.0, -30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def blank() -> np.ndarray:
    return np.zeros(GRID.shape, bool)


def test_slice_mask_is_the_reference_in_its_largest_slice() -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1, 3:5, 3:5] = 7
    labels[3, 3:9, 3:9] = 7
    labels[3, 5, 5] = 8
    labels[3, 12:14, 2:4] = 1
    weak = slice_mask(labels, [7, 8])
    np.testing.assert_array_equal(weak[3], np.where(labels[3] == 1, 0, labels[3]))
    assert not weak[[0, 1, 2, 4, 5]].any()


@pytest.mark.parametrize(
    ("box", "length", "ends"),
    [
        # A bar along x: eleven pixels of 1 mm. A bar along y: six of 2 mm.
        ((2, slice(4, 5), slice(3, 14)), 11.0, {(-7.0, 28.0, -20.0), (3.0, 28.0, -20.0)}),
        ((4, slice(4, 10), slice(3, 4)), 12.0, {(-7.0, 28.0, -10.0), (-7.0, 38.0, -10.0)}),
        ((0, slice(0, 1), slice(0, 1)), 1.0, {(-10.0, 20.0, -30.0)}),
        ((5, slice(19, 20), slice(25, 30)), 5.0, {(15.0, 58.0, -5.0), (19.0, 58.0, -5.0)}),
    ],
    ids=["along x", "along y", "single voxel", "corner of the grid"],
)
def test_recist_of_bars(box, length, ends) -> None:
    mask = blank()
    mask[box] = True
    found = recist(mask, GRID, "cyst")
    assert found["long_diameter_mm"] == pytest.approx(length)
    assert {tuple(p) for p in found["points_lps_mm"]} == ends
    assert found["slice"] == box[0]
    assert found["class"] == "cyst"


def test_recist_follows_the_direction_cosines() -> None:
    mask = blank()
    mask[2, 4, 3:14] = True
    turned = Grid(GRID.shape, GRID.spacing, (0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    found = recist(mask, turned, "pdac")
    assert {tuple(p) for p in found["points_lps_mm"]} == {(-8.0, 3.0, 10.0), (-8.0, 13.0, 10.0)}


def test_recist_does_not_span_two_pieces() -> None:
    mask = blank()
    mask[2, 4, 3:8] = True
    mask[2, 4, 20:24] = True
    assert recist(mask, GRID, "cyst")["long_diameter_mm"] == pytest.approx(5.0)


def test_recist_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        recist(blank(), GRID, "cyst")
