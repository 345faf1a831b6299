"""How many of the lesions of `lesion_filter.py` can be found at all: an ideal observer.

    python benchmarks/lesion_bound.py --work DIR

DIR is the `--work` of `lesion_filter.py`. The observer knows how phantoms are drawn and is told the place, the outline
and the mean of a lesion; whether it is there, it decides by the likelihood ratio of the voxels in the outline, which
no other detector beats: Gaussian texture of gland and lesion, both blurred as the site's scanner does, and the site's
noise. It asks the same of every place of the gland that lies apart from the others and holds as many voxels, and is
allowed some false alarms a scan. What surrounds a lesion, such as the widened duct of a PDAC, it does not see, so that
PDACs are counted both ways: as it finds them, and all found. Cysts differ from the gland by 70 HU and are all found.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from lesion_filter import CLASSES, FROM_MM, LESIONS, contrasts, table
from scipy.linalg import solve_triangular

from voxledger import layout
from voxledger.evaluate.detection import diameter_mm
from voxledger.imaging.detection import label_lesions
from voxledger.imaging.volume import Grid, read_label
from voxledger.phantom.attenuation import LESION_TEXTURE, TISSUES, Phase
from voxledger.phantom.fields import random_field
from voxledger.phantom.materials import Material
from voxledger.phantom.scanner import SITES, Size, grid_of, scan

Array = npt.NDArray[np.float64]

ALLOWED = (0.6, 0.05)
"""False alarms a scan: what is wanted of the filter, and what a specificity of 95 % takes."""
CERTAIN_HU, CERTAIN_VOXELS = 30.0, 600
"""A lesion farther from the gland than this, or larger, is found."""
DRAWN = 20_000
"""Images drawn of a lesion, and of gland in its place."""
FIELDS = 30
"""Volumes that covariances are estimated from."""
TEXTURE = {
    "gland": (TISSUES[Phase.PORTAL][Material.PANCREAS].texture_sd, TISSUES[Phase.PORTAL][Material.PANCREAS].texture_mm),
    "pdac": LESION_TEXTURE[Material.PDAC],
    "pnet": LESION_TEXTURE[Material.PNET],
}
"""Standard deviation in HU and grain in mm."""


@click.command()
@click.option("--work", type=click.Path(path_type=Path, exists=True), required=True, help="That of lesion_filter.py.")
def main(work: Path) -> None:
    """Print what is found of the lesions of test and calibration scans, and the lesions that may be missed."""
    repository, rng = work.resolve() / "repository", np.random.default_rng(0)
    summary, missed = [], []
    for group in ("calibration", "test"):
        found = []
        for path in sorted((repository / layout.IMAGES).glob(f"{group}-*.nii.gz")):
            found += of_case(repository, path.name.removesuffix(".nii.gz"), rng)
        chances = np.array([row[-1] for row in found])
        all_pdacs = np.where(np.array([[row[1] == "pdac"] for row in found]), 1.0, chances)
        for name, values in (("as the observer finds them", chances), ("all found", all_pdacs)):
            summary.append([group, str(len(found)), name, *(f"{v:.1%}" for v in values.mean(axis=0))])
        missed += [row for row in found if row[-1][0] < 0.99]
    at = [f"found at {n:g} false alarms a scan" for n in ALLOWED]
    print(table(["scans", f"lesions ≥ {FROM_MM:g} mm", "PDACs", *at], summary))
    print()
    rows = [[c, name, f"{mm:.1f}", f"{hu:+.0f}", *(f"{p:.2f}" for p in ps)] for c, name, mm, hu, ps in missed]
    print(table(["case", "class", "mm", "HU from the gland", *at], rows))


def of_case(repository: Path, case_id: str, rng: np.random.Generator) -> list[tuple[str, str, float, float, Any]]:
    """Case, class, diameter, contrast and chances of every lesion of a scan from `FROM_MM`."""
    label = read_label(layout.label_map(repository / layout.BASE_LABELS, case_id))
    site = case_id.split("-")[1]
    lesions, sizes = label_lesions(np.isin(label, [CLASSES[name] for name in LESIONS]))
    if not len(sizes):
        return []
    preset = SITES[site].presets[Size.MEDIUM]
    ml, gland, found = float(np.prod(preset.spacing)) / 1000, int((label == CLASSES["pancreas"]).sum()), []
    for number, hu in enumerate(contrasts(repository, case_id), start=1):
        whole = lesions == number
        name = next(n for n in LESIONS if CLASSES[n] == np.bincount(label[whole]).argmax())
        voxels = np.argwhere(whole)
        if diameter_mm(len(voxels) * ml) < FROM_MM:
            continue
        certain = name == "cyst" or abs(hu) > CERTAIN_HU or len(voxels) > CERTAIN_VOXELS
        places = (gland + len(voxels)) / len(voxels)
        chances = [1.0] * len(ALLOWED) if certain else detected(site, name, voxels, hu, places, rng)
        found.append((case_id, name, diameter_mm(len(voxels) * ml), hu, chances))
    return found


def detected(
    site: str, name: str, voxels: npt.NDArray[np.int64], hu: float, places: float, rng: np.random.Generator
) -> list[float]:
    """Chance that a lesion is told from gland, for each of `ALLOWED`.

    Parameters
    ----------
    voxels
        Those of the lesion (voxel, axis).
    hu
        Its mean less that of the gland.
    places
        How many places of the gland are asked.
    """
    lag = voxels[:, None] - voxels[None]
    covariance = {
        tissue: of_site[lag[..., 0], lag[..., 1], lag[..., 2]]
        for tissue, of_site in covariances(site).items()
        if tissue in ("gland", name, "noise")
    }
    steady = 1e-3 * np.eye(len(voxels))
    gland, lesion = (np.linalg.cholesky(covariance[t] + covariance["noise"] + steady) for t in ("gland", name))
    log_determinants = np.log(np.diag(gland)).sum() - np.log(np.diag(lesion)).sum()

    def evidence(values: Array) -> Array:
        of_gland = (solve_triangular(gland, values, lower=True) ** 2).sum(axis=0)
        of_lesion = (solve_triangular(lesion, values - hu, lower=True) ** 2).sum(axis=0)
        return np.asarray(log_determinants + (of_gland - of_lesion) / 2)

    drawn = rng.standard_normal((len(voxels), DRAWN))
    false, true = np.sort(evidence(gland @ drawn)), evidence(lesion @ drawn + hu)
    bounds = [false[min(DRAWN - 1, int((1 - min(1.0, n / places)) * DRAWN))] for n in ALLOWED]
    return [float((true > bound).mean()) for bound in bounds]


@cache
def covariances(site: str) -> dict[str, Array]:
    """Covariance in HU² by the distance in voxels (z, y, x) of the textures, as they are scanned, and of the noise."""
    of_site, rng = SITES[site], np.random.default_rng(0)
    full, _ = grid_of(of_site, Size.MEDIUM, rng)
    small = Grid.plain((40, 40, 40), full.spacing)
    axes: Any = tuple(np.arange(n) * s for n, s in zip(small.shape, small.spacing, strict=True))
    middle = tuple(slice(n // 2 - 20, n // 2 + 20) for n in full.shape)

    def scanned(image: Array, grid: Grid, seed: int) -> Array:
        return scan(image.astype(np.float32), grid, of_site, Size.MEDIUM, np.random.default_rng(seed)).astype(float)

    found = {"noise": [scanned(np.zeros(full.shape), full, n)[middle] - of_site.shift_hu for n in range(4)]}
    for tissue, (sd, grain) in TEXTURE.items():
        fields = [sd * random_field(rng, axes, grain) for _ in range(FIELDS)]
        # Of two scans with the same noise, the difference is the texture.
        found[tissue] = [(scanned(f, small, 0) - scanned(0 * f, small, 0))[4:-4, 4:-4, 4:-4] for f in fields]
    return {name: autocovariance(fields) for name, fields in found.items()}


def autocovariance(fields: list[Array]) -> Array:
    """Mean product of values by their distance in voxels (z, y, x), over fields of mean 0."""
    shape = [2 * n for n in fields[0].shape]

    def products(values: Array) -> Array:
        return np.asarray(np.fft.irfftn(np.abs(np.fft.rfftn(values, shape, (0, 1, 2))) ** 2, shape, (0, 1, 2)))

    pairs = np.maximum(products(np.ones(fields[0].shape)), 0.5)
    return np.asarray(np.mean([products(f) for f in fields], axis=0) / pairs)


if __name__ == "__main__":
    main()
