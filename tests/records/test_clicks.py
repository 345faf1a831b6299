"""The record of clicks: what is read of it, and when a round may use clicks."""

from __future__ import annotations

import json

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.bundle import CLICKS, content_sha256, is_returned
from voxledger.records.clicks import (
    LEAST_RISE,
    Clicked,
    Clicks,
    GateMeasured,
    parse_clicks,
    read_clicks,
    write_clicks,
)

BY = {"name": "served", "backend": "nninteractive", "architecture": "UNet", "licence": "CC-BY-NC-SA-4.0"}
GATE = GateMeasured(cases=8, clicks=3, automatic=0.61, clicked=0.7, low=0.05)
RECORD = Clicks(
    model="a" * 64,
    gate=GATE,
    cases=("case_1", "case_2"),
    clicks=(Clicked(case_id="case_1", class_name="liver", voxel=(1, 2, 3), present=True, helped=False),),
)


def test_it_is_read_as_it_was_written(tmp_path) -> None:
    write_clicks(tmp_path, RECORD)
    assert read_clicks(tmp_path) == RECORD
    assert read_clicks(tmp_path / "none") is None
    assert json.loads((tmp_path / CLICKS).read_text())["format"] == 3


def test_a_click_of_format_1_is_a_point() -> None:
    values = RECORD.model_dump(mode="json") | {"format": 1}
    del values["answered_by"]
    for click in values["clicks"]:
        del click["kind"], click["others"]
    assert parse_clicks(json.dumps(values).encode(), CLICKS) == RECORD


def test_one_of_format_2_does_not_say_who_answered() -> None:
    values = RECORD.model_dump(mode="json") | {"format": 2}
    del values["answered_by"]
    assert parse_clicks(json.dumps(values).encode(), CLICKS) == RECORD


def changed(path: str, value: object) -> bytes:
    values = RECORD.model_dump(mode="json")
    place = values
    *way, last = path.split(".")
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "clicks.json"),
        (b"[]", "clicks.json"),
        (b"\xff\xfe", "clicks.json"),
        (changed("extra", 1), "extra"),
        (changed("answered_by", {**BY, "licence": "x" * 301}), "answered_by.licence"),
        (changed("answered_by", {**BY, "name": "../x"}), "answered_by.name"),
        (changed("answered_by", {**BY, "licence": "MIT\n\n# Purpose"}), "answered_by.licence"),
        (changed("answered_by", {**BY, "architecture": "a\u2028b"}), "answered_by.architecture"),
        (changed("format", "1"), "format"),
        (changed("model", "../weights"), "model"),
        (changed("gate.automatic", 1.5), "gate.automatic"),
        (changed("gate.low", "NaN"), "gate.low"),
        (changed("clicks.0.voxel", [1, 2, -3]), "clicks.0.voxel.2"),
        (changed("clicks.0.voxel", [1, 2]), "clicks.0.voxel"),
        (changed("clicks.0.helped", "yes"), "clicks.0.helped"),
        (changed("clicks.0.kind", "lasso"), "clicks.0.kind"),
        (changed("clicks.0.others", [[1, 2]]), "clicks.0.others"),
        (changed("cases", "case_1"), "cases"),
    ],
)
def test_another_one_is_refused_and_says_where(content: bytes, problem: str) -> None:
    with pytest.raises(VoxledgerError, match=problem):
        parse_clicks(content, CLICKS)


def test_one_of_a_newer_format_asks_for_a_newer_voxledger() -> None:
    with pytest.raises(Misuse, match="update voxledger"):
        parse_clicks(changed("format", 4), CLICKS)


@pytest.mark.parametrize(
    ("automatic", "clicked", "low", "passed"),
    [
        (0.6, 0.6 + LEAST_RISE, 0.01, True),
        (0.6, 0.649, 0.01, False),
        (0.6, 0.9, 0.0, False),
        (0.6, 0.9, -1.0, False),  # one patient: nothing is known of others
        (0.9, 0.8, -0.2, False),
    ],
)
def test_the_gate(automatic: float, clicked: float, low: float, passed: bool) -> None:
    assert GateMeasured(cases=1, clicks=3, automatic=automatic, clicked=clicked, low=low).passed is passed


def test_it_is_part_of_what_came_back() -> None:
    assert is_returned(CLICKS)
    one, other = ({CLICKS: digest * 64, "decisions.csv": "c" * 64} for digest in "ab")
    assert content_sha256("id", one) != content_sha256("id", other)
