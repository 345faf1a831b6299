"""Which older cases are learned from again."""

from __future__ import annotations

import pytest

from voxledger.models.cohort import Member
from voxledger.params import RetrainParams
from voxledger.records.cases import Case, Split
from voxledger.retrain.replay import replayed

PLACES = {
    "a": {"liver": 3, "": 0},
    "b": {"liver": 0, "": 1},
    "c": {"liver": 1, "": 2},
    "d": {},
    "e": {"liver": 2, "": 3},
}


def members(places=PLACES):
    return [
        Member(Case(i, f"images/{i}.nii.gz", "", "", "", "", Split.POOL, "CT", ""), (), found)
        for i, found in places.items()
    ]


@pytest.mark.parametrize(
    ("older", "share", "class_name", "wanted"),
    [
        ("abcde", 0.4, "liver", "bc"),
        ("abcde", 0.4, "", "ab"),
        ("acde", 0.5, "liver", "ce"),  # b is not old: the next in its place
        ("ad", 0.5, "liver", "a"),  # d was not measured
        ("abcde", 1.0, "liver", "bcead"),
        ("abcde", 0.0, "liver", ""),
        ("", 1.0, "liver", ""),
    ],
)
def test_the_first_of_the_order_are_taken(older, share, class_name, wanted):
    params = RetrainParams(replay=share, replay_by="importance")
    assert "".join(replayed(members(), set(older), params, "liver", class_name)) == wanted


def test_without_an_order_chance_decides_by_seed_and_what_it_is_about():
    names = {f"c{n:02d}": {} for n in range(30)}

    def drawn(seed, about):
        return replayed(members(names), names.keys(), RetrainParams(replay=0.3, seed=seed), about)

    assert len(set(drawn(0, "liver"))) == 9
    assert drawn(0, "liver") == drawn(0, "liver")
    assert len({tuple(drawn(*which)) for which in ((0, "liver"), (1, "liver"), (0, "spleen"))}) == 3
