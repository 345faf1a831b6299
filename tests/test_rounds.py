"""Two rounds through the real git, DVC and command line, and what auditors ask afterwards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from scipy import ndimage

from voxledger.cli.demo import set_parameters
from voxledger.evaluate.history import read_audits
from voxledger.imaging.volume import Grid, write

GRID = Grid((16, 24, 20), (3.0, 1.5, 1.5), (5.0, -40.0, 12.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
LABELS = """\
name: two
classes:
  - {id: 1, name: organ}
  - {id: 2, name: lesion, inside: organ, lesion: true}
  - {id: 3, name: neighbour}
"""


def reference(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    z, y, x = 4 + rng.integers(0, 3), 4 + rng.integers(0, 3), 3 + rng.integers(0, 3)
    labels[z : z + 7, y : y + 9, x : x + 8] = 1
    labels[z + 2 : z + 5, y + 3 : y + 6, x + 2 : x + 5] = 2
    labels[z : z + 6, y + 10 : y + 14, x : x + 6] = 3
    return labels


def scan(labels: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 20, GRID.shape)
    return (np.array([-100, 60, 10, 200])[labels] + noise).astype(np.int16)


def guess(labels: np.ndarray, model: int, seed: int) -> np.ndarray:
    """What an imperfect model says: some organs a voxel too large or too small, some lesions missed."""
    wrong = labels.copy()
    if (seed + model) % 3 == 0:
        wrong[ndimage.binary_dilation(labels > 0, iterations=2) & (labels == 0)] = 1
    if (seed + model) % 4 == 1:
        wrong[labels == 2] = 1
    return wrong


def refuse_changes_while_bundles_are_out(root: Path) -> None:
    """What would make the bundles anew is refused: returns would no longer fit."""
    assert "bundles of round" in run("voxledger", "cases", "add", str(root / "images"), accept=(1,))
    before = Path("params.yaml").read_text()
    set_parameters({"score": {"budget": 3}})
    assert "params.yaml" in run("voxledger", "round", "run", accept=(1,))
    Path("params.yaml").write_text(before)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with rounds 0 and 1 closed; round 1 is at HEAD."""
    root = tmp_path_factory.mktemp("rounds")
    for n in range(9):
        labels = reference(n)
        write(root / f"images/case{n}.nii.gz", scan(labels, n), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        if n < 4:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
        for model in (1, 2):
            write(root / f"model{model}/case{n}.nii.gz", guess(labels, model, n), GRID)
    before = Path.cwd()
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    os.chdir(root / "repo")
    Path("labels.yaml").write_text(LABELS)
    lesions = [{"rule": "inside_organ", "classes": ["lesion"]}]
    parameters(score={"budget": 2, "audit": 1}, export={"reviewers": ["ann", "ben"]}, filter={"rules": lesions})
    run("dvc", "remote", "add", "--default", "store", str(root / "store"))
    key = root / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), "-C", "curator")
    (root / "signers").write_text(f"curator {(root / 'key.pub').read_text()}")
    for name, value in (("gpg.format", "ssh"), ("user.signingkey", str(key))):
        run("git", "config", name, value)
    run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"), "--source", "made")
    for model in (1, 2):
        declared = ("--id", f"model-{model}", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", f"m{model}", "--predictions", str(root / f"model{model}"), *declared)
    for number in range(2):
        if number:
            run("voxledger", "round", "open")
        waiting = run("voxledger", "round", "run", accept=(3,))
        assert "ann" in waiting
        assert "ben" in waiting
        refuse_changes_while_bundles_are_out(root)
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"))
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
    yield root
    os.chdir(before)


@pytest.fixture
def clone(played: Path, tmp_path: Path) -> Path:
    """A fresh shallow clone of round 1 with its data."""
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-01", f"file://{played / 'repo'}", str(tmp_path / "c"))
    run("dvc", "pull", cwd=tmp_path / "c")
    return tmp_path / "c"


def test_a_finished_round_has_nothing_left_to_do(played: Path) -> None:
    assert "up to date" in run("dvc", "repro")
    assert run("git", "status", "--porcelain") == ""
    assert json.loads(output("voxledger", "round", "status", "--json"))["state"] == "closed"


def test_audits_go_on_from_round_to_round(played: Path) -> None:
    """The history holds the audit of each round, and the last one's report counts them together."""
    kept = read_audits("reports/history.csv")
    assert [audit.round for audit in kept] == [0, 1]
    assert kept[0] == read_audits("data/base/history.csv")[0]
    assert kept[0].cases == 1
    assert kept[0].population == kept[1].population != ""
    metrics = json.loads(Path("reports/attention.json").read_text())
    together = [audit for audit in kept if audit.cases] if kept[1].cases else []
    assert metrics["audit"]["pooled"]["cases"] == sum(audit.cases for audit in together)


def test_a_round_repeats_bit_for_bit(clone: Path) -> None:
    run("dvc", "repro", "--force", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_verify_passes_in_a_fresh_clone(clone: Path, played: Path) -> None:
    signers = str(played / "signers")
    verdict = json.loads(output("voxledger", "verify", "round-01", "--allowed-signers", signers, "--json", cwd=clone))
    assert verdict["intact"]
    assert verdict["signer"] == "curator"
    assert verdict["tag_signature"] == "good"
    assert verdict["masks"] >= 27


@pytest.mark.parametrize(
    "name",
    [
        "data/release/labels/case5.nii.gz",
        "data/release/ledger.csv",
        "data/release/manifest.json",
        "models/next/m1/model.json",
        "data/cases.csv",
        "params.yaml",
        "data/images/case3.nii.gz",
        "data/base/ledger.csv",
        "data/inbox/bundle-r01-ann/decisions.csv",
        "data/round/filter.csv",
        "reports/round.html",
        ".gitignore",
    ],
)
def test_verify_names_an_altered_file(clone: Path, name: str) -> None:
    path = clone / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    assert f"problem: {name}" in run("voxledger", "verify", "round-01", accept=(1,), cwd=clone)


def test_verify_names_missing_and_extra_files(clone: Path) -> None:
    (clone / "data/release/labels/case5.nii.gz").unlink()
    assert "INCOMPLETE" in run("voxledger", "verify", "round-01", accept=(4,), cwd=clone)
    shutil.copyfile(clone / "data/release/labels/case4.nii.gz", clone / "data/release/labels/case99.nii.gz")
    said = run("voxledger", "verify", "round-01", accept=(1,), cwd=clone)
    assert "missing: data/release/labels/case5.nii.gz" in said
    assert "problem: data/release/labels/case99.nii.gz: not part" in said


def test_verify_does_not_trust_a_stranger(clone: Path, tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    (tmp_path / "signers").write_text(f"curator {(tmp_path / 'other.pub').read_text()}")
    command = ("voxledger", "verify", "round-01", "--allowed-signers", str(tmp_path / "signers"))
    assert "not signed by anybody" in run(*command, accept=(1,), cwd=clone)


def test_every_label_traces_to_a_person_or_a_model(played: Path) -> None:
    decisions = Path("data/round/decisions.csv").read_text()
    seen = set()
    for n in range(9):
        chain = json.loads(output("voxledger", "trace", f"case{n}", "--at", "round-01", "--json"))
        assert chain["case"]["source"] == "made"
        for entry in chain["classes"]:
            seen.add(entry["origin"])
            if entry["origin"] == "source":
                assert n < 4
                assert entry["model_ids"] == []
            else:
                assert entry["model_ids"] == ["model-1", "model-2"]
            if entry["origin"] in ("accepted", "revised"):
                assert entry["reviewer"] in ("ann", "ben")
                assert entry["decision"]["bundle"] == entry["bundle"]
                if entry["version"] == 1:
                    assert f"case{n},{entry['class']}" in decisions
        if any(entry["model_ids"] for entry in chain["classes"]):
            assert {model["id"] for model in chain["models"]} == {"model-1", "model-2"}
    assert {"source", "revised"} <= seen


def test_diff_says_what_changed_and_who(played: Path) -> None:
    changes = json.loads(output("voxledger", "diff", "round-00", "round-01", "--json"))
    assert changes
    for change in changes:
        assert change["by"] in ("ann", "ben")
        if change["kind"] == "decided":
            assert change["voxels_added"] == change["voxels_removed"] == 0
        else:
            assert change["voxels_added"] + change["voxels_removed"] > 0
            assert change["dice"] is None or change["dice"] < 1
    assert "nothing changed" in run("voxledger", "diff", "round-01", "round-01")


def test_trace_of_an_unknown_case_is_misuse(played: Path) -> None:
    assert "nobody is not in the ledger" in run("voxledger", "trace", "nobody", accept=(2,))
    assert "is not a tag here" in run("voxledger", "verify", "round-77", accept=(2,))
    assert "is not a version here" in run("voxledger", "trace", "case1", "--at", "round-77", accept=(2,))


def test_the_manifest_says_when_and_with_what_the_round_was_made(played: Path) -> None:
    said = json.loads(Path("data/release/manifest.json").read_text())
    receipts = said["times"]["receipts"]
    assert sorted(receipts) == ["bundle-r01-ann", "bundle-r01-ben"]
    came = sorted(r["at"] for rs in receipts.values() for r in rs)
    assert len(came) == 2
    moments = [said["times"]["first_export"], *came, said["ran"]["at"], said["closed"]["at"]]
    assert moments == sorted(moments)
    assert said["ran"]["environment"] == said["closed"]["environment"]
    earlier = json.loads(output("git", "show", "round-00:data/release/manifest.json"))
    assert sorted(earlier["times"]["receipts"]) == ["bundle-r00-ann", "bundle-r00-ben"]
    assert not list(Path("data/times").glob("*r00*"))


def test_the_version_can_be_got_by_name(played: Path, tmp_path: Path) -> None:
    got = tmp_path / "got"
    run("dvc", "artifacts", "get", str(played / "repo"), "two", "--rev", "v1.0.0", "-o", str(got))
    assert (got / "ledger.csv").read_bytes() == Path("data/release/ledger.csv").read_bytes()
    assert len(list((got / "labels").iterdir())) == 9


def test_a_stranger_is_not_published_and_a_half_close_is_mended(clone: Path) -> None:
    for tag in ("round-01", "two@v1.0.0"):
        run("git", "tag", "-d", tag, accept=(0, 1), cwd=clone)
    run("dvc", "repro", cwd=clone)  # predictions are not on the remote
    (clone / "patients.txt").write_text("Jane Doe")
    assert "patients.txt" in run("voxledger", "round", "close", "--no-push", accept=(1,), cwd=clone)
    (clone / "patients.txt").unlink()
    before = output("git", "rev-parse", "HEAD", cwd=clone)
    assert "two@v1.0.0" in run("voxledger", "round", "close", "--no-push", cwd=clone)
    assert output("git", "rev-parse", "HEAD", cwd=clone) == before
    assert output("git", "tag", cwd=clone).split() == ["round-01", "two@v1.0.0"]


def test_a_round_is_not_opened_without_its_data(clone: Path) -> None:
    shutil.rmtree(clone / "data/release/labels")
    assert "dvc pull" in run("voxledger", "round", "open", accept=(1,), cwd=clone)
    assert (clone / "data/base/labels").is_dir()


def test_a_closed_round_takes_nothing_in(played: Path) -> None:
    assert "round 1 is closed" in run("voxledger", "round", "run", accept=(1,))
    assert "round 1 is closed" in run("voxledger", "cases", "add", str(played / "images"), accept=(1,))
