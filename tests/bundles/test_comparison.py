"""Voxels counted once, by what they were and what they became."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from voxledger.bundles.comparison import Pairs


@pytest.mark.parametrize("kinds", [(np.uint8, np.uint8), (np.uint8, np.uint16), (np.uint16, np.uint32)])
@pytest.mark.parametrize("filled", [0, 0.1, 0.5, 1])
def test_all_pairs_are_counted(filled: float, kinds: tuple[type, type]) -> None:
    rng, shape = np.random.default_rng(0), (5, 6, 7)
    one, other = (
        (
            rng.choice([1, 2, 9, np.iinfo(kind).max if kind is np.uint8 else 300], shape) * (rng.random(shape) < filled)
        ).astype(kind)
        for kind in kinds
    )
    found = Pairs.of(one, other)
    counted = zip(found.before.tolist(), found.after.tolist(), strict=True)
    assert dict(zip(counted, found.count.tolist(), strict=True)) == Counter(
        zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)
    )
