"""What is signed: a list that `sha256sum` writes and checks."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.signature import list_content, note_receipt, parse_list, parts_of, read_receipt

ZERO = "0" * 64


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for path in ("bundle.json", "decisions.csv", "labels/a.nii.gz", "labels/b/liver.nii.gz", "labels/.DS_Store"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    for path in (
        "README.md",
        "images/a.nii.gz",
        "resample.json",
        "receipt.json",
        "return.sha256",
        "signed-parts/01/bundle.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def test_the_list_is_of_what_the_reviewer_says_and_sha256sum_checks_it(bundle: Path) -> None:
    text = list_content(bundle)
    assert list(parse_list(text.encode())) == [
        "bundle.json", "decisions.csv", "labels/a.nii.gz", "labels/b/liver.nii.gz",
    ]  # fmt: skip
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet"], input=text.encode(), cwd=bundle, check=True)
    assert parse_list(text.encode()) == parse_list(list_content(bundle).replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{ZERO}  bundle.json\n{ZERO} bundle.json\n", "line 2 is not a SHA-256, two spaces and a path"),
        (f"{ZERO[1:]}  bundle.json\n", "line 1 is not"),
        (f"\\{ZERO}  labels/a\\nb\n", "line 1 is not"),
        (f"{ZERO}  bundle.json\n{ZERO} *./bundle.json\n", "line 2 names bundle.json a second time"),
        ("SHA256 (bundle.json) = 0\n", "line 1 is not"),
        (f"{ZERO}  labels/\x1b[2J.nii.gz\n", "line 1 is not"),
        (b"\xff\xfe", "codec can't decode"),
    ],
)
def test_a_list_that_is_none_is_named(content: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_list(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", [b"labels/a\nb.nii.gz", b"labels/\xff.nii.gz", b"labels/\x1b[2J.nii.gz"])
def test_a_name_that_no_line_can_hold_is_refused(bundle: Path, name: bytes) -> None:
    (bundle / os.fsdecode(name)).write_text("x")
    with pytest.raises(Misuse, match="has a name that no line can hold"):
        list_content(bundle)


def test_a_receipt_is_of_utc_to_the_second(tmp_path: Path) -> None:
    note_receipt(tmp_path, datetime.fromisoformat("2026-03-01T13:30:00.5+01:00"))
    assert read_receipt(tmp_path / "receipt.json") == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"at": 1e400}', '{"at": "2026-03-01T12:30:00"}', '{"at": "0001-01-01T00:00:00+23:00"}']
)
def test_a_damaged_receipt_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "receipt.json").write_text(text)
    with pytest.raises(VoxledgerError, match=r"receipt\.json cannot be read"):
        read_receipt(tmp_path / "receipt.json")


def test_a_return_is_its_own_only_part_unless_it_was_put_together() -> None:
    one = {"bundle.json": "1", "labels/a.nii.gz": "2"}
    assert parts_of(one) == {".": one}
    both = {
        **one,
        "signed-parts/02/bundle.json": "3",
        "signed-parts/01/labels/a.nii.gz": "4",
        "signed-parts/stray": "5",
    }
    assert parts_of(both) == {"signed-parts/01": {"labels/a.nii.gz": "4"}, "signed-parts/02": {"bundle.json": "3"}}
