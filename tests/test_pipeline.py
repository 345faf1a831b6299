"""Every stage of dvc.yaml, alone with what it lists: nothing that it reads is hidden from DVC."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import output, parameters, run
from ruamel.yaml import YAML

from voxledger.algorithms import STAGES
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.layout import SENT

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
GRID = Grid((8, 12, 10), (3.0, 1.5, 1.5), (5.0, -40.0, 12.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose round 0 is finished, with cases of every split, weak labels and an ensemble."""
    root = tmp_path_factory.mktemp("pipeline")
    for n in range(12):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:7, 2 : 9 + n % 3, 2:8] = 1
        labels[3:5, 4:6, 3 : 5 + n % 2] = 2
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        where = "external" if n > 9 else "images"
        write(root / f"{where}/case{n}.nii.gz", (np.array([0, 100, 40])[labels] + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        if n < 6 or n > 9:
            write(root / f"{where}-labels/case{n}.nii.gz", labels, GRID)
        write(root / f"weak/case{n}.nii.gz", np.where(np.arange(GRID.shape[0])[:, None, None] == 4, labels, 0), GRID)
        for model in (1, 2):
            write(root / f"m{model}/case{n}.nii.gz", np.roll(labels, (n + model) % 2, axis=2), GRID)
    for n in (10, 11):
        (root / f"weak/case{n}.nii.gz").unlink()
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 2, "audit": 1, "opening": 0},
            cases={"calibration": 0.2, "test": 0.2},
            calibrate={"classes": ["lesion"], "bootstrap": 100},
            filter={"rules": [{"rule": "inside_organ", "classes": ["lesion"]}]},
        )
        given = ("--labels", str(root / "images-labels"), "--weak", str(root / "weak"))
        run("voxledger", "cases", "add", str(root / "images"), *given)
        given = ("--labels", str(root / "external-labels"), "--split", "external", "--source", "site-b")
        run("voxledger", "cases", "add", str(root / "external"), *given)
        for m in ("m1", "m2"):
            declared = ("--id", m, "--licence", "CC0-1.0")
            run("voxledger", "models", "add", m, "--predictions", str(root / m), *declared)
        run("voxledger", "round", "run", accept=(3,))
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"))
        run("voxledger", "round", "run")
    return root / "repo"


def outputs(stage: dict[str, Any]) -> list[str]:
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def hashes(root: Path, paths: list[str]) -> dict[str, str]:
    files = [f for p in paths for f in ([root / p] if (root / p).is_file() else sorted((root / p).rglob("*")))]
    return {f.relative_to(root).as_posix(): file_sha256(f) for f in files if f.is_file()}


LOOKED_AT = ("data/images", "data/weak", "data/base/labels", "data/base/ledger.csv", "models/base")
"""The first stage says which of these is not here; if it listed them, DVC would say it first, in words of its own."""


def test_what_the_first_stage_looks_for_is_listed_by_later_ones() -> None:
    later = {dep for name, stage in PIPELINE.items() if name != "cases" for dep in stage["deps"]}
    assert set(LOOKED_AT) <= later


def test_a_stage_runs_again_when_the_version_of_its_algorithm_rises(finished: Path) -> None:
    versions = finished / "algorithms.yaml"
    before = versions.read_text()
    try:
        versions.write_text(before.replace(f"filter: {STAGES['filter']}", f"filter: {STAGES['filter'] + 1}"))
        changed = json.loads(output("dvc", "status", "--json", cwd=finished))
    finally:
        versions.write_text(before)
    modified = [{"changed deps": {"algorithms.yaml": {"filter": "modified"}}}]
    assert changed == {"calibrate": modified, "filter": modified}  # the calibration looks behind the rules


@pytest.mark.parametrize("name", list(PIPELINE))
def test_a_stage_reads_nothing_but_what_dvc_yaml_lists(finished: Path, tmp_path: Path, name: str) -> None:
    """With no other file there, it writes the same outputs."""
    stage = PIPELINE[name]
    for path in ["params.yaml", "algorithms.yaml", *stage["deps"], *(LOOKED_AT if name == "cases" else ())]:
        source, target = finished / path, tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    run(*stage["cmd"].split(), cwd=tmp_path)
    made = hashes(finished, outputs(stage))
    assert made or name in ("adjudicate", "learn"), "one reads a case, and attention is not learned: nothing to write"
    assert hashes(tmp_path, outputs(stage)) == made


HEAVY = {"SimpleITK", "blosc2", "dvc", "jinja2", "matplotlib", "monai", "nnunetv2", "numba", "pandas", "scipy", "torch"}
NEEDED = {
    "export": {"SimpleITK", "blosc2", "scipy"},  # bundles are written anew
    "evaluate": HEAVY - {"dvc", "monai", "nnunetv2", "torch"},
}
"""What a stage uses even where nothing is left to compute."""
RUN = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
print(*sys.modules.keys() & set(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def repeated(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose stages may run again: nobody looks at its bundles."""
    copied = tmp_path_factory.mktemp("repeated") / "repo"
    shutil.copytree(finished, copied, symlinks=True)
    (copied / SENT).unlink()
    run("git", "rm", "--quiet", "--cached", str(SENT), cwd=copied)
    return copied


@pytest.mark.parametrize("name", list(PIPELINE))
def test_a_stage_with_nothing_to_compute_imports_nothing_to_compute_with(repeated: Path, name: str) -> None:
    """It starts in half a second: what takes longer to import waits inside the function that needs it."""
    script = PIPELINE[name]["cmd"].removeprefix("python ")
    said = output(sys.executable, "-c", RUN, script, *HEAVY, cwd=repeated)
    assert set(said.splitlines()[-1].split()) <= NEEDED.get(name, set())
