import numpy as np
import numpy.typing as npt
import pytest

from voxledger.bundles.alignment import MOST_POINTS, MOST_SLICES, alignment

ISOTROPIC = (1.0, 1.0, 1.0)


def ball(shape: tuple[int, int, int], radius_mm: float, spacing: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    z, y, x = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == axis else 1 for a in range(3)]) * s
        for axis, (n, s) in enumerate(zip(shape, spacing, strict=True))
    )
    return z**2 + y**2 + x**2 <= radius_mm**2


@pytest.mark.parametrize(("shape", "spacing"), [((40, 40, 40), ISOTROPIC), ((10, 40, 40), (4.0, 1.0, 1.0))])
def test_a_border_on_an_edge_is_aligned_and_one_across_it_is_not(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    organ = ball(shape, 13, spacing)
    image = np.where(organ, 100.0, 0.0) + np.random.default_rng(0).normal(0, 5, shape)
    on, across = (alignment(image, a.astype(np.uint8), spacing) for a in (organ, np.roll(organ, 8, axis=2)))
    assert on is not None
    assert across is not None
    assert on > 0.95
    assert across < on - 0.15


def test_noise_is_aligned_by_chance() -> None:
    """The mean of |cos| between a fixed and a random direction is 1/2."""
    image = np.random.default_rng(1).normal(size=(40, 40, 40))
    found = alignment(image, ball((40, 40, 40), 13, ISOTROPIC).astype(np.uint8), ISOTROPIC)
    assert found == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (np.random.default_rng(2).normal(size=(5, 6, 7)), np.zeros((5, 6, 7), np.uint8)),
        (np.full((5, 6, 7), -1000, np.int16), np.pad(np.ones((1, 2, 3), np.uint8), 2)),
        (np.zeros((0, 4, 4)), np.zeros((0, 4, 4), np.uint8)),
        (np.random.default_rng(3).normal(size=(5, 6, 7)), np.ones((5, 6, 7), np.uint8)),
    ],
    ids=["empty", "flat", "no slice", "all labelled"],
)
def test_what_has_no_border_in_the_image_has_none(
    image: npt.NDArray[np.float64], labels: npt.NDArray[np.uint8]
) -> None:
    assert alignment(image, labels, ISOTROPIC) is None


def test_a_single_voxel_and_other_ids() -> None:
    image = np.zeros((9, 9, 9), np.float32)
    image[4, 4, 4] = 7
    labels = np.zeros((9, 9, 9), np.uint16)
    labels[4, 4, 5] = 300
    found = alignment(image, labels, (3.0, 1.0, 1.0))
    assert found is not None
    assert 0 <= found <= 1


def test_a_large_volume_is_sampled() -> None:
    shape = (3 * MOST_SLICES, 90, 90)
    organ = ball(shape, 40, (0.4, 1.0, 1.0))
    assert np.count_nonzero(organ) > 10 * MOST_POINTS
    found = alignment(np.where(organ, 50.0, 0.0), organ.astype(np.uint8), (0.4, 1.0, 1.0))
    assert found is not None
    assert found > 0.95
