"""Releases of the demo and of the benchmark on hippocampi, read by the tools of others.

Both run as they are, but with models that have hardly learned; `benchmarks/described.py` is for those that ran whole.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path

import pytest
from commands import run

from voxledger import layout
from voxledger.cli import demo

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def described(accept: int = 0) -> str:
    """What the benchmark prints of the repository in the current folder."""
    return run(sys.executable, str(BENCHMARKS / "described.py"), ".", accept=(accept,))


@pytest.mark.slow
def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "PARAMETERS", hurried(demo.PARAMETERS))
    monkeypatch.setattr(demo, "PHANTOMS", ("--size", "small", *demo.PHANTOMS[2:]))
    assert demo.demo.callback is not None
    demo.demo.callback(folder=tmp_path / "demo", rounds=1)
    said = described()
    assert "| descriptions, `data/release` | 22 images, " in said
    assert "CT, for which BIDS has no name" in said

    path = min(layout.RELEASE_LABELS.iterdir())
    path.unlink()
    path.write_bytes(b"another")
    assert "not identical" in described(accept=1)


@pytest.mark.slow
def test_the_benchmark_on_hippocampi(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("hippocampus_rounds", BENCHMARKS / "hippocampus_rounds.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "PARAMETERS", hurried(benchmark.PARAMETERS))
    images = shared_data / "hippocampus"
    benchmark.main.callback(images, tmp_path / "work", None, rounds=1, seed=0, acquisition="attention")
    said = described()
    assert "| descriptions, `data/release` | 180 images, 360 masks | nothing |" in said
    assert "| plain Python, export as `nifti` | 360 masks | nothing |" in said
    assert "| `bids-validator-deno`, export as `bids` | 360 volumes | nothing |" in said


def hurried(parameters: dict[str, object]) -> dict[str, object]:
    """The same, with a handful of steps of training."""
    found = copy.deepcopy(parameters)
    for model in found["retrain"]["models"].values():  # type: ignore[index]
        model["iterations"] = 3
    return found
