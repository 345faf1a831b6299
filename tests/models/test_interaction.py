"""Where clicks are put, and when a reader stops."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models.interaction import Click, click_at_error, mean_iou, play

SHAPE = (6, 9, 11)


def box(*parts: slice, value: int = 1, into: np.ndarray | None = None) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int16) if into is None else into.copy()
    labels[parts] = value
    return labels


EMPTY = np.zeros(SHAPE, np.int16)
LARGE = box(slice(1, 6), slice(2, 7), slice(3, 8))
SINGLE = box(slice(0, 1), slice(0, 1), slice(0, 1))


@pytest.mark.parametrize(
    ("labels", "truth", "expected"),
    [
        (EMPTY, EMPTY, None),
        (LARGE, LARGE, None),
        (EMPTY, LARGE, Click(1, (3, 4, 5), True)),
        (LARGE, EMPTY, Click(1, (3, 4, 5), False)),
        (SINGLE, EMPTY, Click(1, (0, 0, 0), False)),
        (SINGLE, LARGE, Click(1, (3, 4, 5), True)),
        (LARGE, SINGLE, Click(1, (3, 4, 5), False)),
        # Two pieces touch at a corner: one error of five voxels, larger than one of four.
        (EMPTY, box(slice(0, 1), slice(8, 9), slice(0, 4), into=box(slice(5, 6), slice(0, 1), slice(0, 5))), (5, 0)),
        # The class is there as another one: for each of the two that is an error of its own.
        (LARGE, 2 * LARGE, Click(1, (3, 4, 5), False)),
    ],
)
def test_a_click_lies_in_the_middle_of_the_largest_error(labels, truth, expected) -> None:
    found = click_at_error(labels, truth, 1)
    if isinstance(expected, tuple):
        assert found is not None
        assert found.voxel[:2] == expected
        assert found.present
    else:
        assert found == expected


def test_what_nobody_knows_is_no_error() -> None:
    truth = np.where(LARGE == 1, 9, 0)
    assert click_at_error(LARGE, truth, 1, ignore=9) is None
    assert click_at_error(LARGE, truth, 1) is not None


class Painter:
    """Answers a click as told: `reach` voxels around it become what it says, but a click too many spoils everything."""

    def __init__(self, reach: int, good: int) -> None:
        self.reach, self.good, self.answered = reach, good, 0

    def automatic(self, params):
        raise NotImplementedError

    def start(self, labels):
        return _Answer(labels)

    def click(self, answer, click):
        self.answered += 1
        labels = answer.labels.copy()
        z, y, x = (slice(max(v - self.reach, 0), v + self.reach + 1) for v in click.voxel)
        labels[z, y, x] = click.number if click.present and self.answered <= self.good else 0
        return _Answer(labels)


class _Answer:
    def __init__(self, labels) -> None:
        self.labels = labels


def better(before, after) -> bool:
    return mean_iou(after, LARGE, [1]) > mean_iou(before, LARGE, [1])


@pytest.mark.parametrize(
    ("reach", "good", "most", "helped"),
    [
        (1, 9, 3, [True, True, True]),
        (1, 9, 1, [True]),
        (1, 2, 3, [True, True, False]),
        (1, 0, 3, [False]),
        (2, 9, 3, [True]),  # nothing is wrong any more
    ],
)
def test_the_reader_stops_at_the_first_click_that_no_longer_helps(reach, good, most, helped) -> None:
    session = Painter(reach, good)
    played = play(session, EMPTY, LARGE, [1], most, better)
    assert [h for _, h in played.clicks] == helped
    assert session.answered == len(helped)
    kept = Painter(reach, good)
    answer = kept.start(EMPTY)
    for click, useful in played.clicks:
        answer = kept.click(answer, click) if useful else answer
    assert np.array_equal(played.labels, answer.labels)


@pytest.mark.parametrize(
    ("labels", "truth", "numbers", "expected"),
    [
        (EMPTY, EMPTY, [1], 1.0),
        (EMPTY, LARGE, [1], 0.0),
        (LARGE, LARGE, [1, 2], 1.0),
        (SINGLE, LARGE, [1, 2], 0.5),
    ],
)
def test_mean_iou(labels, truth, numbers, expected) -> None:
    assert mean_iou(labels, truth, numbers) == expected
