"""Label bias: how far each pair of models, and each model and the ensemble, agree on a class.

As in AbdomenAtlas-8K: where the labels resemble one architecture more than the others, that one
dominates the ensemble, and its errors become the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from voxledger.records.card import ENSEMBLE


def agreement(models: Sequence[str], votes: Mapping[int, int]) -> dict[tuple[str, str], float]:
    """Dice of every pair of models, and of every model and the ensemble.

    Parameters
    ----------
    models
        Names; bit i of a vote stands for models[i], the next one for the ensemble.
    votes
        Voxels by the set of models that claim them.

    Returns
    -------
    Dice by pair. 1 where neither claims a voxel.
    """
    names = [*models, ENSEMBLE]
    size = {n: sum(count for claim, count in votes.items() if claim >> i & 1) for i, n in enumerate(names)}
    found = {}
    for (i, a), (j, b) in combinations(enumerate(names), 2):
        both = sum(count for claim, count in votes.items() if claim >> i & 1 and claim >> j & 1)
        found[a, b] = 2.0 * both / (size[a] + size[b]) if size[a] + size[b] else 1.0
    return found
