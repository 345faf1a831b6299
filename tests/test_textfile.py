"""A damaged record names itself and what brings it back; `cli/test_records.py` does this with every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run

from voxledger.errors import VoxledgerError
from voxledger.records.card import parse_cards
from voxledger.records.cases import read_cases
from voxledger.records.history import read_history
from voxledger.records.ledger import Entry, Origin, read_ledger, write_ledger
from voxledger.release.environment import environment
from voxledger.repository import git
from voxledger.textfile import is_tracked, read_json, read_text, read_text_if_there, read_yaml, table

LEDGER = Path("data/base/ledger.csv")
ENTRY = Entry("c1", "organ", 0, Origin.SOURCE, (), "", "", "0" * 64, "", 12.5)


@pytest.fixture
def repository(folder: Path) -> Path:
    """A git repository with a ledger of one row."""
    write_ledger(LEDGER, {("c1", "organ"): ENTRY}, ["organ"])
    run("git", "init", "-q")
    run("git", "add", "--all")
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:-20],
        lambda content: content[:5],
        lambda content: content.replace(b"organ", b"org\xe4n"),
        lambda content: content.replace(b"12.5", b"twelve"),
        lambda content: content.replace(b"source", b"sauce"),
        lambda content: content.replace(b"organ,", b""),
        lambda content: content.replace(b"organ", b'"organ'),
        lambda content: bytes(range(256)),
        lambda content: b"\0" * 100,
    ],
)
def test_a_damaged_ledger_names_itself_and_what_brings_it_back(
    repository: Path, damage: Callable[[bytes], bytes]
) -> None:
    LEDGER.write_bytes(damage(LEDGER.read_bytes()))
    with pytest.raises(VoxledgerError, match=r"^data/base/ledger\.csv") as caught:
        read_ledger(LEDGER)
    assert caught.value.remedy == "run `git restore data/base/ledger.csv`"
    run("git", "restore", "data/base/ledger.csv")
    assert list(read_ledger(LEDGER).values()) == [ENTRY]


def test_what_git_knows_must_be_there_and_what_a_stage_makes_need_not(repository: Path) -> None:
    assert read_text_if_there("data/base/history.csv") is None
    assert read_history("data/base/history.csv") == []
    Path("reports").mkdir()
    Path("reports/metrics.json").write_text("{}")
    run("git", "add", "--all")
    Path("reports/metrics.json").unlink()
    assert read_text_if_there("reports/metrics.json") is None
    LEDGER.unlink()
    with pytest.raises(VoxledgerError, match="No such file"):
        read_ledger(LEDGER)
    LEDGER.mkdir()
    with pytest.raises(VoxledgerError, match="Is a directory"):
        read_ledger(LEDGER)


def test_a_missing_case_table_beside_a_ledger_is_an_error(repository: Path) -> None:
    """It was taken for an empty repository."""
    with pytest.raises(VoxledgerError, match=r"data/cases\.csv is missing, though the ledger has 1 cases") as caught:
        read_cases()
    assert caught.value.exit_code == 1
    write_ledger(LEDGER, {}, [])
    assert read_cases() == []
    Path("data/cases.csv").write_text("case_id\n")
    run("git", "add", "--all")
    Path("data/cases.csv").unlink()
    with pytest.raises(VoxledgerError, match=r"`git restore data/cases\.csv`"):
        read_cases()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"a": 1}', "\ufeff{}", "[" * 100_000])
def test_json_that_is_not_what_it_should_be(folder: Path, text: str) -> None:
    Path("x.json").write_text(text)
    with pytest.raises(VoxledgerError, match=r"^x\.json cannot be read"):
        read_json("x.json", "b")


@pytest.mark.parametrize("text", ["", "{", "- a\n", "a: 1\n", "a: \0\n", "a: {b\n", "\t"])
def test_yaml_that_is_not_what_it_should_be(folder: Path, text: str) -> None:
    Path("dvc.yaml").write_text(text)
    with pytest.raises(VoxledgerError, match=r"^dvc\.yaml cannot be read"):
        read_yaml("dvc.yaml", "stages")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "m"}]', '[{"id": 3}]'])
def test_what_is_no_list_of_cards(text: str) -> None:
    with pytest.raises(VoxledgerError, match=r"^models/base\.json cannot be read"):
        parse_cards(text, "models/base.json")


def test_quoted_commas_line_ends_and_blank_lines_are_no_damage() -> None:
    with table('a,b\r\n"1,\n2","say ""x"""\r\n\r\n3,\u2028\r\n', "x.csv", ("a",)) as rows:
        assert list(rows) == [{"a": "1,\n2", "b": 'say "x"'}, {"a": "3", "b": "\u2028"}]
        assert rows.fieldnames == ["a", "b"]


def test_what_dvc_or_a_run_brings_back_is_said(repository: Path) -> None:
    Path("models").mkdir()
    Path("models/base.dvc").touch()
    for path, remedy in (
        ("data/round/outlook.json", "run `voxledger round run`, which makes it again"),
        ("models/base/m/plans.json", "run `dvc checkout models/base`"),
        ("models/base.json", "restore it from a copy"),
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"\xff")
        with pytest.raises(VoxledgerError) as caught:
            read_text(path)
        assert caught.value.remedy == remedy
    run("git", "add", "data/round/outlook.json")
    with pytest.raises(VoxledgerError, match=r"run `git restore data/round/outlook\.json`, then `voxledger round run`"):
        read_text("data/round/outlook.json")


def test_what_leads_git_to_another_repository_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `GIT_DIR` in a hook of git does: files, and the commit of voxledger, were those of that repository."""
    for name in ("here", "other"):
        run("git", "init", "--quiet", name)
        (folder / name / f"{name}.txt").touch()
        run("git", "add", "--all", cwd=folder / name)
        run("git", "commit", "--quiet", "--message", name, cwd=folder / name)
    monkeypatch.chdir(folder / "here")
    made_with = environment()["voxledger"]
    monkeypatch.setenv("GIT_DIR", str(folder / "other/.git"))
    assert is_tracked("here.txt")
    assert not is_tracked("other.txt")
    assert git("log", "--format=%s").strip() == "here"
    assert environment()["voxledger"] == made_with
