"""Who was withdrawn, and what the folder of keys forgets of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.records import pseudonyms
from voxledger.records.key_check import check_of, note_key
from voxledger.records.pseudonyms import TABLE, Pseudonyms, default_folder, open_pseudonyms
from voxledger.records.withdrawn import Withdrawn, cases_of, withdrawn_among, write_withdrawn

LINES = [("p-1", "PatientID", "Doe"), ("p-2", "PatientID", "Roe"), ("scan1", "SeriesInstanceUID", "1.2")]


@pytest.fixture
def key(folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Pseudonyms:
    """In the default place of the dataset `small`."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    Path("data").mkdir()
    return open_pseudonyms(default_folder("small"), folder)


def test_a_case_that_was_renamed_was_not_withdrawn(key: Pseudonyms) -> None:
    missing = {"scan1", "renamed"}
    assert withdrawn_among(missing, "small") == set()
    write_withdrawn([Withdrawn("w-1", (cases_of(key)("scan1"),), 1, "ann", "2026-01-01", "asked")])
    assert withdrawn_among(missing, "small") == missing  # a table of before: whose key this is nobody can tell
    note_key(key.key)
    assert withdrawn_among(missing, "small") == {"scan1"}
    assert withdrawn_among(missing, "elsewhere") == missing
    other = open_pseudonyms(default_folder("other"), Path("other"))
    assert check_of(other.key) != check_of(key.key)
    assert withdrawn_among(missing, "other") == missing


def test_whom_others_stand_for_is_never_lost(key: Pseudonyms, monkeypatch: pytest.MonkeyPatch) -> None:
    key.remember(LINES)
    table = key.folder / TABLE
    before = table.read_text()

    def killed(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pseudonyms, "replace_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            key.forget("p-1", {"scan1"})
    assert table.read_text() == before
    key.forget("p-1", {"scan1"})
    assert table.read_text() == "pseudonym,what,identity\np-2,PatientID,Roe\n"
