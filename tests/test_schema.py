from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import Misuse, UnknownLabel
from voxledger.schema import LabelSchema, read_schema

SCHEMA = LabelSchema.model_validate(
    {
        "name": "abdomen",
        "classes": [
            {"id": 1, "name": "liver"},
            {"id": 2, "name": "pancreas"},
            {"id": 4, "name": "duct", "inside": "pancreas"},
            {"id": 7, "name": "cyst", "inside": "pancreas", "lesion": True, "may_overlap": ["duct"]},
        ],
    }
)


def test_inner_classes_count_as_the_outer_one() -> None:
    labels = np.array([[[0, 1, 2, 4, 7]]], np.uint8)
    assert SCHEMA.mask(labels, "pancreas").tolist() == [[[False, False, True, True, True]]]
    assert SCHEMA.mask(labels, "cyst").tolist() == [[[False, False, False, False, True]]]
    assert SCHEMA.chain("cyst") == ["cyst", "pancreas"]
    assert not SCHEMA.mask(np.zeros((1, 1, 1), np.uint8), "pancreas").any()


@pytest.mark.parametrize(
    ("a", "b", "allowed"),
    [
        ("cyst", "pancreas", True),
        ("pancreas", "cyst", True),
        ("duct", "cyst", True),
        ("cyst", "duct", True),
        ("liver", "pancreas", False),
        ("liver", "cyst", False),
    ],
)
def test_overlap_permissions(a: str, b: str, allowed: bool) -> None:
    assert SCHEMA.may_overlap(a, b) is allowed


def test_unknown_values_are_listed() -> None:
    with pytest.raises(UnknownLabel, match=r"case-1.*: 3, 9"):
        SCHEMA.check(np.array([[[0, 3, 9, 1]]], np.uint8), "label of case-1")
    SCHEMA.check(np.array([[[0, 7]]], np.uint8), "label")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nclasses:\n  - {id: 0, name: x}", "greater than or equal to 1"),
        ("name: a\nclasses:\n  - {id: 1, name: x}\n  - {id: 1, name: y}", "unique"),
        ("name: a\nclasses:\n  - {id: 2, name: x}\n  - {id: 1, name: y}", "ascending"),
        ("name: a\nclasses:\n  - {id: 1, name: x, inside: y}", "not a class"),
        ("name: a\nclasses:\n  - {id: 1, name: x, inside: y}\n  - {id: 2, name: y, inside: x}", "inside itself"),
        ("name: a\nclasses:\n  - {id: 1, name: ../x}", "pattern"),
        ("name: a\nclasses:\n  - {id: 1, name: x, colour: red}", "Extra inputs"),
        ("name: a\nclasses:\n  - {id: 1, name: background}", "background names something else"),
        ("name: a\nclasses:\n  - {id: 1, name: ignore}", "ignore names something else"),
        ("name: a\nclasses:\n  - {id: 1, name: any, lesion: true}", "any names something else"),
        ("name: [", "not valid YAML"),
    ],
)
def test_wrong_schemas_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(Misuse, match=said):
        read_schema(path)


def test_colours_are_given_to_all() -> None:
    colors = SCHEMA.colors()
    assert set(colors) == set(SCHEMA.names)
    assert len(set(colors.values())) == len(colors)


def test_the_projects_own_schema_is_valid() -> None:
    schema = read_schema(Path(__file__).parents[1] / "labels.yaml")
    assert {"pancreas", "pdac"} <= set(schema.names)
    assert schema["pdac"].inside == "pancreas"
