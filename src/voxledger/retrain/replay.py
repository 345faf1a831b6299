"""Which older cases are learned from again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from voxledger.models.cohort import Member
from voxledger.params import RetrainParams


def replayed(
    members: Sequence[Member], older: Collection[str], params: RetrainParams, about: str, class_name: str = ""
) -> list[str]:
    """A share of some cases: the first of the order of the round; those that have no place in it last, by chance.

    Parameters
    ----------
    older
        Ids of the cases that may be learned from again.
    params
        `replay` and `seed` of it are used; `replay_by` has made the order.
    about
        What chance depends on beside the seed.
    class_name
        Class by whose order they are chosen; empty for that of all classes together.
    """
    places = {m.case.case_id: m.places.get(class_name) for m in members}
    rng = np.random.default_rng([params.seed, *about.encode()])
    by_chance = rng.permutation(sorted(older)).tolist()
    ordered = sorted(by_chance, key=lambda case_id: (places[case_id] is None, places[case_id] or 0))
    return ordered[: round(params.replay * len(ordered))]
