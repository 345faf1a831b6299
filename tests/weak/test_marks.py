"""Marks from outside: what they may say, and what they mark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import CaseRefused, Misuse
from voxledger.imaging.volume import Grid
from voxledger.phantom.weak import recist
from voxledger.schema import LabelClass, LabelSchema
from voxledger.weak.geometry import lps_of
from voxledger.weak.marks import parse_marks, weak_labels

SCHEMA = LabelSchema.model_validate(
    {"name": "two", "classes": [{"id": 1, "name": "organ"}, {"id": 2, "name": "lesion", "inside": "organ"}]}
)
GRID = Grid((6, 12, 10), (3.0, 0.8, 0.8), (-7.0, 3.0, 100.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0))


def lesion(*where: Any) -> np.ndarray:
    mask = np.zeros(GRID.shape, np.bool_)
    mask[where] = True
    return mask


def diameter(mask: np.ndarray | None = None) -> dict[str, Any]:
    return recist(lesion(3, slice(2, 9), slice(4, 7)) if mask is None else mask, GRID, "lesion")


def read(values: Any) -> str:
    content = values if isinstance(values, bytes) else json.dumps(values).encode()
    return parse_marks(content, "weak/a.json", "a", GRID, SCHEMA).to_json()


@pytest.mark.parametrize(
    "mask", [None, lesion(0, 0, 0), lesion(5, 11, 9), lesion(slice(None), slice(None), slice(None))]
)
def test_what_the_phantoms_write_is_a_diameter(mask: np.ndarray | None) -> None:
    values = diameter(mask)
    kept = {"format": 2, "case": "a", "source": "json", "marks": [values]}
    assert json.loads(read(values)) == kept, "a record of version 0.3 stays readable"
    assert (
        read(values | {"case": "a"})
        == read(dict(reversed(values.items())))
        == read(kept)
        == read({"marks": [values], "format": 2})
    )


def changed(**values: Any) -> dict[str, Any]:
    return diameter() | values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (changed(PatientName="DOE^JANE", ward="7b"), "unknown keys PatientName, ward"),
        (changed(type="recist of Jane Doe"), "its type is none of"),
        (changed(**{"class": "Jane Doe"}), "class: "),
        (changed(**{"class": "kidney"}), "class: "),
        (changed(case="b"), "case: "),
        (changed(case="Jane Doe"), "case: "),
        (changed(slice="3"), "slice: "),
        (changed(slice=3.5), "slice: "),
        (changed(slice=6), "slice: "),
        (changed(slice=2), "points_lps_mm: "),
        (changed(slice=-1), "slice: "),
        (changed(points_lps_mm=["Jane", "Doe"]), "points_lps_mm"),
        (changed(points_lps_mm=diameter()["points_lps_mm"][:1]), "points_lps_mm"),
        (changed(points_lps_mm=[[0.0, 0.0, 109.0], [1.0, 1.0, 109.0, 1970.0]]), "points_lps_mm"),
        (changed(points_lps_mm=[[0.0, 0.0, 109.0], [19700101.0, 0.0, 109.0]]), "points_lps_mm: "),
        (changed(long_diameter_mm=19700101), "long_diameter_mm: "),
        (changed(long_diameter_mm=float("nan")), "long_diameter_mm: "),
        (changed(long_diameter_mm=0), "long_diameter_mm: "),
        (changed(long_diameter_mm="5.6 (Doe)"), "long_diameter_mm: "),
        ({k: v for k, v in diameter().items() if k != "slice"}, "slice: "),
        ({"marks": [diameter()]}, "format: it is missing"),
        ([diameter()], "is no mark in JSON"),
        ("Jane Doe", "is no mark in JSON"),
        (b"\xff\xfe", "is no mark in JSON"),
        (b"", "is no mark in JSON"),
        (b"[" * 100_000, "is no mark in JSON"),
        (b" " * 2_000_000 + b"{}", "is no mark in JSON"),
    ],
)
def test_a_diameter_that_says_something_else_is_refused_by_key_and_without_its_value(values: Any, said: str) -> None:
    with pytest.raises(CaseRefused) as caught:
        read(values)
    assert said in caught.value.problem
    assert "weak/a.json" in caught.value.problem
    assert not {"Doe", "JANE", "DOE"} & set(str(caught.value).replace("^", " ").split())


def test_a_key_that_is_there_twice_is_kept_once() -> None:
    """JSON may name a key twice; parsers take the last, so the first would be copied unseen."""
    text = json.dumps(diameter())
    twice = f'{{"type": "DOE^JANE", {text[1:]}'
    assert read(twice.encode()) == read(diameter())


def at(*voxels: tuple[float, float, float]) -> list[list[float]]:
    """LPS points of voxels (z, y, x)."""
    return np.round(lps_of(voxels, GRID), 3).tolist()


def both_axes(**values: Any) -> dict[str, Any]:
    ends = at((3, 2, 5), (3, 8, 5), (3, 5, 3), (3, 5, 7))
    measured = {"long_diameter_mm": 4.8, "short_diameter_mm": 3.2}
    return {"type": "recist", "class": "lesion", "slice": 3, "points_lps_mm": ends} | measured | values


BOX = {"type": "box", "class": "organ", "corners_lps_mm": at((2, 8, 3), (4, 2, 7))}
POINT = {"type": "point", "class": "lesion", "point_lps_mm": at((5, 11, 9))[0]}
SCRIBBLE = {"type": "scribble", "class": "lesion", "points_lps_mm": at((3, 2, 2), (3, 6, 2), (3, 6, 5))}


@pytest.mark.parametrize(
    ("mark", "kind", "points", "start", "shape"),
    [
        (both_axes(), "recist", [(3, 2, 5), (3, 8, 5), (3, 5, 3), (3, 5, 7)], (0, 0, 0), (0, 0, 0)),
        (diameter(), "recist", [(3, 2, 4), (3, 8, 6)], (0, 0, 0), (0, 0, 0)),
        (BOX, "box", [(2, 2, 3), (4, 8, 7)], (0, 0, 0), (0, 0, 0)),
        (POINT, "point", [(5, 11, 9)], (5, 11, 9), (1, 1, 1)),
        (SCRIBBLE, "scribble", [], (3, 2, 2), (1, 5, 4)),
    ],
)
def test_a_mark_says_the_same_on_the_grid(mark: Any, kind: str, points: Any, start: Any, shape: Any) -> None:
    def parsed(values: Any) -> Any:
        (weak,) = weak_labels(parse_marks(json.dumps(values).encode(), "a.json", "a", GRID, SCHEMA), "a", GRID)
        return weak

    weak = parsed({"format": 2, "marks": [mark]})
    assert (weak.kind, weak.class_name, weak.source, weak.case_id) == (kind, mark["class"], "json", "a")
    np.testing.assert_allclose(weak.points, np.reshape(points, (-1, 3)), atol=2e-3)
    assert (weak.start, weak.mask.shape) == (start, shape)
    again = parsed({"marks": [dict(reversed(mark.items()))], "case": "a", "format": 2, "source": "deeplesion"})
    assert again.sha256 == weak.sha256, "the hash is of what it says, not of the file"
    assert (
        parsed({"format": 2, "marks": [mark | {"class": "organ" if mark["class"] == "lesion" else "lesion"}]}).sha256
        != weak.sha256
    )


def test_a_scribble_runs_without_gaps() -> None:
    (weak,) = weak_labels(
        parse_marks(json.dumps({"format": 2, "marks": [SCRIBBLE]}).encode(), "", "a", GRID, SCHEMA), "a", GRID
    )
    expected = np.zeros((1, 5, 4), np.bool_)
    expected[0, :, 0] = expected[0, 4, :] = True
    np.testing.assert_array_equal(weak.mask, expected)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (both_axes(short_diameter_mm=12.0), "short_diameter_mm: it is not the distance"),
        ({k: v for k, v in both_axes().items() if k != "short_diameter_mm"}, "short_diameter_mm: it belongs to four"),
        (diameter() | {"short_diameter_mm": 2.0}, "short_diameter_mm: it belongs to four"),
        (both_axes(points_lps_mm=at((3, 2, 5), (3, 8, 5), (3, 5, 3), (4, 5, 7))), "points_lps_mm: "),
        (
            both_axes(points_lps_mm=at((3, 5, 3), (3, 5, 6), (3, 1, 5), (3, 10, 5)))
            | {"long_diameter_mm": 2.4, "short_diameter_mm": 7.2},
            "the second axis is longer than the first",
        ),
        (
            both_axes(points_lps_mm=at((3, 0, 0), (3, 4, 0), (3, 11, 7), (3, 11, 9)))
            | {"long_diameter_mm": 3.2, "short_diameter_mm": 1.6},
            "both axes lie too far apart",
        ),
        (BOX | {"corners_lps_mm": at((2, 2, 3), (4, 2, 30))}, "corners_lps_mm: "),
        (BOX | {"corners_lps_mm": [[1e308] * 3, [0.0] * 3]}, "corners_lps_mm: "),
        (BOX | {"label": "Doe"}, "unknown keys label"),
        (BOX | {"class": "Doe"}, "class: it is none of organ, lesion"),
        (POINT | {"point_lps_mm": [0.0, 0.0, 0.0]}, "point_lps_mm: it does not lie in the image"),
        (POINT | {"type": "Doe"}, "its type is none of recist, box, point, scribble"),
        (SCRIBBLE | {"points_lps_mm": []}, "points_lps_mm"),
        (SCRIBBLE | {"points_lps_mm": at((3, 2, 2), (4, 6, 3))}, "points_lps_mm: they do not lie in one plane"),
        (SCRIBBLE | {"points_lps_mm": at((3, 2, 2), (3, 6, 300))}, "points_lps_mm: they do not lie in the image"),
        ("Doe", "marks.0"),
    ],
)
def test_a_mark_that_does_not_fit_is_refused_without_its_value(mark: Any, said: str) -> None:
    with pytest.raises(CaseRefused) as caught:
        read({"format": 2, "marks": [mark]})
    assert said in caught.value.problem
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({"format": 2, "marks": []}, CaseRefused, "marks: "),
        ({"format": 2, "marks": [BOX], "source": "Doe"}, CaseRefused, "source: it is none of coco, deeplesion, json"),
        ({"format": 2, "marks": [BOX], "case": "b"}, CaseRefused, "case: it is not a"),
        ({"format": 2, "marks": [BOX, POINT | {"class": "Doe"}]}, CaseRefused, "marks.1.class: "),
        ({"format": "Doe", "marks": [BOX]}, CaseRefused, "it is no mark in JSON"),
        ({"format": 3, "marks": [BOX]}, Misuse, "format 3"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_without_its_value(values: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        read(values)
    assert said in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_the_marks_of_the_page_for_curators_are_marks() -> None:
    page = (Path(__file__).parents[2] / "docs/curators.md").read_text("utf-8")
    (text,) = re.findall(r'```json\n(\{"format": 2.*?)```', page, re.DOTALL)
    schema = LabelSchema(
        name="five", classes=tuple(LabelClass(id=i, name=n) for i, n in enumerate(("pdac", "cyst", "pnet", "liver"), 1))
    )
    grid = Grid((60, 200, 200), (3.0, 0.8, 0.8), (-20.0, -100.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    marks = parse_marks(text.encode(), "a.json", "a", grid, schema)
    assert [w.kind for w in weak_labels(marks, "a", grid)] == ["recist", "box", "point", "scribble"]
