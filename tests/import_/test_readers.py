"""A round in which two or three people read a case: what they agree on, and what becomes of the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_round import GRID, SCHEMA

from voxledger.errors import Misuse
from voxledger.imaging.volume import mask_sha256
from voxledger.params import ReviewParams
from voxledger.records.ledger import Origin
from voxledger.records.readings import Outcome, joint_bundle, read_readings

CLASSES = ("pancreas", "lesion")
READINGS = Path("data/release/readings.csv")


def work(*readers: str, case: str = "case_1") -> list[tuple[str, str, str]]:
    return [(case, name, reader) for reader in readers for name in CLASSES]


def drawn(shown: np.ndarray, change: str) -> np.ndarray:
    """What a reader made of the proposal: the pancreas a row wider or narrower, or moved away."""
    labels = shown.copy()
    y = np.where(shown == 2)[1]
    if change == "wider":
        labels[2:8, y.max() + 1, 4:14] = 2
    elif change == "narrower":
        labels[2:8, y.max(), 4:14] = 0
    elif change == "one voxel":
        labels[2, y.max() + 1, 4] = 2
    elif change == "half":
        labels[(shown == 2) & (np.arange(GRID.shape[2]) > 8)] = 0
    return labels


@pytest.fixture
def two(repo: Any) -> Any:
    repo.export(*work("alice", "bob"), readers=2)
    return repo


def settle(repo: Any, consensus: str = "majority", agreement: float = 0.9, adjudicator: str = "") -> None:
    review = ReviewParams(consensus=consensus, agreement=agreement, adjudicator=adjudicator)
    repo.context = replace(repo.context, review=review)


def give(repo: Any, reader: str, change: str = "", decision: str = "", confirmed: bool = True, **more: str) -> None:
    """A return: the pancreas changed and revised, or decided on as it was."""
    said = decision or ("revise" if change else "accept")
    row = replace(repo.row("case_1", "pancreas", said), confirmed=confirmed)
    labels = {"case_1": drawn(repo.shown(reader, "case_1"), change)} if change else None
    repo.give_back(reader, labels, case_1={"pancreas": row, **more})


def take_in(repo: Any) -> Any:
    repo.gate()
    return repo.take_in()


def test_bundles_say_nothing_of_the_other_reader(two: Any) -> None:
    """Blinded: every byte of the files, and every name, is free of the other's name."""
    for one, other in (("alice", "bob"), ("bob", "alice")):
        files = [p for p in two.bundle(one).rglob("*") if p.is_file()]
        assert len(files) > 8
        for path in files:
            assert other not in path.relative_to(two.bundle(one)).as_posix()
            assert other.encode() not in path.read_bytes(), path
    asked = [{(a.case_id, a.class_name) for a in two.manifest(name).asked} for name in ("alice", "bob")]
    assert asked[0] == asked[1] == {("case_1", "pancreas"), ("case_1", "lesion")}


def test_more_readers_than_allowed_are_a_slip(repo: Any) -> None:
    with pytest.raises(Misuse, match=r"given to two reviewers\n.*export.readers"):
        repo.export(*work("alice", "bob"))


CASES: list[tuple[str, dict[str, tuple[str, str]], str, Origin, Outcome]] = [
    ("both accept", {"alice": ("", "accept"), "bob": ("", "accept")}, "", Origin.ACCEPTED, Outcome.MERGED),
    ("both reject", {"alice": ("", "reject"), "bob": ("", "reject")}, "none", Origin.REJECTED, Outcome.MERGED),
    ("accept, reject: a tie", {"alice": ("", "accept"), "bob": ("", "reject")}, "", Origin.PREDICTED, Outcome.PENDING),
    ("both the same", {"alice": ("wider", ""), "bob": ("wider", "")}, "wider", Origin.REVISED, Outcome.MERGED),
    ("accept, and a row: drawn wins", {"alice": ("", "accept"), "bob": ("wider", "")}, "wider", Origin.REVISED,
     Outcome.MERGED),
    ("wider, narrower: too far apart", {"alice": ("wider", ""), "bob": ("narrower", "")}, "", Origin.PREDICTED,
     Outcome.PENDING),
    ("revise, reject: a tie", {"alice": ("wider", ""), "bob": ("", "reject")}, "", Origin.PREDICTED, Outcome.PENDING),
    ("two of three accept", {"alice": ("", "accept"), "bob": ("", "accept"), "carol": ("half", "")}, "",
     Origin.ACCEPTED, Outcome.MERGED),
    ("two of three reject", {"alice": ("", "reject"), "bob": ("", "reject"), "carol": ("wider", "")}, "none",
     Origin.REJECTED, Outcome.MERGED),
    ("three ways to draw", {"alice": ("wider", ""), "bob": ("narrower", ""), "carol": ("one voxel", "")}, "one voxel",
     Origin.REVISED, Outcome.MERGED),
]  # fmt: skip


@pytest.mark.parametrize(("said", "became", "origin", "outcome"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_majority(repo: Any, said: dict[str, tuple[str, str]], became: str, origin: Origin, outcome: Outcome) -> None:
    repo.export(*work(*said), readers=len(said))
    shown = repo.shown("alice", "case_1")
    for reader, (change, decision) in said.items():
        give(repo, reader, change, decision)
    settle(repo, agreement=0.85 if became == "wider" else 0.9)
    ledger = take_in(repo)
    entry = ledger["case_1", "pancreas"]
    assert entry.origin is origin
    wanted = shown if became == "none" else drawn(shown, became)
    if became == "none":
        assert not (repo.released("case_1") == 2).any()
    else:
        mask = SCHEMA.mask(repo.released("case_1"), "pancreas")
        assert np.array_equal(mask, SCHEMA.mask(wanted, "pancreas"))
    rows = [r for r in read_readings(READINGS) if r.class_name == "pancreas"]
    assert [(r.reader, r.outcome, r.consensus) for r in rows] == [(name, outcome, "majority") for name in sorted(said)]
    if outcome is Outcome.PENDING:
        assert (entry.reviewer, entry.bundle) == ("", "")
        assert not any(r["class_name"] == "pancreas" for r in repo.table("data/round/decisions.csv"))
    else:
        assert entry.reviewer == "+".join(sorted(said))
        assert entry.bundle == joint_bundle(r.bundle for r in rows)
    grid = GRID
    for row in rows:
        change, decision = said[row.reader]
        assert row.decision.value == (decision or "revise")
        own = SCHEMA.mask(drawn(shown, change), "pancreas")
        hashed = read_grid_of_image(), own
        assert row.mask_sha256 == ("" if decision == "reject" else mask_sha256(hashed[1], hashed[0]))
        assert (Path("data/release/revisions") / row.bundle / "decisions.csv").is_file()
    assert grid.shape == shown.shape


def read_grid_of_image() -> Any:
    from voxledger.imaging.volume import read_grid

    return read_grid("data/images/case_1.nii.gz")
