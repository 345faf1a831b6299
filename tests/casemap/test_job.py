from __future__ import annotations

import dataclasses
import doctest
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.algorithms import VERSIONS
from voxledger.casemap import job as module
from voxledger.casemap.job import Job, content, place
from voxledger.params import InferParams


class Colour(Enum):
    RED = 1
    BLUE = 2


class Word(StrEnum):
    ONE = "one"


@dataclasses.dataclass(frozen=True)
class Part:
    file: Path
    folder: Path = place()


class Everything(Job[None]):
    stage, algorithms = "test", ("infer",)
    value: Any = content()
    where: Path = place()

    def compute(self, folder: Path) -> None:
        pass


def key(value: Any, where: str = "here") -> str:
    return Everything(name="a", value=value, where=Path(where)).key


def test_the_example_holds() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, "1", None, 2),
        (Colour.RED, Colour.BLUE, "RED"),
        ((1, 2), (2, 1), ((1, 2),), ()),
        ({"a": 1}, {"b": 1}, {"a": 2}, {}, {"a": {"a": 1}}),
        (InferParams(), InferParams(step=0.25)),
        (Path("a"), Path("b"), "a"),
        (Part(Path("a"), Path()), Part(Path("b"), Path())),
    ],
)
def test_what_differs_has_another_key(folder: Path, values: tuple[Any, ...]) -> None:
    Path("a").write_text("a")
    Path("b").write_text("b")
    assert len({key(v) for v in values}) == len(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Path("a"), Path("copy")),
        (Part(Path("a"), Path("x")), Part(Path("copy"), Path("y"))),
        ((1, 2), [1, 2]),
        (Word.ONE, "one"),
    ],
)
def test_what_is_the_same_has_the_same_key(folder: Path, one: Any, other: Any) -> None:
    Path("a").write_text("a")
    Path("copy").write_text("a")
    assert key(one) == key(other)


def test_the_key_has_content_names_and_versions_and_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    first = key(1)
    assert key(1, where="there") == first
    assert Everything(name="b", value=1, where=Path("here")).key != first

    class Other(Everything):
        algorithms = ("infer",)

    assert Other(name="a", value=1, where=Path("here")).key != first
    monkeypatch.setitem(VERSIONS, "infer", VERSIONS["infer"] + 1)
    assert key(1) != first


def test_a_part_of_a_value_can_be_what_counts() -> None:
    class Rounded(Job[None]):
        stage, algorithms = "test", ()
        value: float = content(by=round)

        def compute(self, folder: Path) -> None:
            pass

    assert Rounded(name="a", value=1.1).key == Rounded(name="a", value=0.9).key != Rounded(name="a", value=2.0).key


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.float64(1.0), "Everything.value is a float64"),
        (np.zeros(2), "Everything.value: a ndarray has no place in a memo key"),
        ((1, np.int64(1)), r"Everything.value\[1\]: a int64 has no place"),
        ({1: 2}, "Everything.value: a dict has no place"),
        ({1, 2}, "Everything.value: a set has no place"),
        ({"a": b""}, r"Everything.value\['a'\]: a bytes has no place"),
    ],
)
def test_what_has_no_text_that_repeats_is_refused(value: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        key(value)


def test_a_field_that_is_not_declared_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Undeclared.threshold is neither declared content\(\) nor place\(\)"):

        class Undeclared(Job[None]):
            stage, algorithms = "test", ()
            threshold: float = 0.5

    with pytest.raises(TypeError, match="threshold is neither"):

        class Without(Job[None]):
            stage, algorithms = "test", ()
            threshold: float


def test_an_algorithm_without_a_version_is_refused() -> None:
    with pytest.raises(TypeError, match="no version of guessing"):

        class Guess(Job[None]):
            stage, algorithms = "test", ("guessing",)


def test_a_job_cannot_be_changed() -> None:
    job = Everything(name="a", value=1, where=Path("here"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.value = 2  # type: ignore[misc]
