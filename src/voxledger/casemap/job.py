"""A job: what one computation gets, and the key that its result is remembered by.

A job is a frozen dataclass with a function `compute`. Every field is declared: `content()` is what the result depends
on and goes into the key; `place()` says where something lies or how it is computed, and does not. The key derives
from the fields, so that what is computed from and what it is remembered by cannot drift apart.

In the key stands, of a `Path`, the SHA-256 of the file; of a pydantic model its JSON; of an enum its value; of a
dataclass its fields, but those that it declares a place. Names of jobs and fields are part of the key: renaming one
computes again. Keys of the infer stage stand in `data/round/infer.jsonl`, so there it needs a higher version in
`voxledger.algorithms`, too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform, get_type_hints

from pydantic import BaseModel, TypeAdapter

from voxledger.algorithms import VERSIONS
from voxledger.casemap.hashes import trusted_sha256

Facts = TypeVar("Facts")
_KIND, _BY = "voxledger.kind", "voxledger.by"
_PLAIN = (type(None), bool, int, float, str)
_AS_TEXT = json.JSONEncoder(sort_keys=True, allow_nan=False)


def content(by: Callable[[Any], Any] | None = None, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that the result depends on.

    Parameters
    ----------
    by
        Gives the part of the value that the result depends on; the whole by default.
    default
        Value of the field where none is given.
    """
    return dataclasses.field(default=default, metadata={_KIND: "content", _BY: by})


def place(default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that the result does not depend on: where something lies, or how it is computed.

    Parameters
    ----------
    default
        Value of the field where none is given.
    """
    return dataclasses.field(default=default, metadata={_KIND: "place"})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(content, place))
@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(ABC, Generic[Facts]):
    """What one computation gets. A subclass is made a frozen dataclass; a field without declaration is a `TypeError`.

    Examples
    --------
    >>> class Mean(Job[float]):
    ...     stage, algorithms = "example", ()
    ...     values: tuple[float, ...] = content()
    ...     workers: int = place()
    ...     def compute(self, folder: Path) -> float:
    ...         return sum(self.values) / len(self.values)
    >>> one = Mean(name="case-7", values=(1.0, 2.0), workers=1)
    >>> one.key == Mean(name="case-7", values=(1.0, 2.0), workers=8).key
    True
    >>> one.key == Mean(name="case-7", values=(1.0, 3.0), workers=1).key
    False
    """

    stage: ClassVar[str]
    """Its folder below `.memo`."""
    algorithms: ClassVar[tuple[str, ...]]
    """Names in `voxledger.algorithms.VERSIONS` of what it computes with."""

    name: str = content()
    """The case, or what else it is about."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, annotation in cls.__annotations__.items():
            field = cls.__dict__.get(name)
            declared = isinstance(field, dataclasses.Field) and _KIND in field.metadata
            if not declared and not str(annotation).startswith(("ClassVar", "typing.ClassVar")):
                raise TypeError(f"{cls.__name__}.{name} is neither declared content() nor place()")
        unknown = sorted(set(cls.algorithms) - set(VERSIONS))
        if unknown:
            raise TypeError(f"{cls.__name__}.algorithms: voxledger.algorithms has no version of {', '.join(unknown)}")
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    @abstractmethod
    def compute(self, folder: Path) -> Facts:
        """Write the files of the result into an empty folder, and return what the caller wants to know.

        Facts are what pydantic writes as JSON and reads back from the type that the function is declared to return:
        dataclasses, models, numbers, text, lists, tuples, dictionaries by text.
        """

    @property
    def title(self) -> str:
        """How errors and progress call it."""
        return self.name

    @cached_property
    def key(self) -> str:
        """Hash of the job's class, of the versions of its algorithms, and of every field that is content."""
        parts = {
            "stage": self.stage,
            "job": type(self).__name__,
            "algorithms": {name: VERSIONS[name] for name in self.algorithms},
            "content": _fields(self, type(self).__name__),
        }
        return hashlib.sha256(_AS_TEXT.encode(parts).encode()).hexdigest()

    def to_json(self, facts: Facts) -> str:
        """Facts as JSON text, the keys of dictionaries in order."""
        return json.dumps(_type_of_facts(type(self).compute).dump_python(facts, mode="json"), sort_keys=True)

    def from_json(self, text: str) -> Facts:
        """Facts as `compute` returned them."""
        facts: Facts = _type_of_facts(type(self).compute).validate_python(json.loads(text))
        return facts


@cache
def _type_of_facts(compute: Callable[..., Any]) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(compute)["return"])


def is_place(field: dataclasses.Field[Any]) -> bool:
    """Whether a field was declared with `place()`."""
    return field.metadata.get(_KIND) == "place"


def _fields(value: Any, where: str) -> dict[str, Any]:
    found = {}
    for name, by in _content_of(value.__class__):
        part = getattr(value, name)
        found[name] = _canonical(part if by is None else by(part), f"{where}.{name}")
    return found


@cache
def _content_of(kind: type) -> list[tuple[str, Callable[[Any], Any] | None]]:
    """Fields of a dataclass that are content, and what of each counts."""
    return [(f.name, f.metadata.get(_BY)) for f in dataclasses.fields(kind) if not is_place(f)]


def _canonical(value: Any, where: str) -> Any:
    """A value as JSON that differs where the value does; `TypeError` naming the field where there is no such JSON."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Path):
        return {"sha256": trusted_sha256(value)}
    if isinstance(value, Enum):
        return _canonical(value.value, where)
    if isinstance(value, int | float | str):
        raise TypeError(f"{where} is a {type(value).__name__}: make it a plain number or text")
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_canonical(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {str(k): _canonical(v, f"{where}[{k!r}]") for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, where)
    raise TypeError(f"{where}: a {type(value).__name__} has no place in a memo key")
