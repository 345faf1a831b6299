"""Objects in soft predictions, checked against the weak labels in `data/weak`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from interactive import train_tiny
from memo_keys import keys_of
from small_cases import Small, small

from voxledger import layout
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, write
from voxledger.infer import weak as stage
from voxledger.infer.weak import check_weak
from voxledger.params import InferParams, MachineParams
from voxledger.records.ledger import WeakMark
from voxledger.records.predicted import Predicted
from voxledger.schema import LabelSchema
from voxledger.weak.store import read_weak

__all__ = ["small"]

SCHEMA = LabelSchema.model_validate(
    {
        "name": "two",
        "classes": [{"id": 1, "name": "organ"}, {"id": 2, "name": "lesion", "inside": "organ", "lesion": True}],
    }
)
GRID = Grid.plain((10, 20, 20), (2.0, 1.0, 1.0))
ONE, OTHER = (slice(2, 7), slice(3, 9), slice(3, 9)), (slice(3, 8), slice(12, 18), slice(12, 18))
PREDICTIONS = Path("predictions")
ONE_PROCESS = MachineParams(workers=1)


def predict(case_id: str, *found: tuple[slice, slice, slice]) -> Predicted:
    """What an interactive model says of the lesions of a case, after their weak labels."""
    labels = read_weak(case_id, GRID, SCHEMA)
    probability = np.zeros(GRID.shape, np.float32)
    for where in found:
        probability[where] = 0.9
    write_soft(PREDICTIONS / f"inter/{case_id}.b2nd", [("lesion", probability)], ["lesion"], GRID, "id", "image")
    marks = tuple((w.class_name, str(WeakMark(w.kind, w.source, w.sha256))) for w in labels)
    return Predicted(case_id, "inter", "id", ("lesion",), "key", marks)


def draw(case_id: str, *objects: tuple[slice, slice, slice]) -> None:
    """A slice of each object."""
    labels = np.zeros(GRID.shape, np.uint8)
    for z, y, x in objects:
        labels[(z.start + z.stop) // 2, y, x] = 2
    write(f"data/weak/{case_id}.nii.gz", labels, GRID)


@pytest.fixture
def rows(small: Small) -> list[Predicted]:
    train_tiny(small, "inter")
    for case_id in "ab":
        draw(case_id, ONE, OTHER)
    far = (slice(9, 10), slice(0, 20), slice(0, 20))
    whole = Predicted("a", "whole", "id", ("organ", "lesion"), "key")
    return [predict("a", ONE, OTHER), predict("b", ONE, far), whole]


def test_every_object_is_checked(rows: list[Predicted]) -> None:
    found = check_weak(rows, PREDICTIONS, layout.BASE_MODELS, SCHEMA, InferParams(), ONE_PROCESS)
    checks = ("agreement", "border", "connected", "extent")
    assert [(d.case_id, d.class_name, d.number, d.check) for d in found] == [
        (case_id, "lesion", number, check) for case_id in "ab" for number in (1, 2) for check in checks
    ]
    assert {(d.model, d.kind, d.source) for d in found} == {("inter", "slice_mask", "nifti")}
    assert [d.sha256 for d in found[:8:4]] == [w.sha256 for w in read_weak("a", GRID, SCHEMA)]
    failed = {(d.case_id, d.number, d.check): d.measured for d in found if not d.agrees}
    # In case b the second is not there, and what is far away touches neither mark.
    assert failed == {
        ("b", 1, "connected"): pytest.approx(180 / 580),
        ("b", 2, "agreement"): 0.0,
        ("b", 2, "connected"): 0.0,
    }


def test_bounds_come_from_the_parameters(rows: list[Predicted]) -> None:
    params = InferParams(bounds={"connected": {"low": 0.3}})
    found = check_weak(rows, PREDICTIONS, layout.BASE_MODELS, SCHEMA, params, ONE_PROCESS)
    assert {(d.case_id, d.number, d.check) for d in found if not d.agrees} == {
        ("b", 2, "agreement"),
        ("b", 2, "connected"),
    }
    assert {d.bound for d in found if d.check == "connected"} == {">=0.3"}


def test_a_weak_label_that_changes_invalidates_its_case_alone(rows: list[Predicted]) -> None:
    def keys(rows: list[Predicted], params: InferParams = InferParams()) -> dict[str, str]:  # noqa: B008
        return keys_of(stage, lambda: check_weak(rows, PREDICTIONS, layout.BASE_MODELS, SCHEMA, params, ONE_PROCESS))

    before = keys(rows)
    assert list(before) == ["a (inter)", "b (inter)"]
    draw("b", ONE)
    after = keys([rows[0], predict("b", ONE), rows[2]])
    assert (after["a (inter)"] == before["a (inter)"], after["b (inter)"] == before["b (inter)"]) == (True, False)
    assert keys([rows[0], replace(rows[1], weak=())]).keys() == {"a (inter)"}
    assert keys(rows, InferParams(bounds={"fit": {"low": 0.1}}))["a (inter)"] != before["a (inter)"]


def test_an_object_that_the_patch_cuts_off_is_told(rows: list[Predicted]) -> None:
    """The network of the model looks at 8×16×16 voxels around the slice."""
    long = (slice(4, 5), slice(3, 20), slice(3, 9))
    draw("a", (slice(2, 7), slice(3, 9), slice(3, 9)))
    found = check_weak([predict("a", ONE)], PREDICTIONS, layout.BASE_MODELS, SCHEMA, InferParams(), ONE_PROCESS)
    assert {d.check: d.agrees for d in found}["border"]
    found = check_weak([predict("a", ONE, long)], PREDICTIONS, layout.BASE_MODELS, SCHEMA, InferParams(), ONE_PROCESS)
    (border,) = [d for d in found if d.check == "border"]
    assert (border.agrees, border.measured) == (False, pytest.approx(6 / (180 + 66)))
