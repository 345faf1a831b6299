"""How far readers agree with each other and with models, and what their minutes went into, after a real small round."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_round import GRID, SCHEMA, anatomy, repo, template

from voxledger import layout
from voxledger.errors import CasesFailed
from voxledger.evaluate.comparison import compare
from voxledger.evaluate.reader_measures import mean_surface_mm
from voxledger.evaluate.readers import readers_of_round
from voxledger.imaging.path_length import added_path_length
from voxledger.imaging.volume import write
from voxledger.params import EvaluateParams, MachineParams, Params, ReviewParams
from voxledger.records.drawn import read_drawn
from voxledger.records.emulated import Looks
from voxledger.records.predicted import write_predicted
from voxledger.weak.decisions import write_weak_decisions

__all__ = ["repo", "template"]

PREDICTIONS = Path("data/round/predictions")


def wider(shown: np.ndarray) -> np.ndarray:
    labels = shown.copy()
    labels[2:8, np.where(shown == 2)[1].max() + 1, 4:14] = 2
    return labels


def evaluated(repo: Any, tolerance_mm: float = 0.0) -> dict[str, Any]:
    """What is reported of the round in the current folder."""
    params = Params(
        round=repo.version,
        review=repo.context.review,
        evaluate=EvaluateParams(path_tolerance_mm=tolerance_mm),
        machine=MachineParams(workers=1),
    )
    write_predicted(layout.PREDICTED, [])
    write_weak_decisions(layout.WEAK_LOG, [])
    readers_of_round(repo.cases, SCHEMA, params, PREDICTIONS)
    found: dict[str, Any] = json.loads(Path("reports/readers.json").read_text())
    return found


def pairs() -> dict[tuple[str, str, str], dict[str, str]]:
    with Path("reports/readers.csv").open(encoding="utf-8", newline="") as stream:
        return {(r["class_name"], r["reader"], r["other"]): r for r in csv.DictReader(stream)}


@pytest.fixture
def two(repo: Any) -> Any:
    """Alice accepts the pancreas and its lesion, bob makes the first wider."""
    repo.export(*(("case_1", n, who) for n in ("pancreas", "lesion") for who in ("alice", "bob")), readers=2)
    repo.give_back("alice", case_1={"lesion": "reject"})
    labels = wider(repo.shown("bob", "case_1"))
    row = replace(repo.row("case_1", "pancreas", "revise", "boundary"), minutes=6.0, confirmed=True)
    repo.give_back("bob", {"case_1": labels}, case_1={"pancreas": row})
    repo.context = replace(repo.context, review=ReviewParams(agreement=0.85))
    return repo


def take_in(repo: Any) -> None:
    repo.gate()
    repo.take_in()


def test_agreement_minutes_and_path_of_two_readers(two: Any) -> None:
    take_in(two)
    found = evaluated(two)
    shown = two.shown("alice", "case_1")
    old, new = (SCHEMA.mask(m, "pancreas") for m in (shown, wider(shown)))
    both = compare(old, new, GRID.spacing)
    dice = 2 * (old & new).sum() / (old.sum() + new.sum())
    rows = pairs()
    assert set(rows) == {
        ("pancreas", "alice", "bob"),
        *(("pancreas", who, model) for who in ("alice", "bob") for model in ("model-0", "model-1")),
        *(("lesion", "bob", model) for model in ("model-0", "model-1")),
    }, "alice rejects the lesion: she has no mask of it"
    one = rows["pancreas", "alice", "bob"]
    assert float(one["dice"]) == pytest.approx(dice, abs=5e-5)
    assert float(one["mean_surface_mm"]) == pytest.approx(mean_surface_mm(both), abs=5e-4)
    assert float(one["hd95_mm"]) == pytest.approx(0.8)
    assert {r["kind"] for key, r in rows.items() if key[2].startswith("model")} == {"model"}
    assert rows["pancreas", "alice", "model-0"]["dice"] == "1.0000"
    agreement = found["agreement"]
    assert (agreement["cases"], agreement["masks"], agreement["decided_alike"]) == (1, 2, 0)
    assert agreement["pending"] == 1, "of the lesion one says that it is right, and one that it is wrong"
    assert agreement["alpha"] == pytest.approx(1 - 4 * 3 / (16 - 4 - 1 - 1))
    assert agreement["classes"]["pancreas"]["readers"]["dice"] == pytest.approx(dice, abs=5e-5)
    length = added_path_length(old, new, GRID.spacing).mm
    assert length > 0
    bob = found["minutes"]["bob"]
    assert (bob["decisions"], bob["timed"], bob["minutes"]) == (2, 2, 8.5)
    assert (bob["revised_timed"], bob["revised_minutes"]) == (1, 6.0)
    assert bob["added_path_mm"] == pytest.approx(length, abs=0.05)
    assert bob["minutes_per_metre"] == pytest.approx(6000 / length, abs=5e-4)
    assert found["minutes"]["alice"]["minutes_per_metre"] is None


def test_what_the_round_cost_beside_what_people_gave(two: Any) -> None:
    """Bob gives 6 minutes for the pancreas and 2.5 for the lesion, alice 2.5 for each; she rejects the lesion."""
    take_in(two)
    found = evaluated(two)
    shown = two.shown("alice", "case_1")
    old, new = (SCHEMA.mask(m, "pancreas") for m in (shown, wider(shown)))
    added, whole = (added_path_length(m, new, GRID.spacing).mm for m in (old, np.zeros_like(new)))
    drawing = 43 / 5 * added / whole
    cost = found["cost"]
    assert (cost["masks"], cost["emulated"], cost["looks"]) == (4, 0, 4)
    assert cost["drawing_minutes"] == pytest.approx(drawing, abs=0.01)
    assert cost["from_nothing_minutes"] == pytest.approx(3 * 43 / 5, abs=0.01), "the case has five classes"
    assert [one["looking_minutes"] for one in cost["assumed"]] == [0.25, 0.5, 1.0]
    for one in cost["assumed"]:
        spent = 4 * one["looking_minutes"] + drawing
        assert one["minutes"] == pytest.approx(spent, abs=0.01)
        assert one["saving"] == pytest.approx(1 - spent / (3 * 43 / 5), abs=1e-3)
    assert (cost["given"]["masks"], cost["given"]["minutes"]) == (4, 13.5)
    assert found["fit"] == {
        "masks": 3,
        "revised": 1,
        "enough": 20,
        **dict.fromkeys(("minutes_per_metre", "low", "high", "minutes_without_drawing")),
    }
    assert found["emulated"] == []
    rows = read_drawn(layout.DRAWN)
    by = {(r.class_name, r.reader): (r.decision, r.minutes, r.looks, r.emulated) for r in rows}
    assert by["pancreas", "bob"] == ("revise", 6.0, 1.0, "")
    assert by["lesion", "alice"] == ("reject", 2.5, 1.0, "")
    html = Path("reports/sections/readers.html").read_text()
    assert "fitted to added path length once 20 revised masks have them: 1 so far" in html
    layout.BASE_DRAWN.write_bytes(layout.DRAWN.read_bytes())
    assert evaluated(two)["fit"]["masks"] == 6, "those of the rounds before count"
    assert len(read_drawn(layout.DRAWN)) == 8
    assert evaluated(two)["cost_so_far"]["masks"] == 8


def test_what_an_emulated_reader_left_is_told_and_its_minutes_are_no_people_s(repo: Any) -> None:
    reference = Path("reference")
    write(reference / "case_2.nii.gz", wider(anatomy()), GRID)
    repo.export(*(("case_2", name, "ann") for name in SCHEMA.names))
    repo.emulate("ann", reference, 1.0, Looks.ATTENTION)
    take_in(repo)
    found = evaluated(repo)
    assert (found["cost"]["emulated"], found["cost"]["given"]["masks"], found["fit"]["masks"]) == (5, 0, 0)
    (total,) = [one for one in found["emulated"] if not one["class_name"]]
    assert (total["looks"], total["masks"]) == ("attention", 5)
    assert 0 < total["error_ml_left"] < total["error_ml"]
    assert {row.emulated for row in read_drawn(layout.DRAWN)} == {"attention"}
    assert found["minutes"]["ann"]["emulated"] == 5
    html = Path("reports/sections/readers.html").read_text()
    assert "What emulated readers left wrong" in html
    assert "<td>5 (5 emulated)</td>" in html
    assert "No person gave minutes in this round." in html


def test_what_lies_within_the_tolerance_was_not_drawn(two: Any) -> None:
    take_in(two)
    assert evaluated(two, tolerance_mm=0.8)["minutes"]["bob"]["added_path_mm"] == 0


def test_the_section_of_the_report(two: Any) -> None:
    take_in(two)
    evaluated(two)
    html = Path("reports/sections/readers.html").read_text()
    assert "Cases read by several people, blinded to each other: 1." in html
    assert "Krippendorff's alpha (nominal) of accept, revise and reject is -0.20" in html
    assert html.count("data:image/svg+xml") == 2
    assert "<td>reader, model-0</td>" in html
    assert "<script" not in html
    before = Path("reports/sections/readers.html").read_bytes()
    evaluated(two)
    assert Path("reports/sections/readers.html").read_bytes() == before


def test_an_adjudicator_saw_what_others_said_and_is_not_compared_with_them(two: Any) -> None:
    two.context = replace(two.context, review=ReviewParams(consensus="adjudicate", agreement=0.95, adjudicator="zoe"))
    two.adjudicate()
    two.give_back("zoe")
    take_in(two)
    found = evaluated(two)
    assert "zoe" not in {name for key in pairs() for name in key}
    assert (found["agreement"]["adjudicated"], found["agreement"]["pending"]) == (2, 0)
    assert found["agreement"]["alpha"] == pytest.approx(-0.2)
    assert found["minutes"]["zoe"]["decisions"] == 2


def test_one_reader_a_case_has_minutes_and_no_agreement(repo: Any) -> None:
    repo.export(("case_1", "pancreas", "alice"), ("case_2", "liver", "bob"))
    labels = wider(repo.shown("alice", "case_1"))
    row = replace(repo.row("case_1", "pancreas", "revise", "boundary"), minutes=None, confirmed=True)
    repo.give_back("alice", {"case_1": labels}, case_1={"pancreas": row})
    repo.give_back("bob")
    take_in(repo)
    found = evaluated(repo)
    assert found["agreement"]["cases"] == 0
    assert pairs() == {}
    assert (found["minutes"]["alice"]["timed"], found["minutes"]["alice"]["revised_timed"]) == (0, 0)
    html = Path("reports/sections/readers.html").read_text()
    assert "Minutes and what was drawn" in html
    assert "several people" not in html


def test_a_round_without_readers_says_nothing(repo: Any) -> None:
    repo.export()
    take_in(repo)
    assert evaluated(repo)["minutes"] == {}
    assert Path("reports/sections/readers.html").read_text() == ""


def test_a_label_in_another_format_is_read_again(two: Any) -> None:
    """Bob's label lies cropped in a .nrrd beside the one as it was sent."""
    inbox = Path("data/inbox/bundle-r01-bob/labels")
    (inbox / "case_1.nii.gz").unlink()
    labels = wider(two.shown("bob", "case_1"))
    write(inbox / "case_1.nrrd", labels, GRID)
    take_in(two)
    expected = added_path_length(
        *(SCHEMA.mask(m, "pancreas") for m in (two.shown("bob", "case_1"), labels)), GRID.spacing
    ).mm
    assert evaluated(two)["minutes"]["bob"]["added_path_mm"] == pytest.approx(expected, abs=0.05)


def test_a_return_that_is_gone_is_named(two: Any) -> None:
    take_in(two)
    for path in Path("data/release/revisions").rglob("labels/case_1.nii.gz"):
        path.write_bytes(b"nothing")
    with pytest.raises(CasesFailed, match=r"label of case case_1 in data/release/revisions/\w+ cannot be read again"):
        evaluated(two)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("nothing", "nothing", math.nan),
        ("nothing", "voxel", math.inf),
        ("voxel", "voxel", 0.0),
        ("slab", "moved", 3.75),
    ],
)
def test_mean_surface_distance(a: str, b: str, expected: float) -> None:
    """Of two slices that fill the image, two slices apart, the faces in between are 2.5 mm apart, the others 5 mm."""
    masks = {name: np.zeros((9, 40, 40), bool) for name in ("nothing", "voxel", "slab", "moved")}
    masks["voxel"][4, 4, 4] = masks["slab"][2] = masks["moved"][4] = True
    found = mean_surface_mm(compare(masks[a], masks[b], (2.5, 0.8, 0.7)))
    assert found == pytest.approx(expected, nan_ok=True, rel=0.02 if expected else None)
