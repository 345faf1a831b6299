"""What labels.yaml has on record, against the version before."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run

from voxledger.cases.check import require_record
from voxledger.errors import Misuse
from voxledger.release.classes import rename
from voxledger.schema import read_schema

HEAD = """\
name: abdomen
classes:
  - {id: 1, name: organ}
"""
LESION = "  - {id: 2, name: lesion, inside: organ}\n"
RENAMED = "  - {id: 2, name: lesion, inside: organ, formerly: [{name: mass, round: 1, date: 2025-05-01}]}\n"
RETIRED = "retired:\n  - {id: 3, name: cyst, round: 1, date: 2025-05-01, reason: too few}\n"


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round 1 is closed with a class of two names and a retired one; round 2 is open."""
    monkeypatch.chdir(tmp_path)
    run("git", "init", "--quiet")
    Path(".dvc").mkdir()
    Path("dvc.yaml").touch()
    Path("data/base").mkdir(parents=True)
    Path("params.yaml").write_text("dataset: one\nround: 1\n")
    Path("labels.yaml").write_text(HEAD + RENAMED + RETIRED)
    run("git", "add", ".")
    run("git", "commit", "--quiet", "--message", "one")
    run("git", "tag", "round-01")
    Path("params.yaml").write_text("dataset: one\nround: 2\n")


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (HEAD + RENAMED, "cyst (id 3)"),
        (HEAD + RENAMED + "  - {id: 3, name: duct}\n", "cyst (id 3)"),
        (HEAD + LESION + RETIRED, "lesion (id 2)"),
        (HEAD + RETIRED, "lesion (id 2)"),
        (HEAD + RENAMED.replace("id: 2", "id: 4") + RETIRED, "lesion (id 2)"),
        (HEAD.replace("organ", "gland") + RENAMED.replace("organ", "gland") + RETIRED, "organ (id 1)"),
        (HEAD, "lesion (id 2), cyst (id 3)"),
    ],
)
def test_a_record_that_was_removed_by_hand_is_asked_for(text: str, gone: str) -> None:
    """The id of a retired class could be given to another one, and older versions were misread."""
    Path("labels.yaml").write_text(text)
    with pytest.raises(Misuse) as caught:
        require_record(read_schema("labels.yaml"), 2)
    assert f"what became of {gone}, which it has at round-01" in caught.value.problem
    assert "git show round-01:labels.yaml" in caught.value.remedy


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    "text",
    [
        HEAD + RENAMED + RETIRED,
        HEAD + RENAMED + "  - {id: 7, name: duct}\n" + RETIRED,
        HEAD
        + RENAMED.replace("[", "[{name: tumour, round: 2, date: 2025-06-01}, ")
        .replace("lesion,", "pdac,")
        .replace("tumour", "lesion")
        + RETIRED,
        HEAD
        + "retired:\n  - "
        + RENAMED.strip(" -\n").replace("}]}", "}], round: 2, date: 2025-06-01, reason: x}")
        + "\n"
        + RETIRED.removeprefix("retired:\n"),
    ],
    ids=["the same", "a new class", "renamed", "retired"],
)
def test_what_is_on_record_is_enough(text: str) -> None:
    Path("labels.yaml").write_text(text)
    require_record(read_schema("labels.yaml"), 2)


@pytest.mark.usefixtures("closed")
def test_before_any_version_there_is_nothing_to_keep() -> None:
    Path("labels.yaml").write_text(HEAD)
    require_record(read_schema("labels.yaml"), 1)


@pytest.mark.usefixtures("closed")
def test_a_rename_that_is_taken_back_leaves_the_record_as_it_was() -> None:
    """The record said round 2 of a class that was renamed in round 1."""
    before = read_schema("labels.yaml")["lesion"].formerly
    rename("lesion", "mass")
    assert [(f.name, f.round) for f in read_schema("labels.yaml")["mass"].formerly] == [("lesion", 2)]
    rename("mass", "lesion")
    assert read_schema("labels.yaml")["lesion"].formerly == before
