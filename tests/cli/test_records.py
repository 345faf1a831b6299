"""Every record that a command reads may be damaged: the command names it and what brings it back, never a traceback."""

from __future__ import annotations

import contextlib
import runpy
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import parameters
from ruamel.yaml import YAML

from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.cli.main import cli
from voxledger.imaging.volume import Grid, write
from voxledger.init import init
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.params import read_params
from voxledger.records.bundle import expected_bundles
from voxledger.release.inbox import track_inbox
from voxledger.release.manifest import write_manifest
from voxledger.repository import dvc, dvc_add, git, round_tag
from voxledger.review.by_reference import ByReference
from voxledger.review.emulate import emulate_bundle
from voxledger.schema import read_schema

pytestmark = pytest.mark.slow

GRID = Grid.plain((12, 14, 16), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: tumor, inside: organ, lesion: true}\n"
BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
BEFORE_REVIEW = ("cases", "infer", "calibrate", "filter", "score", "export")
AFTER_REVIEW = ("adjudicate", "gate", "import_revisions", "learn", "retrain", "evaluate")


NOT_READ = {("infer", "reports/cases.json"), ("infer", "data/base/ledger.csv")}
"""Only that the first is made counts, and only models of a region read the second."""


def run_stage(name: str) -> None:
    """A stage as DVC runs it, in this process."""
    runpy.run_path(f"stages/{name}.py", run_name="__main__")


def labels(shift: int) -> np.ndarray:
    found = np.zeros(GRID.shape, np.uint8)
    found[2:10, 2 + shift : 11, 3:13] = 1
    found[4:8, 5:9, 5 + shift : 9 + shift] = 2
    return found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose round 0 is closed, with an organ and a tumour, a precomputed model and a reader."""
    root = tmp_path_factory.mktemp("records")
    for n in range(6):
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels(n % 2) * 50 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels(n % 2), GRID)
        write(root / f"model/case{n}.nii.gz", np.roll(labels(n % 2), n % 3, axis=2), GRID)
        if n < 4:
            write(root / f"labels/case{n}.nii.gz", labels(n % 2), GRID)
    init(root / "repo", "one")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        Path("reviewers.yaml").write_text("reviewers: {}\n")
        parameters(
            score={"budget": 2, "audit": 0},
            export={"reviewers": ["ann"]},
            cases={"calibration": 0.25, "test": 0.25},
            filter={"rules": [{"rule": "mean_hu", "classes": ["tumor"], "ranges": {"tumor": [-1000, 1000]}}]},
        )
        params, schema = read_params(), read_schema("labels.yaml")
        added = add_cases(Incoming(root / "images", labels=root / "labels"), schema, params.cases)
        add_precomputed("m", root / "model", "model-1", "CC0-1.0", added.cases, schema, Path("models/base"), 0)
        for name in BEFORE_REVIEW:
            run_stage(name)
        for folder in expected_bundles(BUNDLES, params.round):
            emulate_bundle(folder, root / "reference", BUNDLES, INBOX, ByReference(0.9))
        for name in AFTER_REVIEW:
            run_stage(name)
        dvc_add("data/images", "data/base/labels", "data/weak", "models/base")
        track_inbox()
        assert dvc("commit", "--force", quiet=True) == 0
        write_manifest("one", 0, "v0.0.0")
        git("add", "--all")
        git("commit", "--quiet", "--message", "Close round 0")
        git("tag", "--annotate", round_tag(0), "--message", "one v0.0.0")
    return root / "repo"


COMMANDS = {
    "round status": 0,
    "cases list": 0,
    "trace case0": 0,
    "trace case4 --at round-00": 0,
    "score show": 0,
    "score tune": 0,
    "review status": 0,
    "models list": 0,
    "filter explain case4": 0,
    "filter fit": 0,
    "diff round-00 round-00": 0,
    "verify round-00": 0,
}
"""What only reads, and its exit code where nothing is damaged."""


def damages(content: bytes) -> dict[str, bytes | None]:
    """What may have become of a file; None is a folder in its place."""
    return {
        "empty": b"",
        "garbage": bytes(range(256)) * 4,
        "Latin-1": content.replace(b",", b",\xe9", 1) if b"," in content else b"\xe9" + content,
        "truncated": content[: len(content) * 2 // 3].rstrip(b"\n")[:-1],
        "cut in the first line": content[: min(10, len(content) // 2)],
        "zeros": b"\0" * len(content),
        "another kind of JSON": b"3\n",
        "a folder": None,
    }


def call(command: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, command.split())
    if not isinstance(result.exception, (SystemExit, type(None))):
        return -1, "".join(traceback.format_exception(result.exception)[-2:])
    return result.exit_code, result.output


def records() -> list[str]:
    """Tables, JSON and YAML in git, and in the folders under DVC that commands read."""
    listed = git("ls-files").split()
    for folder in (BUNDLES, INBOX, Path("models/base")):
        listed += [p.as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    return [f for f in listed if f.endswith((".csv", ".json", ".yaml", ".lock", ".jsonl"))]


def names(path: str) -> list[str]:
    """What names a file; of a bundle, its folder."""
    return [path, *(part for part in Path(path).parts if part.startswith("bundle-"))]


@contextlib.contextmanager
def damaged(path: Path, content: bytes | None) -> Iterator[None]:
    before = path.read_bytes()
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(before)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_record_is_named_and_never_a_traceback(closed: Path, command: str) -> None:
    wrong, noticed = [], set()
    with contextlib.chdir(closed):
        call(command)
        whole = call(command)
        assert whole[0] == COMMANDS[command], whole[1]
        for name in records():
            for damage, content in damages(Path(name).read_bytes()).items():
                if command.startswith("verify") and damage not in ("Latin-1", "a folder"):  # it compares bytes
                    continue
                with damaged(Path(name), content):
                    found = call(command)
                if found != whole:
                    noticed.add(name)
                    if found[0] not in (0, 1, 2, 3, 4) or not any(n in found[1] for n in names(name)):
                        wrong.append(f"{name}, {damage}: exit code {found[0]}, {found[1]}")
    assert noticed or "round-00" in command  # read from git
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("stage", [*BEFORE_REVIEW, *AFTER_REVIEW])
def test_a_stage_names_the_damaged_record_that_it_read(
    closed: Path, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(closed, tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    listed = YAML(typ="safe").load(Path("dvc.yaml").read_text())["stages"]["import" if "import" in stage else stage]
    deps = [f for f in ["params.yaml", *listed["deps"]] if f.endswith((".csv", ".json", ".yaml"))]
    for name in deps:
        for damage in ("garbage", "Latin-1", "cut in the first line", "a folder"):
            whole = Path(name).read_bytes()
            content = damages(whole)[damage]
            if content == whole or (stage, name) in NOT_READ:
                continue
            with damaged(Path(name), content), pytest.raises(SystemExit) as ended:
                run_stage(stage)
            said = capsys.readouterr().err
            assert ended.value.code in (1, 2), (name, damage)
            assert f"error: {name}" in said, (damage, said)


def test_a_missing_case_table_is_an_error_and_not_an_empty_repository(closed: Path) -> None:
    """It was taken for a new repository: exit code 0, and the advice to add cases."""
    with contextlib.chdir(closed):
        kept = Path("data/cases.csv").read_bytes()
        Path("data/cases.csv").unlink()
        try:
            for command in ("round status", "cases list", "score tune", "filter fit", "trace case0"):
                code, said = call(command)
                assert code == 1, (command, said)
                assert "data/cases.csv" in said
                assert "`git restore data/cases.csv`" in said
                assert "voxledger cases add" not in said
            git("rm", "--quiet", "--cached", "data/cases.csv")
            code, said = call("round status")
            assert code == 1
            assert "data/cases.csv is missing, though the ledger has 4 cases" in said
            assert "`git restore --source COMMIT^ data/cases.csv`" in said
        finally:
            Path("data/cases.csv").write_bytes(kept)
            git("add", "data/cases.csv")
        assert call("round status")[0] == 0


def test_a_missing_ledger_is_an_error_and_not_an_empty_one(closed: Path) -> None:
    """Every label would have counted as made by nobody."""
    with contextlib.chdir(closed):
        kept = Path("data/base/ledger.csv").read_bytes()
        Path("data/base/ledger.csv").unlink()
        try:
            code, said = call("filter fit")
            assert code == 1
            assert "`git restore data/base/ledger.csv`" in said
        finally:
            Path("data/base/ledger.csv").write_bytes(kept)


def test_without_git_the_commands_say_so(closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with contextlib.chdir(closed):
        for command in ("round status", "trace case0", "diff round-00 round-00", "verify round-00", "init ../new"):
            code, said = call(command)
            assert code == 1, (command, said)
            assert "git is not installed, or not in a folder of PATH" in said, (command, said)
    assert not (closed.parent / "new").exists()


def test_a_zip_into_a_missing_folder_is_misuse(closed: Path) -> None:
    with contextlib.chdir(closed):
        code, said = call("review zip ann -o nowhere/ann.zip")
        assert code == 2
        assert "nowhere is not a folder" in said
        assert not Path("nowhere").exists()
