"""Formats: older records are read as today's, newer ones are told from damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.layout import FORMATS
from voxledger.records.formats import TableFormat, adding, table_formats, upgraded
from voxledger.records.tables import TABLES, formats

PETS = TableFormat(
    "pets",
    "a table of pets",
    (("name",), ("name", "legs"), ("name", "legs", "tail")),
    (adding(legs="4"), lambda row: {**row, "tail": str(row["legs"] == "4").lower()}),
)


def rows_of(text: str) -> list[dict[str, str]]:
    with PETS.rows(text, "data/pets.csv") as rows:
        return list(rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name\n", []),
        ("name\nrex\n", [{"name": "rex", "legs": "4", "tail": "true"}]),
        ("name,legs\nrex,3\n", [{"name": "rex", "legs": "3", "tail": "false"}]),
        ("name,legs,tail\nrex,3,true\n", [{"name": "rex", "legs": "3", "tail": "true"}]),
    ],
)
def test_a_table_of_any_format_is_read_as_todays(folder: Path, text: str, expected: list[dict[str, str]]) -> None:
    assert rows_of(text) == expected


@pytest.mark.parametrize("text", ["", "legs\n4\n", "name,colour\nrex,black\n", "legs,name\n4,rex\n"])
def test_another_header_is_damage_unless_a_newer_voxledger_wrote_the_repository(folder: Path, text: str) -> None:
    with pytest.raises(VoxledgerError, match=r"data/pets\.csv cannot be read: it is not a table of pets"):
        rows_of(text)
    FORMATS.parent.mkdir()
    FORMATS.write_text(json.dumps({"pets": 4}))
    with pytest.raises(
        Misuse, match=r"data/pets\.csv has format 4, and this voxledger reads at most format 3"
    ) as newer:
        rows_of(text)
    assert "update voxledger" in newer.value.remedy


@pytest.mark.parametrize("said", ["[]", "{", '{"pets": "many"}'])
def test_a_damaged_list_of_formats_is_named(folder: Path, said: str) -> None:
    FORMATS.parent.mkdir()
    FORMATS.write_text(said)
    with pytest.raises(VoxledgerError, match=r"data/format\.json"):
        rows_of("legs\n4\n")


UPGRADES = (lambda values: {**values, "b": 2}, lambda values: {**values, "c": values["b"] + 1})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2, "c": 3, "format": 3}),
        ({"a": 1, "format": 1}, {"a": 1, "b": 2, "c": 3, "format": 3}),
        ({"b": 5, "format": 2}, {"b": 5, "c": 6, "format": 3}),
        ({"c": 7, "format": 3}, {"c": 7, "format": 3}),
    ],
)
def test_json_of_any_format_is_read_as_todays(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert upgraded(values, UPGRADES, "pets.json") == expected


@pytest.mark.parametrize(
    ("number", "kind"), [(4, Misuse), (0, VoxledgerError), (True, VoxledgerError), ("2", VoxledgerError)]
)
def test_json_of_no_known_format_is_refused_by_name(number: Any, kind: type[VoxledgerError]) -> None:
    with pytest.raises(kind, match=r"pets\.json"):
        upgraded({"format": number}, UPGRADES, "pets.json")


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_format_of_a_table_has_a_header_of_its_own_and_a_way_to_the_next(table: TableFormat) -> None:
    assert len(set(table.headers)) == table.number == len(table.upgrades) + 1
    for older, newer, upgrade in zip(table.headers, table.headers[1:], table.upgrades, strict=False):
        assert set(upgrade(dict.fromkeys(older, ""))) == set(newer)


def test_the_list_of_formats_names_every_table(folder: Path) -> None:
    FORMATS.parent.mkdir()
    FORMATS.write_text(formats())
    assert table_formats() == {t.name: t.number for t in TABLES}
    assert len(table_formats()) == len(TABLES)
