"""Hounsfield units of tissues by contrast phase, and the texture inside them.

Every row gives the mean over patients, its standard deviation, the range that a patient's mean is kept in, and
the standard deviation and grain of the texture. Sources: docs/phantoms.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box
from voxledger.phantom.fields import Axes, random_field
from voxledger.phantom.materials import Material
from voxledger.phantom.pancreas import Lesion
from voxledger.phantom.shapes import crop

M = Material
Image = npt.NDArray[np.float32]


class Phase(StrEnum):
    """When the scan was taken after contrast was given: about 35 to 45 s, or about 70 s."""

    ARTERIAL = "arterial"
    PORTAL = "portal_venous"


@dataclass(frozen=True)
class Tissue:
    """Attenuation in HU."""

    mean: float
    sd: float
    low: float
    high: float
    texture_sd: float = 0.0
    texture_mm: float = 6.0


_ALWAYS = {
    M.STOMACH_FLUID: Tissue(14, 8, 0, 35, 5, 9),
    M.STOMACH_GAS: Tissue(-960, 10, -1000, -900),
    M.GALLBLADDER: Tissue(9, 4, 0, 20, 1.5, 8),
    M.DUCT: Tissue(12, 4, 0, 25),
    # Mucinous cysts 11 to 13, pseudocysts 19 (Chalian 2011).
    M.CYST: Tissue(14, 4.5, 3, 25, 2, 6),
    # First lumbar vertebra: 226 below 30 years, 89 from 90 years (Jang 2019).
    M.BONE: Tissue(150, 35, 85, 230, 22, 4),
    M.BONE_CORTEX: Tissue(420, 50, 320, 560, 50, 4),
    M.DISC: Tissue(85, 10, 65, 110, 6, 6),
    # Adipose tissue -190 to -30, muscle -29 to 150.
    M.FAT: Tissue(-100, 6, -115, -85, 9, 5),
    M.SUBCUTANEOUS: Tissue(-105, 5, -118, -92, 6, 5),
    M.SKIN: Tissue(20, 10, 0, 45),
    M.LUNG: Tissue(-830, 30, -890, -760, 35, 5),
    M.RIB: Tissue(320, 50, 220, 430, 60, 4),
    M.BOWEL_CONTENT: Tissue(30, 12, 5, 60, 16, 6),
    M.BOWEL_GAS: Tissue(-930, 20, -980, -880),
    M.CANAL: Tissue(25, 6, 10, 40),
    M.TABLE: Tissue(-150, 40, -250, -60),
}
TISSUES = {
    Phase.ARTERIAL: {
        **_ALWAYS,
        M.LIVER: Tissue(74, 8, 55, 92, 3.5, 8),
        M.LIVER_VEIN: Tissue(98, 12, 75, 130),
        # Mottled in the arterial phase.
        M.SPLEEN: Tissue(128, 13, 100, 160, 16, 11),
        # Cortex enhanced by 195 to 217, medulla 110 to 140 below it (PMID 17367973).
        M.CORTEX_RIGHT: Tissue(215, 14, 185, 245, 8, 7),
        M.CORTEX_LEFT: Tissue(215, 14, 185, 245, 8, 7),
        M.MEDULLA_RIGHT: Tissue(96, 10, 75, 120, 8, 6),
        M.MEDULLA_LEFT: Tissue(96, 10, 75, 120, 8, 6),
        M.STOMACH_WALL: Tissue(78, 10, 55, 105, 8, 5),
        # 100 to 128 in the head and tail (Stuber 2012; bolus tracking study with 526 patients).
        M.PANCREAS: Tissue(112, 11, 88, 135, 10, 4),
        M.AORTA: Tissue(285, 32, 220, 360, 4, 12),
        M.POSTCAVA: Tissue(95, 22, 55, 150, 14, 14),
        M.MUSCLE: Tissue(56, 6, 40, 70, 9, 4),
        M.BOWEL_WALL: Tissue(80, 10, 60, 105, 8, 5),
        M.PORTAL_VEIN: Tissue(130, 20, 90, 170),
        M.ARTERY: Tissue(280, 30, 220, 350),
        M.HEART: Tissue(180, 25, 130, 230, 15, 20),
    },
    Phase.PORTAL: {
        **_ALWAYS,
        # 104.5 ± 18.1 without steatosis, spleen about 8 above (2777 patients).
        M.LIVER: Tissue(107, 11, 82, 132, 3.5, 8),
        M.LIVER_VEIN: Tissue(150, 12, 125, 180),
        M.SPLEEN: Tissue(118, 10, 95, 140, 4, 8),
        M.CORTEX_RIGHT: Tissue(195, 14, 165, 225, 7, 7),
        M.CORTEX_LEFT: Tissue(195, 14, 165, 225, 7, 7),
        M.MEDULLA_RIGHT: Tissue(162, 12, 135, 190, 7, 6),
        M.MEDULLA_LEFT: Tissue(162, 12, 135, 190, 7, 6),
        M.STOMACH_WALL: Tissue(88, 10, 65, 115, 8, 5),
        # 67 to 84 (Stuber 2012), up to about 100 elsewhere.
        M.PANCREAS: Tissue(88, 9, 68, 108, 10, 4),
        M.AORTA: Tissue(152, 14, 120, 185, 3, 12),
        M.POSTCAVA: Tissue(135, 14, 100, 165, 7, 14),
        M.MUSCLE: Tissue(60, 6, 42, 75, 9, 4),
        M.BOWEL_WALL: Tissue(92, 10, 70, 115, 8, 5),
        M.PORTAL_VEIN: Tissue(165, 14, 130, 195),
        M.ARTERY: Tissue(150, 14, 120, 185),
        M.HEART: Tissue(140, 15, 110, 170, 10, 20),
    },
}
"""Tissues whose attenuation does not follow from another's; PDAC and PNET are set against the pancreas."""

PDAC_CONTRAST = {Phase.ARTERIAL: (67.0, 15.0, 38.0, 95.0), Phase.PORTAL: (39.0, 12.0, 18.0, 65.0)}
"""Pancreas minus tumour in HU, as mean, sd and limits: 67 ± 19 and 39 ± 16 (Lu 1996)."""
PDAC_ISO_CONTRAST = {Phase.ARTERIAL: 9.2, Phase.PORTAL: 5.6}
"""The same for isoattenuating tumours: 9.2 and 4.2 to 7.1 (Prokesch 2002, PMID 17961951)."""
PDAC_LIMITS = (15.0, 125.0)
PNET_RATIO = {Phase.ARTERIAL: (1.5, 0.18, 1.25, 1.9), Phase.PORTAL: (1.28, 0.12, 1.1, 1.5)}
"""Tumour over pancreas, as mean, sd and limits: 1.53 ± 0.45 arterial for grade 1 (Belousova 2017)."""
PNET_HYPO_RATIO = (0.9, 0.06, 0.75, 1.0)
"""The same for the fifth of tumours that does not enhance more than the gland."""
LESION_TEXTURE = {M.PDAC: (7.0, 6.0), M.PNET: (11.0, 6.0)}


def paint(
    material: npt.NDArray[np.uint8], axes: Axes, phase: Phase, lesions: list[Lesion], rng: np.random.Generator
) -> Image:
    """Attenuation of a material map before it passes a scanner.

    Parameters
    ----------
    material
        Material of every voxel (z, y, x).
    axes
        Coordinates in mm of planes, rows and columns.
    phase
        Contrast phase.
    lesions
        What lies in the pancreas.
    rng
        Source of the patient's means and of the textures.

    Returns
    -------
    ndarray
        HU (z, y, x), float32; air outside is -1000.
    """
    levels = np.full(256, -1000.0, np.float32)
    drawn = {m: _within(rng, t.mean, t.sd, t.low, t.high) for m, t in TISSUES[phase].items()}
    for left, right in ((M.CORTEX_LEFT, M.CORTEX_RIGHT), (M.MEDULLA_LEFT, M.MEDULLA_RIGHT)):
        drawn[left] = drawn[right] + rng.normal(0, 2)
    drawn |= _solid_lesions(phase, lesions, drawn[M.PANCREAS], rng)
    for m, value in drawn.items():
        levels[m] = value
    image = levels[material]
    textures = {m: (t.texture_sd, t.texture_mm) for m, t in TISSUES[phase].items()} | LESION_TEXTURE
    for m in sorted(textures):
        sd, grain = textures[m]
        mask = material == m
        box = bounding_box(mask) if sd > 0 else None
        if box is not None:
            _add_texture(image, mask, box, axes, sd, grain, rng)
    return np.asarray(image)


def _add_texture(
    image: Image,
    mask: npt.NDArray[np.bool_],
    box: tuple[slice, slice, slice],
    axes: Axes,
    sd: float,
    grain: float,
    rng: np.random.Generator,
) -> None:
    # In slabs of about 40 mm: fat and muscle span the whole volume.
    planes = max(1, int(40 / (axes[0][1] - axes[0][0])))
    for start in range(box[0].start, box[0].stop, planes):
        slab = slice(start, min(start + planes, box[0].stop)), box[1], box[2]
        field = random_field(rng, crop(axes, slab), grain)
        image[slab][mask[slab]] += (sd * field[mask[slab]]).astype(np.float32)


def _solid_lesions(
    phase: Phase, lesions: list[Lesion], pancreas: float, rng: np.random.Generator
) -> dict[Material, float]:
    if not lesions or lesions[0].kind == "cyst":
        return {}
    if lesions[0].kind == "pdac":
        contrast = PDAC_ISO_CONTRAST[phase] if lesions[0].inconspicuous else _within(rng, *PDAC_CONTRAST[phase])
        return {M.PDAC: float(np.clip(pancreas - contrast, *PDAC_LIMITS))}
    ratio = PNET_HYPO_RATIO if lesions[0].inconspicuous else PNET_RATIO[phase]
    return {M.PNET: pancreas * _within(rng, *ratio)}


def _within(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sd), low, high))
