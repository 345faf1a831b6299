"""What a manifest says of software, hardware and times."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from commands import run
from ruamel.yaml import YAML

import voxledger
from voxledger.layout import MANIFEST
from voxledger.release import times
from voxledger.release.environment import environment
from voxledger.release.manifest import write_manifest
from voxledger.release.send import send_out

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(folder: Path) -> Path:
    """A git repository with the files that a round begins with."""
    run("git", "init", "-q", "-b", "main")
    run("dvc", "init", "-q")
    for file in ("data/base/ledger.csv", "data/base/errors.csv", "models/base.json", "stages/one.py"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(f"{file}\n")
    Path("params.yaml").write_text("dataset: two\nround: 1\n")
    Path("dvc.yaml").write_text("stages:\n  export: {cmd: python stages/one.py}\n")
    Path("dvc.lock").write_text("schema: '2.0'\n")
    Path("data/release").mkdir()
    run("git", "add", "--all")
    run("git", "commit", "-q", "-m", "Open round 1")
    return folder


def manifest() -> dict[str, Any]:
    write_manifest("two", 1, "v1.0.0")
    made: dict[str, Any] = json.loads(MANIFEST.read_text())
    return made


def seconds_ago(text: str) -> float:
    then = datetime.fromisoformat(text)
    assert then.utcoffset() == timedelta(0)
    return (datetime.now(UTC) - then).total_seconds()


def test_the_manifest_says_with_what_a_version_was_made(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listed the versions of eight packages and no more."""
    for name, value in (("OMP_NUM_THREADS", "3"), ("ONEDNN_MAX_CPU_ISA", "SSE41"), ("MKL_CBWR", "COMPATIBLE")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    made = manifest()["closed"]["environment"]
    assert made["python"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert platform.system() in made["os"]
    assert made["cpu"]["model"]
    assert made["cpu"]["features"] == sorted(made["cpu"]["features"])
    assert made["cpu"]["torch"]
    assert made["threads"]["OMP_NUM_THREADS"] == "3"
    assert made["threads"]["torch"] >= 1
    assert made["threads"]["cores"] == len(os.sched_getaffinity(0))
    assert made["mathematics"]["ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert made["mathematics"]["MKL_CBWR"] == "COMPATIBLE"
    assert made["mathematics"]["ATEN_CPU_CAPABILITY"] is None


def test_the_manifest_has_the_whole_environment_and_its_hash(repository: Path) -> None:
    packages = manifest()["closed"]["environment"]["packages"]
    assert packages["list"] == sorted({f"{d.name}=={d.version}" for d in distributions()}, key=str.lower)
    assert hashlib.sha256("".join(f"{p}\n" for p in packages["list"]).encode()).hexdigest() == packages["sha256"]
    frozen = subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    plain = {line for line in frozen.splitlines() if "==" in line and not line.startswith(("#", "-e"))}
    assert len(plain) > 50
    assert plain <= set(packages["list"])


def test_the_manifest_names_the_source_of_voxledger(repository: Path, tmp_path: Path) -> None:
    """By commit where it runs from a checkout, and always by the hash of its files."""
    ours = environment()["voxledger"]
    assert ours["commit"] == subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    changed = subprocess.check_output(["git", "status", "--porcelain", "--", "src"], cwd=ROOT, text=True)
    assert ours["uncommitted_changes"] == bool(changed.strip())
    assert len(ours["source_sha256"]) == 64
    # As it is installed: without a checkout, even inside another git repository.
    site = repository / "site"
    site.mkdir()
    subprocess.run(["cp", "-r", str(ROOT / "src/voxledger"), str(site)], check=True)
    code = (
        "import json; from voxledger.release.environment import environment as e; print(json.dumps(e()['voxledger']))"
    )

    def installed() -> dict[str, Any]:
        told = subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)})
        found: dict[str, Any] = json.loads(told)
        return found

    assert installed() == {**ours, "commit": None, "uncommitted_changes": None}
    with open(site / "voxledger/ledger.py", "a") as stream:
        stream.write("# altered\n")
    assert installed()["source_sha256"] != ours["source_sha256"]


def test_the_manifest_says_when_bundles_went_out_returns_came_and_the_round_was_closed(repository: Path) -> None:
    assert manifest()["times"] == {"first_export": None, "receipts": {}}
    send_out({})  # whoever sends them: `round run` or `review zip`
    first = Path("data/times/export-r01.json").read_text()
    times.note_export(1)
    assert Path("data/times/export-r01.json").read_text() == first
    times.note_receipt("bundle-r01-ann", "a" * 64)
    times.note_receipt("bundle-r01-ann", "a" * 64)
    times.note_receipt("bundle-r01-ben", "b" * 64)
    times.note_receipt("bundle-r01-ann", "c" * 64)
    times.note_receipt("bundle-r00-old", "d" * 64)
    made = manifest()
    assert set(made["times"]["receipts"]) == {"bundle-r01-ann", "bundle-r01-ben"}
    assert [r["sha256"] for r in made["times"]["receipts"]["bundle-r01-ann"]] == ["a" * 64, "c" * 64]
    receipts = [r["at"] for rs in made["times"]["receipts"].values() for r in rs]
    assert made["times"]["first_export"] <= min(receipts)
    assert max(receipts) <= made["closed"]["at"]
    for text in (made["times"]["first_export"], *receipts, made["closed"]["at"]):
        assert 0 <= seconds_ago(text) < 60
    # In git, so that other clones and the closed version have them.
    assert run("git", "ls-files", "--others", "data/times") == ""


def test_bundles_that_went_out_before_times_were_noted_have_the_time_of_their_commit(repository: Path) -> None:
    os.environ["GIT_COMMITTER_DATE"] = "2024-03-01T12:00:00+01:00"
    try:
        run("git", "commit", "-q", "--allow-empty", "-m", "Bundles of round 1 go out")
    finally:
        del os.environ["GIT_COMMITTER_DATE"]
    times.note_export(1)
    assert manifest()["times"]["first_export"] == "2024-03-01T11:00:00+00:00"


def test_the_machine_that_ran_the_round_is_named_and_only_if_it_ran_this_state(repository: Path) -> None:
    """The round may be closed on another machine than it was trained on."""
    assert manifest()["ran"] is None
    times.note_run(1, environment)
    ran = manifest()["ran"]
    assert ran["environment"] == environment()
    names = {package.partition("==")[0].lower() for package in ran["environment"]["packages"]["list"]}
    assert {"torch", "nnunetv2", "monai"} <= names
    assert ran["environment"]["voxledger"]["version"] == voxledger.__version__
    assert 0 <= seconds_ago(ran["at"]) < 60
    noted = Path("data/times/run-r01.json").read_bytes()
    times.note_run(1, environment)
    assert Path("data/times/run-r01.json").read_bytes() == noted
    Path("dvc.lock").write_text("schema: '2.0'  # of another run\n")
    assert manifest()["ran"] is None


def test_no_stage_depends_on_times_or_on_the_manifest() -> None:
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"].values()
    inputs = {dependency for stage in stages for dependency in stage["deps"]}
    for ours in ("data/times", MANIFEST.as_posix()):
        assert not any(ours == i or ours.startswith(f"{i}/") or i.startswith(f"{ours}/") for i in inputs)
