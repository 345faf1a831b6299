from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import Misuse, UnknownLabel
from voxledger.schema import LabelSchema, pair, read_schema

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


def on_record(**changes: Any) -> LabelSchema:
    """`tumour` was called `mass` and then `growth`; `cyst` in it, and then `duct` beside it, were retired."""
    day = "2025-05-01"
    values = {
        "name": "pancreas",
        "classes": [
            {"id": 1, "name": "pancreas"},
            {
                "id": 2,
                "name": "tumour",
                "inside": "pancreas",
                "formerly": [{"name": "growth", "round": 3, "date": day}, {"name": "mass", "round": 1, "date": day}],
            },
        ],
        "retired": [
            {"id": 4, "name": "cyst", "inside": "tumour", "round": 2, "date": day, "reason": "too few"},
            {"id": 5, "name": "duct", "round": 2, "date": day, "reason": "not seen"},
            {
                "id": 300,
                "name": "core",
                "inside": "cyst",
                "round": 1,
                "date": day,
                "reason": "unclear",
                "formerly": [{"name": "kernel", "round": 1, "date": day}],
            },
        ],
    }
    return LabelSchema.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("name", "renamed", "holder"),
    [
        ("pancreas", "pancreas", "pancreas"),
        ("tumour", "tumour", "tumour"),
        ("growth", "tumour", "tumour"),
        ("mass", "tumour", "tumour"),
        ("cyst", None, "tumour"),
        ("core", None, "tumour"),
        ("kernel", None, "tumour"),
        ("duct", None, None),
        ("unheard-of", None, None),
    ],
)
def test_the_record_says_what_a_name_is_today(name: str, renamed: str | None, holder: str | None) -> None:
    schema = on_record()
    assert (schema.renamed(name), schema.holder(name)) == (renamed, holder)


def test_every_name_of_a_class_is_known() -> None:
    assert on_record().names_of("mass") == ["tumour", "growth", "mass"]
    assert on_record().names_of("kernel") == ["core", "kernel"]
    assert on_record().names_of("unheard-of") == ["unheard-of"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5)])
def test_voxels_of_retired_classes_go_to_what_holds_them(shape: tuple[int, int, int]) -> None:
    schema = on_record()
    labels = np.resize(np.array([300, 5, 4, 2, 0], np.uint16), shape)
    assert schema.repaint_retired(labels).ravel().tolist() == [2, 0, 2, 2, 0][: labels.size]
    assert labels.flat[0] == 300
    empty = np.zeros(shape, np.uint8)
    assert schema.repaint_retired(empty) is empty


def test_a_schema_without_changes_is_dumped_as_before() -> None:
    """Its dump is part of memo keys and of the ids of bundles that are out."""
    plain = LabelSchema.model_validate({"name": "one", "classes": [{"id": 1, "name": "organ"}]})
    assert plain.model_dump(mode="json") == {
        "name": "one",
        "classes": [
            {
                "id": 1,
                "name": "organ",
                "code": None,
                "color": None,
                "inside": None,
                "lesion": False,
                "may_overlap": [],
            }
        ],
    }
    schema = on_record()
    assert LabelSchema.model_validate(schema.model_dump(mode="json")) == schema


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([{"id": 1, "name": "pancreas"}, {"id": 2, "name": "tumour"}, {"id": 3, "name": "duct"}], "duct"),
        ([{"id": 1, "name": "pancreas"}, {"id": 2, "name": "tumour"}, {"id": 5, "name": "vessel"}], "vessel .* id 5"),
        (
            [
                {"id": 1, "name": "pancreas", "formerly": [{"name": "tumour", "round": 1, "date": "2025-05-01"}]},
                {"id": 2, "name": "tumour"},
            ],
            "tumour",
        ),
        ([{"id": 1, "name": "pancreas"}], "tumour, which is not on record"),
    ],
)
def test_names_and_ids_on_record_are_given_to_nothing_else(classes: list[dict[str, Any]], message: str) -> None:
    """A label map of an older model with the id of a retired class would be read as the new class."""
    with pytest.raises(ValueError, match=message):
        on_record(classes=classes)


def test_versions_are_paired_by_class_whatever_it_was_called() -> None:
    def version(*classes: dict[str, Any]) -> LabelSchema:
        return LabelSchema.model_validate({"name": "x", "classes": classes})

    first = version({"id": 1, "name": "pancreas"}, {"id": 2, "name": "mass"}, {"id": 4, "name": "cyst"})
    assert pair(first, on_record()) == {"pancreas": "pancreas", "mass": "tumour"}
    assert pair(on_record(), first) == {"pancreas": "pancreas", "tumour": "mass"}
    back = version({"id": 2, "name": "mass", "formerly": [{"name": "growth", "round": 4, "date": "2025-05-01"}]})
    growth = version({"id": 2, "name": "growth", "formerly": [{"name": "mass", "round": 1, "date": "2025-05-01"}]})
    assert pair(growth, back) == {"growth": "mass"}
    assert pair(back, growth) == {"mass": "growth"}


@pytest.mark.parametrize(
    ("name", "told"),
    [("mass", "it is called tumour since round 3"), ("cyst", "it was retired in round 2 \\(too few\\)")],
)
def test_a_name_of_before_is_refused_with_what_became_of_it(name: str, told: str) -> None:
    with pytest.raises(Misuse, match=told):
        on_record()[name]
