"""The state of a round follows from what is here, and each state says what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.params import Params
from voxledger.release import status
from voxledger.release.status import State

PARAMS = Params(dataset="d", round=3)
EVERYTHING = {"cases": True, "begun": None, "lost": False, "waiting": False, "evaluated": False}


@pytest.mark.parametrize(
    ("now", "closed", "state"),
    [
        ({"cases": False, "evaluated": True}, True, State.EMPTY),
        ({"begun": 4, "lost": True}, True, State.OPENING),
        ({"lost": True, "evaluated": True}, True, State.CLOSED),
        ({"lost": True, "waiting": True}, False, State.LOST),
        ({"waiting": True, "evaluated": True}, False, State.WAITING),
        ({"evaluated": True}, False, State.FINISHED),
        ({}, False, State.READY),
    ],
)
def test_what_matters_more_comes_first(
    now: dict[str, object], closed: bool, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "tag_exists", lambda tag: closed)
    assert status._state(PARAMS, **(EVERYTHING | now)) is state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("out", [False, True])
def test_every_state_says_what_to_type(
    state: State, lost: bool, out: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(status, "is_out", lambda params: out)
    said = status._next_step(state, PARAMS, 4, lost)
    assert "voxledger " in said or "dvc checkout" in said
    assert said.startswith("git restore") == ((state is State.CLOSED and lost) or (state is State.LOST and out))
