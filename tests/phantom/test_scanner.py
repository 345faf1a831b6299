import numpy as np
import pytest

from voxledger.phantom.scanner import SITES, Size, grid_of, scan


@pytest.mark.parametrize(
    ("size", "voxels", "least", "most"), [(Size.SMALL, 500_000, 4, 5), (Size.MEDIUM, 5_000_000, 1.9, 2.4)]
)
@pytest.mark.parametrize("name", ["a", "b"])
def test_grids_of_the_presets(name: str, size: Size, voxels: int, least: float, most: float) -> None:
    grid, axes = grid_of(SITES[name], size, np.random.default_rng(0))
    assert np.prod(grid.shape) <= voxels
    assert all(least <= s <= most for s in grid.spacing)
    assert tuple(a.size for a in axes) == grid.shape
    assert 340 <= grid.shape[2] * grid.spacing[2] <= 370


@pytest.mark.parametrize("name", ["a", "b"])
def test_the_grid_of_the_full_preset(name: str) -> None:
    full, _ = grid_of(SITES[name], Size.FULL, np.random.default_rng(0))
    assert full.shape[1:] == (512, 512)
    assert 0.7 <= full.spacing[2] <= 0.9
    assert 1 <= full.spacing[0] <= 5


def noise_of(name: str, seed: int = 0) -> tuple[np.ndarray, tuple[float, ...]]:
    grid, _ = grid_of(SITES[name], Size.SMALL, np.random.default_rng(0))
    flat = np.full(grid.shape, 50, np.float32)
    return scan(flat, grid, SITES[name], Size.SMALL, np.random.default_rng(seed)).astype(float), grid.spacing


@pytest.mark.parametrize("name", ["a", "b"])
def test_noise_has_the_level_of_its_site_and_is_correlated(name: str) -> None:
    image, _ = noise_of(name)
    assert image.mean() == pytest.approx(50 + SITES[name].shift_hu, abs=0.5)
    middle = image[:, 25:-25, 25:-25]
    assert middle.std() == pytest.approx(SITES[name].presets[Size.SMALL].noise_hu, rel=0.25)
    # Filtered backprojection: less power at low frequencies than at higher ones.
    power = np.mean(np.abs(np.fft.fft2(image - image.mean())) ** 2, axis=0)
    assert power[0, 1:4].mean() < 0.5 * power[0, 12:20].mean()


def test_site_b_is_noisier_and_lower_than_site_a() -> None:
    a, b = noise_of("a")[0], noise_of("b")[0]
    assert b.std() > 1.3 * a.std()
    assert b.mean() < a.mean() - 3


def test_nothing_leaves_the_range_of_a_ct() -> None:
    grid, _ = grid_of(SITES["b"], Size.SMALL, np.random.default_rng(0))
    image = np.full(grid.shape, -1000, np.float32)
    image[10:20] = 5000
    out = scan(image, grid, SITES["b"], Size.SMALL, np.random.default_rng(0))
    assert out.dtype == np.int16
    assert out.min() == -1024
    assert out.max() == 3071
