"""What lies in `data/weak`: objects of label maps, and that what does not fit is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import CaseRefused, GridMismatch, UnknownLabel, VoxledgerError
from voxledger.imaging.volume import Grid, write
from voxledger.schema import LabelSchema
from voxledger.weak.geometry import lps_of
from voxledger.weak.marks import parse_marks
from voxledger.weak.store import read_weak

SCHEMA = LabelSchema.model_validate(
    {
        "name": "three",
        "classes": [
            {"id": 1, "name": "organ"},
            {"id": 2, "name": "duct", "inside": "organ"},
            {"id": 3, "name": "lesion", "inside": "organ", "lesion": True},
        ],
    }
)
GRID = Grid((10, 20, 20), (3.0, 1.0, 1.0), (5.0, -3.0, 100.0), (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0))
A, B = slice(2, 8), slice(10, 18)


def label_map(parts: list[tuple[int, tuple[Any, ...]]]) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    for number, where in parts:
        labels[where] = number
    return labels


def test_classes_that_were_renamed_or_retired_since(folder: Path) -> None:
    """The round went no further: infer refused marks under the old name, and label maps with the id."""
    today = LabelSchema.model_validate(
        {
            "name": "two",
            "classes": [
                {"id": 1, "name": "organ"},
                {"id": 3, "name": "tumour", "inside": "organ", "lesion": True,
                 "formerly": [{"name": "lesion", "round": 1, "date": "2026-01-01"}]},
            ],
            "retired": [{"id": 2, "name": "duct", "inside": "organ", "round": 1, "date": "2026-01-01", "reason": "x"}],
        }
    )  # fmt: skip
    point = {"type": "point", "point_lps_mm": lps_of([(4, 4, 4)], GRID)[0].tolist()}
    marks = {"format": 2, "marks": [point | {"class": name} for name in ("lesion", "duct", "organ")]}
    Path("data/weak").mkdir(parents=True)
    Path("data/weak/a.json").write_text(json.dumps(marks))
    assert [w.class_name for w in read_weak("a", GRID, today)] == ["tumour", "organ"]
    Path("data/weak/a.json").write_text(json.dumps(marks | {"marks": marks["marks"][1:2]}))
    assert read_weak("a", GRID, today) == []
    with pytest.raises(CaseRefused, match="class: it is none of"):
        parse_marks(json.dumps(marks).encode(), "new.json", "a", GRID, today)
    # A duct in the drawn slice is part of the organ there; one that was drawn alone marks no organ.
    write("data/weak/b.nii.gz", label_map([(1, (4, A, A)), (2, (4, 3, A)), (2, (8, B, B)), (3, (6, B, B))]), GRID)
    found = [(w.class_name, w.kind, int(w.mask.sum())) for w in read_weak("b", GRID, today)]
    assert found == [("organ", "slice_mask", 36), ("tumour", "slice_mask", 64)]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(1, (4, A, A))], [("organ", "slice_mask", 36)]),
        ([(1, (A, 4, A))], [("organ", "slice_mask", 36)]),
        ([(1, (4, A, A)), (1, (4, B, B))], [("organ", "slice_mask", 100)]),
        ([(1, (4, A, A)), (1, (8, A, A))], [("organ", "slices", 72)]),
        ([(1, (5, A, A)), (1, (A, 5, A)), (1, (A, A, 5))], [("organ", "slices", 36 + 30 + 25)]),
        ([(3, (4, A, A)), (3, (4, B, B))], [("lesion", "slice_mask", 36), ("lesion", "slice_mask", 64)]),
        ([(3, (4, A, A)), (3, (5, A, A))], [("lesion", "slices", 72)]),
        ([(3, (4, B, B)), (3, (6, B, B))], [("lesion", "slices", 128)]),  # 6 mm apart and 8 mm wide
        ([(3, (4, A, A)), (3, (7, A, A))], [("lesion", "slice_mask", 36)] * 2),  # 9 mm apart
        ([(3, (4, A, A)), (3, (6, B, B))], [("lesion", "slice_mask", 36), ("lesion", "slice_mask", 64)]),
        ([(1, (4, A, A)), (3, (4, slice(3, 5), A))], [("organ", "slice_mask", 36), ("lesion", "slice_mask", 12)]),
        ([(1, (4, A, A)), (3, (8, B, B))], [("organ", "slice_mask", 36), ("lesion", "slice_mask", 64)]),
        ([(3, (0, 0, 0))], [("lesion", "slice_mask", 1)]),
        ([], []),
    ],
)
def test_objects_of_a_label_map(folder: Path, parts: list[Any], expected: list[Any]) -> None:
    labels = label_map(parts)
    write("data/weak/a.nii.gz", labels, GRID)
    found = read_weak("a", GRID, SCHEMA)
    assert [(w.class_name, w.kind, int(w.mask.sum())) for w in found] == expected
    for weak in found:
        assert (weak.source, weak.case_id, weak.points.shape) == ("nifti", "a", (0, 3))
        own = np.argwhere(weak.mask) + weak.start
        assert set(labels[tuple(own.T)]) <= set(SCHEMA.ids_of(weak.class_name))
    assert len({w.sha256 for w in found}) == len(found)


def test_the_hash_is_of_the_mark_alone(folder: Path) -> None:
    """Another object, or another data type, changes no hash; a moved mark or a moved image does."""

    def hashes(labels: np.ndarray, grid: Grid = GRID) -> list[str]:
        write("data/weak/a.nii.gz", labels, grid)
        return [w.sha256 for w in read_weak("a", grid, SCHEMA)]

    (one,) = hashes(label_map([(3, (4, A, A))]))
    assert hashes(label_map([(3, (4, A, A))]).astype(np.uint16)) == [one]
    both = hashes(label_map([(3, (4, A, A)), (3, (4, B, B))]))
    assert both[0] == one
    assert hashes(label_map([(3, (5, A, A))])) != [one]
    assert hashes(label_map([(3, (4, A, A))]), replace(GRID, origin=(6.0, -3.0, 100.0))) != [one]


def mark(**values: Any) -> dict[str, Any]:
    return {"type": "point", "class": "lesion", "point_lps_mm": lps_of([(4, 5, 6)], GRID)[0].tolist()} | values


def test_marks_and_label_map_are_both_read(folder: Path) -> None:
    assert read_weak("a", GRID, SCHEMA) == []
    write("data/weak/a.nii.gz", label_map([(1, (4, A, A))]), GRID)
    Path("data/weak/a.json").write_text(json.dumps({"format": 2, "source": "coco", "marks": [mark()]}))
    assert [(w.class_name, w.kind, w.source) for w in read_weak("a", GRID, SCHEMA)] == [
        ("organ", "slice_mask", "nifti"),
        ("lesion", "point", "coco"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("a.nii.gz", (label_map([(3, (4, A, A))]), replace(GRID, origin=(0.0, 0.0, 0.0))), GridMismatch, "origin"),
        ("a.nii.gz", (label_map([(3, (4, A, A))])[1:], replace(GRID, shape=(9, 20, 20))), GridMismatch, "size"),
        ("a.nii.gz", (label_map([(9, (4, A, A))]), GRID), UnknownLabel, "label values .*: 9"),
        ("a.json", {"format": 2, "marks": [mark(**{"class": "tail"})]}, CaseRefused, "class: it is none of"),
        ("a.json", {"format": 2, "marks": [mark(point_lps_mm=[900.0, 0.0, 0.0])]}, CaseRefused, "not lie in the image"),
        ("a.json", {"format": 2, "marks": [mark()], "case": "b"}, CaseRefused, "case: it is not a"),
    ],
)
def test_what_does_not_fit_the_case_is_refused_by_name(
    folder: Path, name: str, content: Any, error: type[VoxledgerError], said: str
) -> None:
    path = Path("data/weak", name)
    path.parent.mkdir(parents=True)
    if isinstance(content, tuple):
        write(path, *content)
    else:
        path.write_text(json.dumps(content))
    with pytest.raises(error, match=said) as caught:
        read_weak("a", GRID, SCHEMA)
    assert name in caught.value.problem
