"""A repository of an older voxledger, with closed rounds and bundles out: it opens, traces, diffs, verifies, goes on.

`v1/make.py` made it, see `v1/README.md`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import output, run

V1 = Path(__file__).parent / "v1"


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the git and DVC remotes, and `repo`: a clone with all its data, at the third round."""
    root = tmp_path_factory.mktemp("v1")
    shutil.unpack_archive(V1 / "repository.tar.xz", root)
    run("git", "clone", "--quiet", "--bare", str(root / "history.bundle"), str(root / "hub.git"))
    clone(root, "repo", "main")
    return root


def clone(root: Path, name: str, revision: str) -> Path:
    """A clone of the old repository at a branch or tag, with its data."""
    run("git", "clone", "--quiet", "--branch", revision, str(root / "hub.git"), str(root / name))
    with contextlib.chdir(root / name):
        run("dvc", "remote", "modify", "--local", "store", "url", str(root / "store"))
        run("dvc", "pull", "--quiet", "--allow-missing")
    return root / name


def traced(*arguments: str) -> dict[str, Any]:
    chain: dict[str, Any] = json.loads(output("voxledger", "trace", *arguments, "--json"))
    return chain


def of_class(chain: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in chain["classes"] if c["class"] == name)


@pytest.mark.parametrize("tag", [pytest.param("round-00", marks=pytest.mark.slow), "round-01"])
def test_its_versions_verify(v1: Path, tag: str) -> None:
    with contextlib.chdir(clone(v1, tag, tag)):
        verdict = json.loads(output("voxledger", "verify", tag, "--allowed-signers", str(V1 / "signers"), "--json"))
    assert verdict["problems"] == verdict["missing"] == []
    assert (verdict["signer"], verdict["tag_signature"], verdict["masks"]) == ("curator", "good", 20)


def test_its_versions_are_compared(v1: Path) -> None:
    with contextlib.chdir(v1 / "repo"):
        found = json.loads(output("voxledger", "diff", "round-00", "round-01", "--json"))
    assert [
        (c["case_id"], c["class_name"], c["voxels_added"], c["origin_before"], c["origin_after"], c["by"])
        for c in found
    ] == [
        ("case4", "organ", 24, "predicted", "revised", "ann"),
        ("case4", "tumour", 4, "predicted", "revised", "ann"),
        ("case6", "organ", 20, "predicted", "revised", "ben"),
        ("case6", "tumour", 4, "predicted", "revised", "ben"),
    ]


def test_its_masks_are_traced_at_old_tags_too(v1: Path) -> None:
    with contextlib.chdir(v1 / "repo"):
        now = of_class(traced("case4", "--class", "tumour"), "tumour")
        before = of_class(traced("case3", "--at", "round-00"), "lesion")
        site = traced("case8", "--at", "round-01")["case"]
    assert (now["reviewer"], now["decision"]["decision"]) == ("ann", "revise")
    assert [(s["first_in"], s["class"], s["origin"]) for s in now["history"]] == [("round-00", "lesion", "predicted")]
    assert (before["reviewer"], before["decision"]["decision"], before["history"]) == ("ann", "revise", [])
    assert (site["source"], site["split"]) == ("site-b", "external")


def test_it_waits_for_people_and_is_not_changed_under_them(v1: Path) -> None:
    with contextlib.chdir(v1 / "repo"):
        assert json.loads(output("voxledger", "round", "status", "--json"))["state"] == "waiting"
        assert "bundle-r02-ann: away" in run("voxledger", "review", "status", accept=(3,))
        assert "bundles of round 2 are out" in run("voxledger", "upgrade", accept=(1,))
        assert output("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_its_next_round_is_opened_and_run_after_an_upgrade(v1: Path) -> None:
    """The new version stands beside the old ones: what it says of them is the same."""
    with contextlib.chdir(clone(v1, "next", "main")):
        run("git", "reset", "--quiet", "--hard", "round-01")
        run("dvc", "pull", "--quiet", "--force", "--allow-missing")
        run("voxledger", "round", "open")
        assert "voxledger upgrade" in run("voxledger", "round", "run", accept=(1, 2))
        run("voxledger", "upgrade")
        assert json.loads(Path("data/format.json").read_text())["cases"] == 2
        run("voxledger", "round", "run", accept=(3,))
        run("voxledger", "review", "emulate", "--reference", "data/base/labels", "--inbox", "../back")
        for bundle in sorted(Path("../back").iterdir()):
            run("voxledger", "review", "receive", str(bundle))
        run("voxledger", "round", "run")
        run("voxledger", "round", "close", "--no-push")
        assert traced("case4", "--at", "round-02")["case"]["source"] == "unspecified"
        assert of_class(traced("case3", "--at", "round-00"), "lesion")["reviewer"] == "ann"
        decided = json.loads(output("voxledger", "diff", "round-01", "round-02", "--json"))
        assert decided
        assert {c["voxels_added"] for c in decided} == {0}
        run("voxledger", "verify", "round-02")
