"""Predicted quality against what people made of the masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.evaluate.quality import judge_masks
from voxledger.imaging.volume import Grid, write
from voxledger.params import MachineParams, Params
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decided, Decision, write_decided
from voxledger.records.mask_quality import (
    JudgedMask,
    MaskQuality,
    Quality,
    Signs,
    read_judged,
    write_judged,
    write_predicted,
)
from voxledger.records.worklist import AUDIT, WorkItem, write_worklist
from voxledger.schema import LabelClass, LabelSchema

GRID = Grid.plain((10, 20, 20), (5.0, 1.0, 1.0))
SCHEMA = LabelSchema(name="two", classes=(LabelClass(id=1, name="liver"), LabelClass(id=2, name="spleen")))
PARAMS = Params(round=2, machine=MachineParams(workers=1))
SIGNS = Signs(2, 1.0, 1.0, 1.0, 0.0, 2.0, 0.001, 0.9)
EARLIER = JudgedMask(1, MaskQuality("before", "liver", SIGNS, None), False, 0.5, 1.0, 0.5)


def cube(size: int) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2 : 2 + size, 4 : 4 + size, 4 : 4 + size] = 1
    return labels


@pytest.fixture
def reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """A cube of 4 was proposed everywhere: `a` and `c` were corrected to one of 5, `b` accepted, `d` rejected."""
    monkeypatch.chdir(tmp_path)
    decisions = {"a": Decision.REVISE, "b": Decision.ACCEPT, "c": Decision.REVISE, "d": Decision.REJECT}
    rows, masks = [], []
    for n, case_id in enumerate(decisions):
        write(layout.label_map(layout.BUNDLES / "bundle-r02-ann" / "labels", case_id), cube(4), GRID)
        write(layout.label_map(layout.RELEASE_LABELS, case_id), cube(5), GRID)
        reason = AUDIT if case_id == "c" else "attention"
        rows.append(WorkItem(n + 1, case_id, "liver", 1.0, 1.0, reason, "ann", 5.0))
        quality = Quality(0.75, 0.6, 0.8, 0.3, 0.1, 0.4, 0.5) if case_id != "b" else None
        masks.append(MaskQuality(case_id, "liver", SIGNS, quality))
    write_worklist(layout.WORKLIST, rows)
    write_predicted(layout.QUALITY, masks)
    write_decided(layout.DECISIONS, [Decided(c, "liver", d, "ann", 5.0, "none") for c, d in decisions.items()])
    write_judged(layout.BASE_JUDGED, [EARLIER])
    return [Case(c, "", c, "", "site", "", Split.POOL, "CT", "") for c in decisions]


def test_what_people_made_of_masks_is_kept(reviewed: list[Case]) -> None:
    section = judge_masks(reviewed, SCHEMA, PARAMS)
    found = read_judged(layout.JUDGED)
    assert found[0] == EARLIER
    assert [(one.round, one.mask.case_id, one.blind) for one in found[1:]] == [
        (2, "a", False),
        (2, "b", False),
        (2, "c", True),
    ]
    # 64 of 125 voxels of 0.005 ml; of the contour of the cube, four slices of 16 and a whole one: 9 and 16 are new
    dice, path = 2 * 64 / (64 + 125), (4 * 9 + 16) / (5 * 16)
    assert (found[1].dice, found[1].error_ml) == pytest.approx((dice, 61 * 0.005), abs=1e-4)
    assert found[1].path_share == pytest.approx(path, abs=1e-4)
    assert (found[2].dice, found[2].error_ml, found[2].path_share) == (1, 0, 0)
    metrics = json.loads(layout.QUALITY_FOUND.read_text())
    assert (metrics["judged"], metrics["judged_so_far"]) == (3, 4)
    assert metrics["all"]["masks"] == 2
    assert metrics["blind"] == {
        "masks": 1,
        "dice_error": pytest.approx(0.75 - dice, abs=1e-4),
        "dice_held": 1.0,
        "ml_error": pytest.approx(0.005, abs=1e-4),
        "ml_held": 1.0,
        "path_error": pytest.approx(path - 0.5, abs=1e-4),
    }
    assert "of the blind audit" in section


def test_cases_of_other_splits_teach_nothing(reviewed: list[Case]) -> None:
    tested = [Case(c.case_id, "", c.case_id, "", "site", "", Split.TEST, "CT", "") for c in reviewed]
    judge_masks(tested, SCHEMA, PARAMS)
    assert read_judged(layout.JUDGED) == [EARLIER]


def test_without_predicted_quality_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert judge_masks([], SCHEMA, PARAMS) == ""
    assert read_judged(layout.JUDGED) == []
