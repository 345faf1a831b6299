"""The demo: weak labels of its phantoms become masks, and its report says from what and how they fared."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from voxledger import layout
from voxledger.cli import demo
from voxledger.cli.main import cli
from voxledger.records.cases import Split, read_cases
from voxledger.records.ledger import read_ledger
from voxledger.weak.decisions import read_weak_decisions


def test_without_nninteractive_it_says_what_to_install_before_it_makes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nnInteractive", None)
    result = CliRunner().invoke(cli, ["demo", str(tmp_path / "demo")])
    assert result.exit_code == 2, (result.output, result.exception)
    assert "pip install 'voxledger[interactive]'" in result.output
    assert not (tmp_path / "demo").exists()


def test_where_git_does_not_know_whose_commits_these_are_it_says_so_before_it_makes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{part}_{what}", raising=False)
    (tmp_path / "config").write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["demo", "demo"])
    assert result.exit_code == 2, (result.output, result.exception)
    assert "git config --global user.name" in result.output
    assert not (tmp_path / "demo").exists()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse phantoms, and models that have hardly learned."""
    parameters = copy.deepcopy(demo.PARAMETERS)
    for model in parameters["retrain"]["models"].values():
        model["iterations"] = 3
    monkeypatch.setattr(demo, "PARAMETERS", parameters)
    monkeypatch.setattr(demo, "PHANTOMS", ("--size", "small", *demo.PHANTOMS[2:]))


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_what_is_marked_is_predicted_from_its_mark_checked_and_counted_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.demo.callback is not None
    demo.demo.callback(folder=tmp_path / "demo", rounds=1)
    ledger = read_ledger(layout.RELEASE_LEDGER)
    kinds = {case: {mark.kind for mark in entry.weak} for (case, name), entry in ledger.items() if entry.weak}
    pool = {case.case_id for case in read_cases() if case.split is Split.POOL}
    assert kinds.keys() <= pool
    assert {kind for found in kinds.values() for kind in found} == {"slice_mask", "recist"}
    checked = read_weak_decisions(layout.WEAK_LOG)
    assert {one.case_id for one in checked} >= kinds.keys()
    assert any(not one.agrees for one in checked)
    report = layout.ROUND_REPORT.read_text("utf-8")
    assert "Masks from weak labels" in report
    for told in ("slice_mask (nifti)", "recist (json)", "organ model", "weak label disagrees"):
        assert told in report
