"""One mask of several: votes, ties, disagreement; and three real readers against their published consensus."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from voxledger.bundles.merge import Mask
from voxledger.bundles.votes import Votes, any_pair, dice, open_ties, split, unlike_most, vote
from voxledger.imaging.volume import read_label
from voxledger.registry import CONSENSUS

SHAPE = (3, 6, 6)


def mask(*boxes: tuple[int, int, int, int, int, int]) -> Mask:
    """Boxes as z, y and x from and to."""
    found = np.zeros(SHAPE, bool)
    for z, zz, y, yy, x, xx in boxes:
        found[z:zz, y:yy, x:xx] = True
    return found


NOTHING = mask()
VOXEL = mask((1, 2, 2, 3, 2, 3))
FAR = mask((0, 3, 4, 6, 4, 6))
CUBE = mask((0, 3, 1, 4, 1, 4))
WIDER = mask((0, 3, 1, 4, 1, 5))
LONGER = mask((0, 3, 1, 5, 1, 4))


def votes(*masks: Mask, drawn: str = "", proposed: Mask = NOTHING, rejected: int = 0, silent: int = 0) -> Votes:
    """`drawn` says of each mask whether it was drawn (`d`) or accepted; by default all were drawn."""
    kinds = drawn or "d" * len(masks)
    return Votes(len(masks) + rejected + silent, rejected, masks, tuple(k == "d" for k in kinds), proposed)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(votes(NOTHING, NOTHING), NOTHING, id="both empty"),
        pytest.param(votes(VOXEL, VOXEL), VOXEL, id="one voxel"),
        pytest.param(votes(VOXEL, NOTHING, proposed=VOXEL), VOXEL, id="a tie is as it was proposed"),
        pytest.param(votes(VOXEL, NOTHING), NOTHING, id="a tie is as it was proposed: nothing"),
        pytest.param(votes(CUBE, WIDER, drawn="ad", proposed=CUBE), WIDER, id="tied, and drawn by one"),
        pytest.param(votes(WIDER, CUBE, drawn="ad", proposed=WIDER), CUBE, id="tied, and erased by one"),
        pytest.param(votes(WIDER, LONGER, proposed=CUBE), CUBE, id="two ways: what both have"),
        pytest.param(votes(WIDER, LONGER, proposed=WIDER), WIDER, id="two ways: one is the proposal"),
        pytest.param(votes(CUBE, WIDER, LONGER), CUBE, id="three"),
        pytest.param(votes(WIDER, WIDER, LONGER), WIDER, id="two of three"),
        pytest.param(votes(CUBE, CUBE, WIDER, WIDER, drawn="aadd", proposed=CUBE), WIDER, id="four, tied"),
        pytest.param(votes(WIDER), WIDER, id="one"),
    ],
)
def test_vote(said: Votes, expected: Mask) -> None:
    assert np.array_equal(vote(said), expected)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (votes(CUBE, CUBE), ""),
        (votes(CUBE, rejected=1), "of 2 readers 1 keep it, 1 reject it"),
        (votes(CUBE, CUBE, rejected=1), ""),
        (votes(CUBE, rejected=2), ""),
        (votes(CUBE, silent=1), "of 2 readers 1 keep it, 0 reject it, 1 say nothing"),
        (votes(CUBE, CUBE, silent=1), ""),
        (votes(CUBE, rejected=1, silent=1), "of 3 readers 1 keep it, 1 reject it, 1 say nothing"),
        (votes(CUBE, CUBE, rejected=2), "of 4 readers 2 keep it, 2 reject it"),
    ],
)
def test_more_than_half_have_to_keep_or_to_reject(said: Votes, why: str) -> None:
    assert split(said) == why


@pytest.mark.parametrize(
    ("said", "agreement", "disputed"),
    [
        (votes(CUBE, WIDER), 0.85, False),
        (votes(CUBE, WIDER), 0.86, True),
        (votes(NOTHING, NOTHING), 1.0, False),
        (votes(VOXEL, NOTHING), 0.1, True),
        (votes(CUBE, WIDER, NOTHING), 1.0, False),
        (votes(CUBE, CUBE, WIDER, WIDER), 0.86, True),
        (votes(CUBE, CUBE, CUBE, WIDER), 1.0, False),
    ],
)
def test_ties_are_a_disagreement_beyond_the_bound(said: Votes, agreement: float, disputed: bool) -> None:
    """Of two readers the bound is on their Dice; of three there are no ties."""
    assert bool(open_ties(said, agreement)) is disputed
    if len(said.masks) == 2:
        assert (dice(*said.masks) < agreement) is disputed


@pytest.mark.parametrize(
    ("said", "agreement", "disputed"),
    [
        (votes(CUBE, CUBE, WIDER), 0.86, True),
        (votes(CUBE, CUBE, WIDER), 0.85, False),
        (votes(CUBE, CUBE, rejected=1), 0.0, True),
        (votes(CUBE, CUBE, silent=1), 0.0, True),
        (votes(CUBE, NOTHING), 0.1, True),
        (votes(NOTHING, NOTHING), 1.0, False),
    ],
)
def test_an_adjudicator_is_asked_where_any_two_differ(said: Votes, agreement: float, disputed: bool) -> None:
    assert bool(any_pair(said, agreement)) is disputed


@pytest.mark.parametrize(
    ("said", "made", "agreement", "disputed"),
    [
        pytest.param(votes(VOXEL, FAR, CUBE & ~VOXEL), NOTHING, 0.5, True, id="three places: nothing in common"),
        pytest.param(votes(VOXEL, FAR, NOTHING), NOTHING, 0.0, True, id="two of three have voxels, without a bound"),
        pytest.param(votes(VOXEL, NOTHING, NOTHING), NOTHING, 1.0, False, id="one of three found something"),
        pytest.param(votes(CUBE, NOTHING, drawn="ad", proposed=CUBE), NOTHING, 0.0, False, id="one of two erased it"),
        pytest.param(votes(CUBE, WIDER, LONGER), CUBE, 0.85, False, id="two of three are a little larger"),
        pytest.param(votes(CUBE, WIDER, LONGER), CUBE, 0.86, True, id="two of three are too much larger"),
        pytest.param(votes(CUBE, CUBE, WIDER, LONGER), CUBE, 0.86, True, id="half of four are"),
        pytest.param(votes(CUBE, CUBE, WIDER), CUBE, 1.0, False, id="one of three is"),
        pytest.param(votes(NOTHING, NOTHING), NOTHING, 1.0, False, id="all empty"),
    ],
)
def test_what_is_made_of_all_has_to_speak_for_most(said: Votes, made: Mask, agreement: float, disputed: bool) -> None:
    assert bool(unlike_most(said, made, agreement)) is disputed


@pytest.mark.parametrize("name", CONSENSUS.names())
@pytest.mark.parametrize("same", [NOTHING, VOXEL, CUBE], ids=["nothing", "one voxel", "a cube"])
def test_every_method_keeps_what_all_say(name: str, same: Mask) -> None:
    method, said = CONSENSUS.get(name), votes(same, same, same, proposed=WIDER)
    assert not method.dispute(said, 1.0)
    assert np.array_equal(method.draw(said), same)


def test_staple_does_not_depend_on_the_box() -> None:
    """Its specificity would; the mask is the same in the box of the masks and in one far larger."""
    draw = CONSENSUS.get("staple").draw
    masks = [CUBE, WIDER, LONGER]
    large = [np.pad(one, 12) for one in masks]
    found = draw(votes(*masks))
    assert np.array_equal(np.pad(found, 12), draw(votes(*large, proposed=np.pad(NOTHING, 12))))
    assert np.array_equal(found, CUBE)


RATERS = {"case_00038": (0.9794, 0.9823), "case_00061": (0.9833, 0.9872)}
"""Lowest and highest Dice of two readers, kidneys with what lies in them."""


@pytest.fixture(scope="module", params=RATERS)
def kits(request: pytest.FixtureRequest, shared_data: Path) -> tuple[str, dict[str, list[Mask]], np.ndarray]:
    """A case of KiTS23: its name, the three readings by instance, and the published label."""
    folder = shared_data / "kits23-raters" / request.param
    instances = sorted({p.name.partition("_annotation")[0] for p in (folder / "instances").iterdir()})
    read = {n: [read_label(folder / f"instances/{n}_annotation-{a}.nii.gz") > 0 for a in (1, 2, 3)] for n in instances}
    return request.param, read, read_label(folder / "segmentation.nii.gz")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["majority", "staple"])
def test_the_published_consensus_of_real_readers(
    kits: tuple[str, dict[str, list[Mask]], np.ndarray], name: str
) -> None:
    """KiTS23 published the majority of three readers by instance: voxel by voxel the same, tumours over kidneys."""
    _, readings, published = kits
    draw: Callable[[Votes], Mask] = CONSENSUS.get(name).draw
    made = np.zeros_like(published)
    for instance, masks in sorted(readings.items()):
        made[draw(votes(*masks, proposed=np.zeros_like(masks[0])))] = 2 if instance.startswith("tumor") else 1
    assert np.array_equal(made, published)


@pytest.mark.slow
def test_the_published_agreement_of_real_readers(kits: tuple[str, dict[str, list[Mask]], np.ndarray]) -> None:
    case, readings, published = kits
    readers = [np.logical_or.reduce([masks[a] for masks in readings.values()]) for a in range(3)]
    found = [dice(a, b) for a, b in combinations(readers, 2)]
    assert (min(found), max(found)) == pytest.approx(RATERS[case], abs=5e-5)
    together = vote(votes(*readers, proposed=np.zeros_like(readers[0])))
    assert dice(together, published > 0) > 0.9998
    assert not open_ties(votes(*readers, proposed=together), 1.0)
    assert any_pair(votes(*readers, proposed=together), 0.985 if case == "case_00061" else 0.98)
