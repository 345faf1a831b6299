"""What a voxel of a phantom is made of, and which class of `labels.yaml` it counts as."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

CLASSES = {
    "liver": 1,
    "spleen": 2,
    "kidney_right": 3,
    "kidney_left": 4,
    "stomach": 5,
    "gallbladder": 6,
    "pancreas": 7,
    "pancreatic_duct": 8,
    "aorta": 9,
    "postcava": 10,
    "pdac": 11,
    "cyst": 12,
    "pnet": 13,
    "spine": 14,
}
"""Name and id of the classes, as in `labels.yaml`."""

LESIONS = ("pdac", "cyst", "pnet")


class Material(IntEnum):
    """Tissue of a voxel. Several may belong to one class; the last ones belong to none."""

    AIR = 0
    LIVER = 1
    LIVER_VEIN = 2
    SPLEEN = 3
    CORTEX_RIGHT = 4
    MEDULLA_RIGHT = 5
    CORTEX_LEFT = 6
    MEDULLA_LEFT = 7
    STOMACH_WALL = 8
    STOMACH_FLUID = 9
    STOMACH_GAS = 10
    GALLBLADDER = 11
    PANCREAS = 12
    DUCT = 13
    AORTA = 14
    POSTCAVA = 15
    PDAC = 16
    CYST = 17
    PNET = 18
    BONE = 19
    BONE_CORTEX = 20
    DISC = 21
    FAT = 22
    SUBCUTANEOUS = 23
    MUSCLE = 24
    SKIN = 25
    LUNG = 26
    RIB = 27
    BOWEL_WALL = 28
    BOWEL_CONTENT = 29
    BOWEL_GAS = 30
    PORTAL_VEIN = 31
    ARTERY = 32
    CANAL = 33
    HEART = 34
    TABLE = 35


_CLASS_OF = {
    Material.LIVER: "liver",
    Material.LIVER_VEIN: "liver",
    Material.SPLEEN: "spleen",
    Material.CORTEX_RIGHT: "kidney_right",
    Material.MEDULLA_RIGHT: "kidney_right",
    Material.CORTEX_LEFT: "kidney_left",
    Material.MEDULLA_LEFT: "kidney_left",
    Material.STOMACH_WALL: "stomach",
    Material.STOMACH_FLUID: "stomach",
    Material.STOMACH_GAS: "stomach",
    Material.GALLBLADDER: "gallbladder",
    Material.PANCREAS: "pancreas",
    Material.DUCT: "pancreatic_duct",
    Material.AORTA: "aorta",
    Material.POSTCAVA: "postcava",
    Material.PDAC: "pdac",
    Material.CYST: "cyst",
    Material.PNET: "pnet",
    Material.BONE: "spine",
    Material.BONE_CORTEX: "spine",
    Material.DISC: "spine",
}


def labels_of(material: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Label map (innermost ids) of a material map of any shape."""
    table = np.zeros(256, np.uint8)
    for m, name in _CLASS_OF.items():
        table[m] = CLASSES[name]
    return np.asarray(table[material])
