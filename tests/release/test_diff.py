"""`voxledger diff` where not all data of both versions is here."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import output, run
from ruamel.yaml import YAML

from voxledger.release import diff as module

from .conftest import Released


@pytest.fixture
def without_labels(released: Released, tmp_path: Path) -> Iterator[None]:
    """A copy of the repository, as the current folder; nobody has the listing of round-00's labels."""
    shutil.copytree(released.repository, tmp_path / "repo", symlinks=True)
    with contextlib.chdir(tmp_path / "repo"):
        lock = YAML(typ="safe").load(output("git", "show", "round-00:dvc.lock"))
        outs = lock["stages"]["import"]["outs"]
        digest = next(o["md5"] for o in outs if o["path"] == "data/release/labels")
        listing = Path("files/md5", digest[:2], digest[2:])
        Path(".dvc/cache", listing).unlink()
        shutil.move(released.root / "store" / listing, tmp_path / "listing")
        yield
        shutil.move(tmp_path / "listing", released.root / "store" / listing)


@pytest.mark.usefixtures("without_labels")
@pytest.mark.parametrize("tags", [("round-00", "round-01"), ("round-01", "round-00")])
def test_a_label_that_is_not_here_is_an_error_and_not_an_empty_mask(tags: tuple[str, str]) -> None:
    """`diff` said 0.00 ml, Dice 0.000 of masks that it could not read, with exit code 0."""
    said = run("voxledger", "diff", *tags, accept=(1,))
    assert "data/release/labels/case0.nii.gz of round-00 is neither in the cache nor on the remote" in said
    assert "dvc fetch --all-tags" in said


def test_millilitres_are_those_of_the_ledger(released: Released) -> None:
    changes = json.loads(output("voxledger", "diff", "round-00", "round-01", "--json", cwd=released.repository))
    assert [(c["case_id"], c["class_name"], c["kind"]) for c in changes] == [
        (f"case{n}", "organ", "changed") for n in range(3)
    ]
    for c in changes:
        assert (c["voxels_added"], c["voxels_removed"], c["ml_before"], c["ml_after"]) == (12, 0, 1.0, 1.0)
        assert c["dice"] == pytest.approx(2 * 36 / (36 + 48))


@pytest.mark.parametrize("tags", [("round-00", "round-01"), ("round-01", "round-00")])
def test_a_tag_that_is_not_here_is_fetched(released: Released, tags: tuple[str, str]) -> None:
    """In a shallow clone `diff` said that there was no labels.yaml at a tag that it did not have."""
    said = run("voxledger", "diff", *tags, accept=(2,), cwd=released.clone)
    assert "round-00 is not a version here" in said
    assert "`git fetch --tags`" in said


def test_several_processes_compare_the_same(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(released.repository)
    alone = module.diff("round-00", "round-01")
    monkeypatch.setattr(module, "WORTH_CASES", 1)
    monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    assert module.diff("round-00", "round-01") == alone
    assert len(alone) == 3
