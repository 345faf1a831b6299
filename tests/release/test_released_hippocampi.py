"""A release of real images, from the command line to the tools that others read it with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import output, parameters, run

from voxledger import layout
from voxledger.schema import read_schema

from .validators import bids_errors, compare_masks, crate_problems

LABELS = "name: hippocampus\nclasses:\n  - {id: 1, name: anterior}\n  - {id: 2, name: posterior}\n"


@pytest.mark.slow
def test_a_release_of_hippocampi(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(path.name for path in (shared_data / "hippocampus" / "images").iterdir())[:4]
    for folder, kind, known in (("images", "images", names), ("labels", "labels", names[:3]), ("all", "labels", names)):
        (tmp_path / folder).mkdir()
        for name in known:
            shutil.copyfile(shared_data / "hippocampus" / kind / name, tmp_path / folder / name)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "hippocampus")
    monkeypatch.chdir(tmp_path / "repo")
    layout.SCHEMA.write_text(LABELS)
    layout.DATASET_DESCRIPTION.write_text("mr_contrast: T1w\nurl: https://example.org\n")
    parameters(licence="CC-BY-4.0", export={"reviewers": ["ann"]})
    source = ("--source", "msd-task04", "--licence", "CC-BY-SA-4.0", "--modality", "MR")
    run("voxledger", "cases", "add", "../images", "--labels", "../labels", *source, "--split", "pool")
    declared = ("--id", "model-1", "--licence", "CC0-1.0")
    run("voxledger", "models", "add", "drawn", "--predictions", "../all", *declared)
    run("voxledger", "round", "run", accept=(3,))
    run("voxledger", "review", "emulate", "--reference", "../all")
    run("voxledger", "round", "run")
    said = run("voxledger", "round", "close", accept=(1,))
    assert "msd-task04 (source:msd-t) is under CC-BY-SA-4.0: not kept: the same licence" in said
    run("voxledger", "round", "licence", "msd-task04", "--reason", "written permission")
    said = run("voxledger", "round", "close")
    assert "dataset.yaml: consent" in said

    run("voxledger", "verify", "round-00")
    assert run("git", "status", "--porcelain") == ""
    told = json.loads(output("voxledger", "release", "describe", "--json"))
    assert set(told["files"]) <= set(output("git", "ls-files").split())
    shown = output("voxledger", "release", "describe", "croissant")
    assert shown == (layout.RELEASE / "croissant.json").read_text()
    assert "written permission" in (layout.RELEASE / "datasheet.md").read_text()
    schema = read_schema(layout.SCHEMA)
    assert compare_masks(layout.RELEASE / "croissant.json", schema) == (8, [])
    assert crate_problems(layout.RELEASE) == []

    run("voxledger", "release", "export", "../bids", "--format", "bids")
    assert bids_errors(tmp_path / "bids") == []
    assert bids_errors(tmp_path / "bids" / "derivatives" / "voxledger") == []
    run("voxledger", "release", "export", "../nifti")
    assert compare_masks(tmp_path / "nifti" / "croissant.json", schema) == (8, [])

    assert (told["version"], told["closed"]) == ("v0.0.0", True)
    assert "is open" not in run("voxledger", "release", "describe")
    assert "is not closed" not in (tmp_path / "nifti" / "datasheet.md").read_text()

    run("voxledger", "round", "open")
    assert not [name for name in told["files"] if Path(name).exists()]
    note = (
        "note: round 1 is open, and v1.0.0 is not closed: what is described may change; the version before is at "
        "`git checkout round-00 && dvc checkout`\n"
    )
    assert run("voxledger", "release", "describe").endswith(note)
    assert not json.loads(output("voxledger", "release", "describe", "--json"))["closed"]
    assert note in run("voxledger", "release", "export", "../early")
    assert "round 1 is open, and v1.0.0 is not closed" in (tmp_path / "early" / "datasheet.md").read_text()
