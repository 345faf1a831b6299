"""The manifest of a bundle, and what identifies a return."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import BundleRefused
from voxledger.records.bundle import (
    FORMAT,
    MANIFEST,
    content_sha256,
    expected_bundles,
    make_manifest,
    read_manifest,
    returned_files,
)
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(name="one", classes=(LabelClass(id=1, name="organ"),))


def went_out(folder: Path, round_number: int, reviewer: str) -> Path:
    """A bundle without a case."""
    manifest = make_manifest(
        dataset="atlas",
        round=round_number,
        reviewer=reviewer,
        base_version="",
        model_ids=(),
        label_schema=SCHEMA,
        asked=(),
        voxels={},
        files={},
    )
    bundle = folder / manifest.name
    bundle.mkdir(parents=True)
    (bundle / MANIFEST).write_bytes(manifest.to_bytes())
    return bundle


@pytest.mark.parametrize(("number", "reviewers"), [(1, ["ann"]), (2, ["ann", "bob"]), (3, [])])
def test_bundles_of_other_rounds_are_passed_over_whatever_the_folder_is(
    folder: Path, number: int, reviewers: list[str]
) -> None:
    """Which round it was about stood in params.yaml of the current folder, that nobody had named."""
    (folder / "params.yaml").write_text("round: 7\n")
    for round_number, reviewer in ((2, "bob"), (1, "ann"), (2, "ann")):
        went_out(folder / "bundles", round_number, reviewer)
    found = expected_bundles(folder / "bundles", number)
    assert [manifest.reviewer for manifest in found.values()] == reviewers
    assert list(found) == sorted(found)


def test_no_folder_holds_no_bundles(folder: Path) -> None:
    assert expected_bundles(folder / "bundles", 1) == {}


def test_a_damaged_manifest_is_named(folder: Path) -> None:
    (went_out(folder / "bundles", 1, "ann") / MANIFEST).write_text("{}")
    with pytest.raises(BundleRefused, match="bundle-r01-ann is not what export wrote"):
        expected_bundles(folder / "bundles", 1)


def test_identity_of_a_return_is_that_of_decisions_and_labels_alone(folder: Path) -> None:
    bundle = went_out(folder, 1, "ann")
    for path, text in (("decisions.csv", "a"), ("labels/c.nii.gz", "b"), ("images/c.nii.gz", "c"), ("notes.txt", "d")):
        (bundle / path).parent.mkdir(exist_ok=True)
        (bundle / path).write_text(text)
    (bundle / "labels/folder").symlink_to(folder)
    files = returned_files(bundle)
    assert list(files) == ["decisions.csv", "labels/c.nii.gz"]
    one = content_sha256("x", files)
    assert one == content_sha256("x", {**files, "images/c.nii.gz": "0"})
    assert one != content_sha256("y", files)
    assert one != content_sha256("x", {**files, "decisions.csv": "0"})


SENT = make_manifest(
    dataset="atlas",
    round=1,
    reviewer="ann",
    base_version="0" * 64,
    model_ids=("m",),
    label_schema=LabelSchema(name="one", classes=(LabelClass(id=1, name="organ"),)),
    asked=(),
    voxels={"case": 10},
    files={},
)


def changed(**values: Any) -> bytes:
    return json.dumps({**json.loads(SENT.to_bytes()), **values}).encode()


def test_read_what_was_written() -> None:
    assert read_manifest(SENT.to_bytes(), "bundle.json") == SENT
    assert json.loads(SENT.to_bytes())["format"] == FORMAT


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed(format=FORMAT + 1, seals=["x"]), f"b/bundle.json has format {FORMAT + 1}, and this voxledger reads"),
        (changed(format="new"), "b/bundle.json cannot be read: its format is 'new'"),
        (changed(seals=["x"]), "b/bundle.json is not the manifest of a bundle: seals"),
        (changed(round=2), "b/bundle.json was altered"),
        (b"[1]", "b/bundle.json is not the manifest of a bundle"),
        (b"{", "b/bundle.json is not the manifest of a bundle"),
        (b"[" * 100_000, "b/bundle.json is not the manifest of a bundle"),
    ],
)
def test_what_it_is_not_is_refused_with_the_reason(content: bytes, problem: str) -> None:
    with pytest.raises(BundleRefused) as refused:
        read_manifest(content, "b/bundle.json")
    assert refused.value.problem.startswith(problem)


def test_a_bundle_that_went_out_in_format_1_comes_back_in_it() -> None:
    """Its id was a hash of what it said then, without masks by class."""
    schema: dict[str, Any] = {
        "name": "one",
        "classes": [{"id": 1, "name": "liver", "code": None, "color": None, "inside": None}],
    }
    schema["classes"][0] |= {"lesion": False, "may_overlap": []}
    values = {
        "format": 1, "dataset": "atlas", "round": 3, "reviewer": "ann", "base_version": "0" * 64, "model_ids": [],
        "label_schema": schema, "asked": [{"case_id": "c", "class_name": "liver"}], "voxels": {"c": 8}, "files": {},
    }  # fmt: skip
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    manifest = read_manifest(json.dumps({**values, "id": digest}).encode(), "bundle.json")
    assert (manifest.format, manifest.masks) == (1, {})
    assert json.loads(manifest.to_bytes()) == {**values, "id": digest}
    with pytest.raises(BundleRefused, match="was altered"):
        read_manifest(json.dumps({**values, "id": digest, "masks": {"c": {"liver": "x"}}}).encode(), "bundle.json")
