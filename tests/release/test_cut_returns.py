"""Returns without some of their cases, of a round that was really exported, returned and imported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_round import Repo, anatomy, repo, template

from voxledger.records.bundle import MANIFEST, content_sha256, read_manifest, returned_files
from voxledger.records.decisions import read_decisions
from voxledger.release.cut_returns import cut_all, cut_late, cut_where_it_lies, put_in_place
from voxledger.release.files_check import Findings
from voxledger.release.readings_check import kept_returns

__all__ = ["repo", "template"]
REVISIONS = Path("data/release/revisions")


@pytest.fixture
def returned(repo: Repo) -> str:
    """Ann read two cases, and revised them; the hash of her return."""
    repo.export(*((c, name, "ann") for c in ("case_2", "case_3") for name in ("pancreas", "lesion")))
    revised = {"pancreas": "revise", "lesion": "revise"}
    changed = {c: anatomy(0) for c in ("case_2", "case_3")}
    repo.give_back("ann", changed, case_2=revised, case_3=revised)
    repo.gate()
    repo.take_in()
    (folder,) = REVISIONS.iterdir()
    return folder.name


def names() -> set[str]:
    return {path.name for path in REVISIONS.iterdir()}


def test_what_is_left_is_a_return_under_the_hash_of_what_is_left(returned: str) -> None:
    label = (REVISIONS / returned / "labels/case_3.nii.gz").read_bytes()
    before = read_decisions(REVISIONS / returned / "decisions.csv").rows
    made = cut_all(REVISIONS, {"case_2"})
    assert made.keys() == {returned}
    put_in_place(REVISIONS, {"case_2"}, made)
    assert names() == set(made.values())
    folder = REVISIONS / made[returned]
    sent = read_manifest((folder / MANIFEST).read_bytes(), "it")
    assert (sent.cases, {a.case_id for a in sent.asked}, sent.masks.keys()) == (["case_3"], {"case_3"}, {"case_3"})
    assert content_sha256(sent.id, returned_files(folder)) == folder.name
    assert read_decisions(folder / "decisions.csv").rows == {k: r for k, r in before.items() if k[0] == "case_3"}
    assert (folder / "labels/case_3.nii.gz").read_bytes() == label
    assert not any(b"case_2" in p.read_bytes() or "case_2" in p.name for p in folder.rglob("*") if p.is_file())
    found = Findings()
    assert kept_returns(found).keys() == {folder.name}
    assert found.problems == []


def test_a_return_of_nobody_else_goes(returned: str) -> None:
    made = cut_all(REVISIONS, {"case_2", "case_3"})
    assert made == {}
    put_in_place(REVISIONS, {"case_2", "case_3"}, made)
    assert names() == set()


def test_others_are_not_touched(returned: str) -> None:
    assert cut_all(REVISIONS, {"case_1", "case"}) == {}
    put_in_place(REVISIONS, {"case_1", "case"}, {})
    assert names() == {returned}


def test_what_a_killed_call_left_is_made_anew(returned: str) -> None:
    first = cut_all(REVISIONS, {"case_2"})
    (REVISIONS / f".cut-{returned}/decisions.csv").unlink()
    made = cut_all(REVISIONS, {"case_2"})
    assert made == first
    (REVISIONS / f".cut-{returned}").rename(REVISIONS / made[returned])  # killed before the return went
    made = cut_all(REVISIONS, {"case_2"})
    put_in_place(REVISIONS, {"case_2"}, made)
    assert names() == set(first.values())


def test_nothing_that_came_along_of_them_stays(returned: str) -> None:
    """As in a folder that was sent back whole."""
    folder, kept = Path("data/late/whole"), {"images/case_3.nii.gz", "attention/case_3_heat.nii.gz", "README.md"}
    shutil.copytree(REVISIONS / returned, folder)
    gone = {"images/case_2.nii.gz", "attention/case_2_heat.nii.gz", "weak/case_2.nii.gz", "review.json"}
    for path in (*kept, *gone):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("case_2 and case_3" if path == "review.json" else "")
    (left,) = cut_late(folder.parent, {"case_2"}).values()
    there = {p.relative_to(folder.parent / left).as_posix() for p in (folder.parent / left).rglob("*")}
    assert kept <= there
    assert not there & gone


def test_a_late_return_is_called_after_the_hash_of_what_is_left(returned: str) -> None:
    late, whole = Path("data/late"), f"bundle-r01-ann-{returned[:12]}"
    shutil.copytree(REVISIONS / returned, late / whole)
    (late / ".gitignore").write_text("*\n")
    left = cut_all(REVISIONS, {"case_2"})[returned]
    for _ in range(2):  # as if it came again
        assert cut_late(late, {"case_2"}) == {whole: f"bundle-r01-ann-{left[:12]}"}
        assert {p.name for p in late.glob("[!.]*")} == {f"bundle-r01-ann-{left[:12]}"}
        shutil.copytree(REVISIONS / returned, late / whole)
    assert cut_late(late, {"case_2", "case_3"}) == {}
    assert not list(late.glob("[!.]*"))


def test_one_that_is_not_kept_yet_is_cut_where_it_lies(returned: str) -> None:
    folder = Path("data/inbox/bundle-.receiving-x")
    shutil.copytree(REVISIONS / returned, folder)
    before = {path.name for path in folder.parent.iterdir()}
    left = cut_where_it_lies(folder, {"case_2"})
    assert {path.name for path in folder.parent.iterdir()} == before
    assert left == read_manifest((folder / MANIFEST).read_bytes(), "it")
    assert content_sha256(left.id, returned_files(folder)) == cut_all(REVISIONS, {"case_2"})[returned]
    assert not any(b"case_2" in p.read_bytes() or "case_2" in p.name for p in folder.rglob("*") if p.is_file())
