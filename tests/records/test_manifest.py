"""The manifest of a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.manifest import FORMAT, Manifest, read_manifest, write_manifest

MANIFEST = Manifest(
    "atlas",
    3,
    "v3.0.0",
    {"data/é.csv": "0" * 64},
    closed={"at": "2026-01-01T00:00:00+00:00", "environment": {}},
    ran=None,
    times={"first_export": None, "receipts": {}},
)
OLD = {"dataset": "atlas", "round": 3, "version": "v3.0.0", "files": {"data/a": "0" * 64}}


def test_read_what_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.json", MANIFEST)
    content = (tmp_path / "manifest.json").read_bytes()
    assert read_manifest(content) == MANIFEST
    assert json.loads(content)["format"] == FORMAT
    assert "data/é.csv".encode() in content
    assert MANIFEST.tags == ("round-03", "atlas@v3.0.0")


@pytest.mark.parametrize(
    ("values", "folders"),
    [(OLD, ()), (OLD | {"folders": ["stages"]}, ("stages",)), (OLD | {"format": 1}, ()), (OLD | {"format": 2}, None)],
)
def test_only_the_first_format_lists_some_files(values: dict[str, Any], folders: tuple[str, ...] | None) -> None:
    assert read_manifest(json.dumps(values).encode()).listed_folders == folders


def test_a_newer_format_is_told_from_damage() -> None:
    with pytest.raises(Misuse, match=r"data/release/manifest\.json has format 3") as newer:
        read_manifest(json.dumps({"format": 3, "everything": "else"}).encode())
    assert "update voxledger" in newer.value.remedy


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b"{}", json.dumps(OLD | {"round": "x"}).encode(), b"\xff"])
def test_damage_is_named(content: bytes) -> None:
    with pytest.raises(VoxledgerError, match=r"data/release/manifest\.json is damaged"):
        read_manifest(content)
