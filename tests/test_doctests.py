"""Examples in the docstrings of every family run; every member has one."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

from voxledger.registry import BACKENDS, FAMILIES, PROMPTS

SHAPES = (
    "voxledger.registry",
    "voxledger.casemap.job",
    "voxledger.evaluate.metric",
    "voxledger.filter.example",
    "voxledger.imaging.format",
    "voxledger.imaging.unpack",
    "voxledger.models.backend",
    "voxledger.score.acquire",
    "voxledger.weak.check",
    "voxledger.weak.ellipsoid",
    "voxledger.weak.geometry",
)
"""What the members of families are made of."""
MEMBERS = [f"{family.package}.{name}" for family in (*FAMILIES, PROMPTS) for name in family.names()]


def modules(name: str) -> list[ModuleType]:
    """A module and, of a folder, those in it that import nothing heavy before they are used."""
    module = importlib.import_module(name)
    inside = pkgutil.iter_modules(module.__path__) if hasattr(module, "__path__") else ()
    return [module, *(importlib.import_module(f"{name}.{m.name}") for m in inside if m.name != "trainer")]


@pytest.mark.parametrize("name", [*SHAPES, *MEMBERS])
def test_examples_run(name: str) -> None:
    results = [doctest.testmod(module, optionflags=doctest.ELLIPSIS) for module in modules(name)]
    assert not any(result.failed for result in results)
    assert any(result.attempted for result in results), f"{name} has no example"


def test_every_backend_has_the_same_file_names() -> None:
    """Trained ones train and predict; those that are made elsewhere adopt and predict. Both say which cases they cover
    where these are not all."""
    for name in BACKENDS.names():
        backend = BACKENDS.get(name)
        files = {m.name for m in pkgutil.iter_modules(importlib.import_module(backend.package).__path__)}
        assert files >= ({"adopt", "predict"} if backend.made_elsewhere else {"plan", "train", "network", "predict"})
        predict = importlib.import_module(f"{backend.package}.predict")
        assert callable(predict.predictions if backend.made_elsewhere or backend.prompted else predict.predict)
