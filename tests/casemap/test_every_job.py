"""Of every job in voxledger: content makes another key, a place does not. Jobs and fields are found, not listed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, TypeAdapter
from safetensors.numpy import save_file

import voxledger
from voxledger.algorithms import VERSIONS
from voxledger.casemap.job import Job, is_place
from voxledger.imaging.volume import Grid
from voxledger.models.model import Model
from voxledger.params import EvaluateParams, InferParams, ModelParams, RetrainParams, ScoreParams
from voxledger.records.card import DATASET, PLANS, WEIGHTS, ModelCard
from voxledger.schema import LabelClass, LabelSchema
from voxledger.weak.label import WeakLabel, measured

Two = tuple[Any, Any]
"""Two values of a type that results could depend on differently."""


def jobs() -> list[type[Job[Any]]]:
    for module in pkgutil.walk_packages(voxledger.__path__, "voxledger."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(job: type[Job[Any]]) -> Iterator[type[Job[Any]]]:
        for child in job.__subclasses__():
            if child.__module__.startswith("voxledger."):
                yield child
                yield from below(child)

    return sorted({job for job in below(Job) if not inspect.isabstract(job)}, key=lambda job: job.__qualname__)


def schema(number: int) -> LabelSchema:
    return LabelSchema(name="one", classes=(LabelClass(id=number, name="organ"),))


def card(number: int) -> ModelCard:
    return ModelCard(
        id=f"model-{number}",
        name="unet",
        backend="monai",
        architecture="",
        strategy="full",
        cohort="",
        parent="",
        params={},
        licence="",
        round=0,
    )


MODELS: dict[type[BaseModel], Two] = {
    LabelSchema: (schema(1), schema(2)),
    ModelCard: (card(1), card(2)),
    InferParams: (InferParams(), InferParams(step=0.25)),
    ScoreParams: (ScoreParams(), ScoreParams(opening=1)),
    EvaluateParams: (EvaluateParams(), EvaluateParams(tolerance_mm=1.0)),
    RetrainParams: (RetrainParams(), RetrainParams(seed=1)),
    ModelParams: (ModelParams(backend="nnunet"), ModelParams(backend="nnunet", epochs=3)),
}
PLAIN: dict[Any, Two] = {
    str: ("a", "b"),
    int: (1, 2),
    float: (0.25, 0.5),
    bool: (False, True),
    NoneType: (None, None),
    Any: (1, 2),
}


def two(kind: Any) -> Two:
    """Two values of a type; files of the two differ."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is Path:
        return Path("one.txt"), Path("other.txt")
    if origin in (typing.Union, UnionType):
        return two(next(a for a in arguments if a is not NoneType))
    if origin is typing.Literal:
        return arguments[0], arguments[-1]
    if origin in (tuple, list, Sequence):
        (a, b), made = two(arguments[0]), list if origin is list else tuple
        return (made([a]), made([b])) if len(arguments) < 2 or arguments[1] is Ellipsis else two_of_many(arguments)
    if origin in (dict, Mapping):
        (key, _), (a, b) = two(arguments[0]), two(arguments[1])
        return {key: a}, {key: b}
    if kind is WeakLabel:
        one, other = (np.full((1, 3), voxel) for voxel in (1.0, 2.0))
        return tuple(measured("a", "organ", "point", "json", at, Grid.plain((5, 5, 5))) for at in (one, other))
    if kind is Model:
        return Model(Path("one"), card(1), schema(1)), Model(Path("other"), card(2), schema(2))
    if origin is np.ndarray:
        return np.zeros(2, bool), np.ones(2, bool)
    if issubclass(kind, Enum):
        return tuple(kind)[:2]
    if issubclass(kind, BaseModel):
        return MODELS[kind]
    assert dataclasses.is_dataclass(kind), f"say here what two values of {kind} are"
    return example(kind), example(kind, 1)


def two_of_many(kinds: Sequence[Any]) -> Two:
    pairs = [two(kind) for kind in kinds]
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


def example(kind: Any, which: int = 0) -> Any:
    hints = typing.get_type_hints(kind)
    return kind(**{f.name: two(hints[f.name])[which] for f in dataclasses.fields(kind)})


def fields(kind: Any, taken: tuple[str, ...] = ()) -> Iterator[tuple[str, bool, Callable[[Any], Any]]]:
    """Every field of a dataclass, also inside the dataclasses that it holds: name, whether a place, and its change."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        _, other = two(hints[field.name])
        yield field.name, is_place(field), lambda value, n=field.name, o=other: dataclasses.replace(value, **{n: o})


JOBS = jobs()
CASES = [
    pytest.param(job, place, change, id=f"{job.__name__}-{name}") for job in JOBS for name, place, change in fields(job)
]


@pytest.fixture(autouse=True)
def _files(folder: Path) -> None:
    Path("one.txt").write_text("one")
    Path("other.txt").write_text("other")
    for number, name in enumerate(("one", "other")):
        home = Path(name)
        home.mkdir()
        save_file({"weight": np.full(1, number, np.float32)}, home / WEIGHTS)
        (home / DATASET).write_text("{}")
        (home / PLANS).write_text("{}")


def test_jobs_are_found() -> None:
    assert {
        "Attend",
        "CheckWeak",
        "Features",
        "FoundLesions",
        "JudgeAttention",
        "LesionCurves",
        "MaskCheck",
        "Measure",
        "NetworkPrediction",
        "Propose",
        "TakeIn",
        "TrainModel",
    } <= {job.__name__ for job in JOBS}


@pytest.mark.parametrize(("job", "place", "change"), CASES)
def test_content_makes_another_key_and_a_place_does_not(
    job: type[Job[Any]], place: bool, change: Callable[[Any], Any]
) -> None:
    one = example(job)
    assert example(job).key == one.key
    assert (change(one).key == one.key) is place


@pytest.mark.parametrize("job", JOBS)
def test_every_algorithm_of_a_job_is_in_its_key(job: type[Job[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.algorithms
    first = example(job).key
    for name in job.algorithms:
        with monkeypatch.context() as patch:
            patch.setitem(VERSIONS, name, VERSIONS[name] + 1)
            assert example(job).key != first


KEYS_IN_GIT = {
    "MadeElsewhere": "e7a6a0117517fdcca5e15c2261ea231725cbdb647c23a18396e3875ddc818fa2",
    "MarkedObjects": "140dbec09ce8f8602bf1592c639a19e0aee6008c803888470e598cca58522c35",
    "NetworkPrediction": "4be9a294302000f90b1ee680d4173db4e314e398eda296ed8e8370ae8edea6ce",
    "RegionPrediction": "f6afc2a7804521b9cadcf659a01ae92545aa7b7dcc2be065f8db92d5e0b9a815",
}
"""Of the examples here, with all versions 0."""


@pytest.mark.parametrize("job", [job for job in JOBS if job.stage == "infer"])
def test_keys_that_repositories_hold_change_with_a_version_alone(
    job: type[Job[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data/round/infer.jsonl` has them. Where this fails, raise `infer` in algorithms.py, and write the key here."""
    for name in VERSIONS:
        monkeypatch.setitem(VERSIONS, name, 0)
    assert example(job).key == KEYS_IN_GIT[job.__name__]


@pytest.mark.parametrize("job", JOBS)
def test_facts_of_every_job_go_into_json_and_back(job: type[Job[Any]]) -> None:
    """Their type is one that pydantic knows."""
    TypeAdapter(typing.get_type_hints(job.compute)["return"])


def test_every_job_has_a_name_of_its_own() -> None:
    assert len({job.__name__ for job in JOBS}) == len(JOBS)
