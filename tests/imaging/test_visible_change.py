"""What of a change can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt

from voxledger.imaging.components import connected_components
from voxledger.imaging.visible_change import visible_change

SHAPE = (9, 20, 24)
PLAIN, THICK = (1.0, 1.0, 1.0), (5.0, 0.8, 0.8)


def box(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return mask


NOTHING = np.zeros(SHAPE, bool)
VOXEL = box(slice(4, 5), slice(4, 5), slice(4, 5))
ORGAN = box(slice(2, 7), slice(4, 14), slice(4, 14))
SHELL = binary_dilation(ORGAN)
BUMP = SHELL | box(slice(4, 5), slice(8, 10), slice(14, 18))
SLICE = ORGAN | box(slice(7, 8), slice(4, 14), slice(4, 14))
APART = ORGAN | box(slice(4, 5), slice(17, 18), slice(20, 21))


@pytest.mark.parametrize(
    ("before", "after", "spacing", "tolerance", "errors"),
    [
        pytest.param(NOTHING, NOTHING, PLAIN, 2, 0, id="both empty"),
        pytest.param(ORGAN, ORGAN, PLAIN, 2, 0, id="the same"),
        pytest.param(NOTHING, VOXEL, PLAIN, 2, 1, id="a single voxel where there was nothing"),
        pytest.param(VOXEL, NOTHING, PLAIN, 2, 1, id="a class is emptied"),
        pytest.param(ORGAN, SHELL, PLAIN, 0, 1, id="any voxel"),
        pytest.param(ORGAN, SHELL, PLAIN, 0.99, 1, id="a voxel of boundary reaches farther"),
        pytest.param(ORGAN, SHELL, PLAIN, 1, 0, id="a voxel of boundary is no error"),
        pytest.param(SHELL, ORGAN, PLAIN, 1, 0, id="nor where it is taken away"),
        pytest.param(ORGAN, BUMP, PLAIN, 1, 1, id="a bump of the boundary"),
        pytest.param(ORGAN, SLICE, THICK, 2, 1, id="a thick slice reaches as far as it is thick"),
        pytest.param(ORGAN, SLICE, THICK, 5, 0, id="and no farther"),
        pytest.param(ORGAN, APART, PLAIN, 2, 1, id="a voxel far away"),
        pytest.param(SHELL, APART, PLAIN, 1, 1, id="beside a boundary that is none"),
        pytest.param(ORGAN, NOTHING, PLAIN, 1000, 1, id="nothing is far from nothing"),
        pytest.param(VOXEL, np.roll(VOXEL, 3, 2), (1, 1, 0.7), 2.1, 0, id="3 × 0.7 mm lies at 2.1 mm"),
    ],
)
def test_errors(
    before: np.ndarray, after: np.ndarray, spacing: tuple[float, ...], tolerance: float, errors: int
) -> None:
    found = visible_change(before, after, spacing, tolerance)
    assert connected_components(found)[1] == errors
    assert not (found & (before == after)).any()


def test_a_bump_is_seen_with_the_boundary_around_it_and_not_with_all_of_it() -> None:
    found = visible_change(ORGAN, BUMP, PLAIN, 1)
    assert found[4, 8:10, 14:18].all()
    assert np.count_nonzero(found) < 30 < np.count_nonzero(BUMP & ~ORGAN)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0, 3.3])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_whole_volumes_say(seed: int, tolerance: float) -> None:
    """Boxes and margins change nothing."""
    rng = np.random.default_rng(seed)
    before, after = (binary_dilation(rng.random(SHAPE) > 0.997, iterations=int(rng.integers(1, 4))) for _ in range(2))
    spacing = (2.5, 0.8, 0.7)

    def away(mask: np.ndarray) -> np.ndarray:
        return distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(SHAPE, np.inf)

    added, taken = after & ~before, before & ~after
    far = (added & (away(before) > tolerance + 1e-6)) | (taken & (away(after) > tolerance + 1e-6))
    expected = (added | taken) & (away(far) <= tolerance + 1e-6)
    assert np.array_equal(visible_change(before, after, spacing, tolerance), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        (ORGAN.astype(np.uint8), ORGAN, PLAIN, 1.0),
        (ORGAN, ORGAN[1:], PLAIN, 1.0),
        (ORGAN, ORGAN, PLAIN, -1.0),
    ],
)
def test_what_is_no_pair_of_masks_is_refused(wrong: tuple[np.ndarray, np.ndarray, tuple[float, ...], float]) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        visible_change(*wrong)
