"""Judged masks whose Dice follows from the signs of the ensemble by a known relation, and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voxledger.records.mask_quality import JudgedMask, MaskQuality, Signs

NOISE = 0.4
"""Standard deviation of the logarithm of what lacks to Dice 1, given the signs."""


def judged_masks(
    rng: np.random.Generator,
    cases: int,
    classes: Sequence[str] = ("a", "b"),
    *,
    models: int = 2,
    noise: float = NOISE,
    heavy: bool = False,
    blind: bool = False,
    name: str = "case",
) -> list[JudgedMask]:
    """Masks of some cases, one a class; what is uncertain of a mask, as a share of it, tells how wrong it is."""
    found = []
    for number in range(cases):
        of_case = rng.normal(0, 0.3)
        for class_name in classes:
            ml, wrong = float(np.exp(rng.normal(1, 0.5))), rng.normal(-2.2, 0.6) + of_case
            uncertain = ml * float(np.exp(wrong + rng.normal(0, 0.2)))
            off = 0.6 * rng.standard_t(3) if heavy else rng.normal(0, 1)
            dice = float(np.clip(1.01 - np.exp(wrong + noise * off), 0, 1))
            agreement = float(np.clip(1 - np.exp(wrong + rng.normal(0, 0.3)), 0, 1))
            signs = Signs(models, uncertain, uncertain / 2, uncertain, 0.0, ml, uncertain / 500, agreement)
            if models == 1:
                signs = replace(signs, inconsistent_ml=0.0, lowest_agreement=1.0)
            mask = MaskQuality(f"{name}{number}", class_name, signs, None)
            found.append(JudgedMask(0, mask, blind, dice, 2 * (1 - dice) * ml, min(1.0, 1.5 * (1 - dice))))
    return found
