"""Named masks, and the label map that they make."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.errors import UnknownLabel, UnreadableImage
from voxledger.imaging.segments import Segment, classes_of, draw
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="test",
    classes=(
        LabelClass(id=1, name="liver", code="10200004"),
        LabelClass(id=2, name="pancreas", code="15776009"),
        LabelClass(id=3, name="lesion", inside="pancreas"),
        LabelClass(id=4, name="kidney_left", code="18639004"),
    ),
)


def segment(name: str, code: str = "", voxels: bool = True) -> Segment:
    return Segment.of(name, np.full((1, 1, 1), voxels), code)


@pytest.mark.parametrize(
    ("name", "code", "found"),
    [
        ("liver", "", "liver"),
        ("Liver ", "85756007", "liver"),
        ("Left kidney", "", "kidney_left"),
        ("kidney-left", "", "kidney_left"),
        ("Segment_1", "15776009", "pancreas"),
        ("Leber", "10200004", "liver"),
    ],
)
def test_classes_are_found_by_words_or_code(name: str, code: str, found: str) -> None:
    assert list(classes_of([segment(name, code)], SCHEMA, "x")) == [found]


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([segment("Segment_1")], "'Segment_1' is no class"),
        ([segment("liver", "15776009")], "'liver' has the code of pancreas (15776009)"),
        ([segment("liver"), segment("Liver")], "'liver' and 'Liver' are both liver"),
        ([segment("kidney")], "'kidney' is no class"),
    ],
)
def test_what_cannot_be_told_is_refused(segments: list[Segment], told: str) -> None:
    with pytest.raises(UnknownLabel, match="cannot be told") as caught:
        classes_of(segments, SCHEMA, "x.seg.nrrd")
    assert told in caught.value.problem


def test_a_segment_without_a_voxel_may_have_any_name() -> None:
    assert classes_of([segment("Segment_1", voxels=False)], SCHEMA, "x") == {}
    assert list(classes_of([segment("liver", voxels=False)], SCHEMA, "x")) == ["liver"]


def line(*ids: int) -> np.ndarray:
    return np.array(ids, np.uint8).reshape(1, 1, -1)


def masks(**drawn: list[int]) -> dict[str, Segment]:
    return {name: Segment.of(name, line(*mask)) for name, mask in drawn.items()}


SHOWN = line(1, 1, 2, 2, 3, 0)
CASES = {
    "no segment": ({}, [1, 1, 2, 2, 3, 0]),
    "an empty segment": (masks(liver=[0] * 6), [0, 0, 2, 2, 3, 0]),
    "a single voxel": (masks(liver=[0, 1, 0, 0, 0, 0]), [0, 1, 2, 2, 3, 0]),
    "an organ that covers what lies inside": (masks(pancreas=[0, 0, 1, 1, 1, 1]), [1, 1, 2, 2, 3, 2]),
    "a lesion that was erased goes back to its organ": (masks(lesion=[0] * 6), [1, 1, 2, 2, 2, 0]),
    "a lesion grows": (masks(lesion=[0, 0, 0, 1, 1, 0]), [1, 1, 2, 3, 3, 0]),
    "both, one over the other": (masks(pancreas=[0, 0, 1, 1, 1, 0], lesion=[0, 0, 0, 0, 1, 0]), [1, 1, 2, 2, 3, 0]),
    "both, side by side": (masks(pancreas=[0, 0, 1, 1, 0, 0], lesion=[0, 0, 0, 0, 1, 0]), [1, 1, 2, 2, 3, 0]),
    "both, the lesion erased": (masks(pancreas=[0, 0, 1, 1, 0, 0], lesion=[0] * 6), [1, 1, 2, 2, 0, 0]),
    "a neighbour without a segment gives way": (masks(pancreas=[0, 1, 1, 1, 0, 0], lesion=[0] * 6), [1, 2, 2, 2, 0, 0]),
    "a class that was not there": (masks(kidney_left=[0, 0, 0, 0, 0, 1]), [1, 1, 2, 2, 3, 4]),
}


@pytest.mark.parametrize("what", CASES)
def test_classes_are_as_their_segments_say_and_others_as_they_were(what: str) -> None:
    segments, expected = CASES[what]
    drawn = draw(SCHEMA, segments, SHOWN, "x")
    assert drawn.labels.ravel().tolist() == expected
    assert drawn.notes == ()
    assert SHOWN.ravel().tolist() == [1, 1, 2, 2, 3, 0]


def test_an_inner_class_that_is_left_outside_of_its_organ_is_noted() -> None:
    drawn = draw(SCHEMA, masks(pancreas=[0, 0, 1, 0, 0, 0]), SHOWN, "x")
    assert drawn.labels.ravel().tolist() == [1, 1, 2, 0, 3, 0]
    (note,) = drawn.notes
    assert note.startswith("1 voxels of lesion, which has no segment, lie outside of the segment of pancreas")


def test_voxels_of_two_classes_are_counted_and_refused() -> None:
    segments = masks(liver=[1, 1, 1, 0, 0, 0], pancreas=[0, 1, 1, 0, 0, 0], kidney_left=[1, 0, 0, 0, 0, 0])
    with pytest.raises(UnreadableImage) as caught:
        draw(SCHEMA, segments, SHOWN, "labels/x.seg.nrrd")
    assert "1 voxels are both liver and kidney_left; 2 voxels are both liver and pancreas" in caught.value.problem
