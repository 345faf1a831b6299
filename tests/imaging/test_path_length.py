"""How much of a contour was drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.imaging.path_length import added_path_length

SPACING = (5.0, 0.5, 0.5)


def square(z: slice | int = 0, y: int = 4, x: int = 4, side: int = 5) -> np.ndarray:
    mask = np.zeros((4, 16, 16), bool)
    mask[z, y : y + side, x : x + side] = True
    return mask


NOTHING = np.zeros((4, 16, 16), bool)
VOXEL = square(1, 3, 3, 1)


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "voxels"),
    [
        pytest.param(NOTHING, NOTHING, 0, 0, id="both empty"),
        pytest.param(NOTHING, VOXEL, 0, 1, id="one voxel"),
        pytest.param(VOXEL, NOTHING, 0, 0, id="what is erased costs nothing"),
        pytest.param(VOXEL, VOXEL, 0, 0, id="the same"),
        pytest.param(NOTHING, square(), 0, 16, id="from nothing: the whole contour of 5 by 5"),
        pytest.param(NOTHING, square(slice(0, 3)), 0, 48, id="slice by slice"),
        pytest.param(square(0), square(slice(0, 3)), 0, 32, id="two more slices"),
        pytest.param(square(), square(x=5), 0, 8, id="moved by a voxel"),
        pytest.param(square(), square(x=5), 0.5, 0, id="moved by the tolerance"),
        pytest.param(square(), square(x=5), 0.49, 8, id="moved by more than the tolerance"),
        pytest.param(square(), square(x=6), 0.5, 6, id="moved by two, of which one is within the tolerance"),
        pytest.param(square(), square(0, 0, 0, 16), 0, 60, id="up to the border of the image"),
        pytest.param(square(0), square(1), 2.0, 16, id="another slice is never near, however close"),
    ],
)
def test_voxels(old: np.ndarray, new: np.ndarray, tolerance: float, voxels: int) -> None:
    found = added_path_length(old, new, SPACING, tolerance)
    assert found.voxels == voxels
    assert found.mm == pytest.approx(voxels * 0.5)


def test_the_tolerance_holds_in_the_slice_and_in_mm() -> None:
    """0.7 mm along y and 2 mm along x: a step along y is within 1 mm, one along x is not."""
    old, spacing = square(), (5.0, 0.7, 2.0)
    assert added_path_length(old, square(y=5), spacing, 1.0).voxels == 0
    assert added_path_length(old, square(x=5), spacing, 1.0).voxels > 0
    assert added_path_length(old, square(y=7), spacing, 2.1).voxels == 0, "3 × 0.7 mm lies at 2.1 mm"
    assert added_path_length(NOTHING, VOXEL, spacing).mm == pytest.approx(np.sqrt(0.7 * 2.0))


def test_slices_across_another_axis() -> None:
    """What people draw in sagittal slices is as long as the same turned to axial ones."""
    old, new = square(slice(0, 3)), square(slice(0, 3), x=6)
    turned = [np.moveaxis(m, 0, 2) for m in (old, new)]
    across = added_path_length(*turned, (0.5, 0.5, 5.0), axis=2)
    assert across == added_path_length(old, new, SPACING)
    assert across != added_path_length(*turned, (0.5, 0.5, 5.0), axis=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NOTHING.astype(int), NOTHING, SPACING), "old must be"),
        ((NOTHING, NOTHING[0], SPACING), "new must be"),
        ((NOTHING, NOTHING[1:], SPACING), "new \\(3, 16, 16\\)"),
        ((NOTHING, NOTHING, (1.0, 0.0, 1.0)), "out of range"),
        ((NOTHING, NOTHING, SPACING, -1.0), "out of range"),
        ((NOTHING, NOTHING, SPACING, 0.0, 3), "out of range"),
    ],
)
def test_what_it_is_not_given(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        added_path_length(*arguments)  # type: ignore[arg-type]
