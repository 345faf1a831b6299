import numpy as np
import pytest

from voxledger.phantom.anatomy import draw_patient
from voxledger.phantom.attenuation import PDAC_CONTRAST, TISSUES, Phase, paint
from voxledger.phantom.materials import Material
from voxledger.phantom.scanner import SITES, Size, grid_of

FOLLOWS = {Material.PDAC, Material.PNET, Material.AIR}


def painted(seed: int, kind: str, phase: Phase):
    _, axes = grid_of(SITES["a"], Size.SMALL, np.random.default_rng(seed))
    canvas, lesions = draw_patient(axes, np.random.default_rng(seed), kind)
    return canvas.material, paint(canvas.material, axes, phase, lesions, np.random.default_rng(seed)), lesions


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("seed", range(3))
def test_every_tissue_has_its_mean_in_the_published_range(seed: int, phase: Phase) -> None:
    material, image, _ = painted(seed, "cyst", phase)
    for m, tissue in TISSUES[phase].items():
        voxels = image[material == m]
        if voxels.size:
            slack = 6 + 3 * tissue.texture_sd / np.sqrt(min(voxels.size, 30))
            assert tissue.low - slack < voxels.mean() < tissue.high + slack, m.name


@pytest.mark.parametrize("phase", list(Phase))
def test_lesions_stand_out_as_published(phase: Phase) -> None:
    for seed in range(4):
        material, image, lesions = painted(seed, "pdac", phase)
        contrast = image[material == Material.PANCREAS].mean() - image[material == Material.PDAC].mean()
        _, _, low, high = PDAC_CONTRAST[phase]
        if lesions[0].inconspicuous:
            assert contrast < 20
        else:
            assert low - 10 < contrast < high + 10
    material, image, lesions = next(p for s in range(9) if not (p := painted(s, "pnet", phase))[2][0].inconspicuous)
    gland, tumour = image[material == Material.PANCREAS].mean(), image[material == Material.PNET].mean()
    assert tumour > gland + (15 if phase is Phase.ARTERIAL else 3)


def test_every_material_has_an_attenuation() -> None:
    for phase in Phase:
        assert set(Material) - set(TISSUES[phase]) == FOLLOWS
