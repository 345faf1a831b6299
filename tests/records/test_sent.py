"""Whether bundles are out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run

from voxledger.errors import Misuse, VoxledgerError
from voxledger.layout import SENT
from voxledger.params import Params
from voxledger.records.sent import is_out, read_sent, require_not_out, write_sent


@pytest.fixture
def open_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    run("git", "init", "--quiet")
    run("git", "commit", "--quiet", "--allow-empty", "--message", "one")
    return Params.model_validate({"dataset": "one", "round": 1})


def test_a_round_is_out_from_when_bundles_go_until_it_is_closed(open_round: Params) -> None:
    assert not is_out(open_round)
    require_not_out(open_round, "filter")
    write_sent(0, {"bundle-r00-ann": "a" * 64})
    assert not is_out(open_round)
    write_sent(1, {"bundle-r01-ann": "b" * 64})
    assert is_out(open_round)
    with pytest.raises(VoxledgerError, match="filter: bundles of round 1 are out"):
        require_not_out(open_round, "filter")
    run("git", "tag", "round-01")
    assert not is_out(open_round)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"round": 1}', "\udcff"])
def test_a_damaged_record_is_named_and_never_taken_for_nobody_looking(open_round: Params, text: str) -> None:
    SENT.parent.mkdir()
    SENT.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(VoxledgerError, match=r"data/sent.json") as caught:
        is_out(open_round)
    assert "git restore data/sent.json" in caught.value.remedy


def test_a_newer_format_is_told_from_damage(open_round: Params) -> None:
    SENT.parent.mkdir()
    SENT.write_text('{"format": 2, "round": 1, "bundles": {}, "why": ""}')
    with pytest.raises(Misuse, match=r"data/sent\.json has format 2") as caught:
        is_out(open_round)
    assert "update voxledger" in caught.value.remedy


def test_the_record_says_which_bundles(open_round: Params) -> None:
    write_sent(1, {"bundle-r01-ben": "b" * 64, "bundle-r01-ann": "a" * 64})
    sent = read_sent()
    assert sent is not None
    assert sent.bundles == {"bundle-r01-ann": "a" * 64, "bundle-r01-ben": "b" * 64}
    assert json.loads(SENT.read_text())["format"] == 1
