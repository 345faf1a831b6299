"""Two sites: voxel spacing, sharpness, noise, phase mix and a small shift of the Hounsfield scale.

Noise of filtered backprojection is correlated: its power spectrum rises with frequency like the ramp filter
and falls with the kernel (Kijewski & Judy 1987; Solomon 2012). A smooth kernel moves its peak down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid
from voxledger.phantom.attenuation import Image
from voxledger.phantom.fields import Axes


class Size(StrEnum):
    """Preset of the grid: `small` for demonstrations on a CPU, `full` as a hospital sends it."""

    SMALL = "small"
    MEDIUM = "medium"
    """About 2 mm, on which a ball of 10 mm is 65 voxels."""
    FULL = "full"


EXTENT_MM = 258.0
"""Length of the scan along z."""


@dataclass(frozen=True)
class Preset:
    """A grid that all scans of a site share: a scan averaged to it."""

    spacing: tuple[float, float, float]
    """In mm (z, y, x)."""
    columns: int
    noise_hu: float
    """Standard deviation in the abdomen: less than on the full preset, since its voxels average over more tissue."""


@dataclass(frozen=True)
class Site:
    """A hospital with its scanner and habits."""

    name: str
    number: int
    arterial_share: float
    in_plane_mm: tuple[float, float]
    """Range of pixel spacings of the full preset."""
    slices_mm: tuple[float, ...]
    """Slice spacings of the full preset."""
    presets: Mapping[Size, Preset]
    """All but the full one."""
    blur_mm: float
    """Standard deviation of the in-plane point spread."""
    noise_peak: float
    """Frequency in 1/mm where the noise power is highest."""
    noise_hu: float
    """Standard deviation in the abdomen for 2.5 mm slices of the full preset."""
    shift_hu: float
    """Added to everything but air: scanners of two makers disagree by a few HU (Lamba 2014)."""


SITES = {
    "a": Site(
        name="a",
        number=1,
        arterial_share=0.3,
        in_plane_mm=(0.70, 0.80),
        slices_mm=(2.0, 2.5),
        presets={
            Size.SMALL: Preset((5.0, 4.5, 4.5), columns=80, noise_hu=7.0),
            Size.MEDIUM: Preset((2.0, 2.0, 2.0), columns=180, noise_hu=9.0),
        },
        blur_mm=0.65,
        noise_peak=0.16,
        noise_hu=11.0,
        shift_hu=0.0,
    ),
    "b": Site(
        name="b",
        number=2,
        arterial_share=0.65,
        in_plane_mm=(0.80, 0.90),
        slices_mm=(3.0, 5.0),
        presets={
            Size.SMALL: Preset((4.0, 4.8, 4.8), columns=76, noise_hu=12.0),
            Size.MEDIUM: Preset((2.4, 1.9, 1.9), columns=192, noise_hu=14.0),
        },
        blur_mm=0.40,
        noise_peak=0.27,
        noise_hu=17.0,
        shift_hu=-6.0,
    ),
}
"""a: portal venous by habit, smooth kernel, low noise. b: arterial by habit, sharp kernel, noisier."""


def grid_of(site: Site, size: Size, rng: np.random.Generator) -> tuple[Grid, Axes]:
    """The grid of one scan, and the patient coordinates (z, y, x) in mm of its planes, rows and columns.

    Array axes run to the head, the back and the patient's left, so that the direction cosines are the
    identity in LPS.
    """
    if preset := site.presets.get(size):
        spacing, columns = preset.spacing, preset.columns
    else:
        pixel = round(float(rng.uniform(*site.in_plane_mm)), 4)
        spacing, columns = (float(rng.choice(site.slices_mm)), pixel, pixel), 512
    shape = (round(EXTENT_MM / spacing[0]), columns, columns)
    # The patient does not lie exactly in the middle of the scan.
    offset = rng.uniform(-1, 1, 3) * (6, 8, 3)
    z, y, x = ((np.arange(n) - (n - 1) / 2) * s + o for n, s, o in zip(shape, spacing, offset, strict=True))
    origin = tuple(round(-(n - 1) / 2 * s, 3) for n, s in zip(shape[::-1], spacing[::-1], strict=True))
    grid = Grid(shape, spacing, (origin[0], origin[1], origin[2]), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    return grid, (z, y, x)


def scan(image: Image, grid: Grid, site: Site, size: Size, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Blur, add noise, shift and round: HU (z, y, x) as int16 from -1024 up."""
    from scipy.ndimage import gaussian_filter

    # A voxel averages over its own width: 0.3 voxels of standard deviation a side.
    sigma = [
        np.hypot(b, 0.3 * s) / s
        for b, s in zip((0.25 * min(grid.spacing[0], 3.0), site.blur_mm, site.blur_mm), grid.spacing, strict=True)
    ]
    image = gaussian_filter(image, sigma, truncate=3.0, mode="nearest")
    inside = image > -500
    image[inside] += site.shift_hu
    preset = site.presets.get(size)
    level = preset.noise_hu if preset else site.noise_hu * np.sqrt(2.5 / grid.spacing[0])
    # Thick patients are noisier in the middle, where photons have passed most tissue.
    y, x = (np.linspace(-1, 1, n) for n in grid.shape[1:])
    middle = np.exp(-2.0 * (y[:, None] ** 2 + x[None, :] ** 2)).astype(np.float32)
    image += _noise(grid, site.noise_peak, rng) * (level * (0.7 + 0.5 * middle))
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _noise(grid: Grid, peak: float, rng: np.random.Generator) -> Image:
    # Power ~ f² exp(-(f/peak)²), highest at `peak`; neighbouring slices share a little of their data.
    from scipy import fft
    from scipy.ndimage import gaussian_filter1d

    fy = fft.fftfreq(grid.shape[1], grid.spacing[1])[:, None]
    fx = fft.rfftfreq(grid.shape[2], grid.spacing[2])[None, :]
    f = np.hypot(fy, fx)
    amplitude = ((f + 0.02) * np.exp(-0.5 * (f / peak) ** 2)).astype(np.float32)
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    for plane in noise:
        plane[:] = fft.irfft2(fft.rfft2(plane) * amplitude, plane.shape)
    noise = gaussian_filter1d(noise, 0.45, axis=0, mode="wrap", truncate=3.0)
    return np.asarray(noise / noise.std(dtype=np.float64), dtype=np.float32)
