"""Rounds that two people read, through the real git, DVC and command line; what they disagree on is adjudicated."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from ruamel.yaml import YAML
from scipy import ndimage

from voxledger.cli.demo import set_parameters
from voxledger.imaging.volume import Grid, file_sha256, read_label, write
from voxledger.records.readings import Outcome, joint_bundle, read_readings

pytestmark = pytest.mark.slow

GRID = Grid((16, 24, 20), (3.0, 1.5, 1.5), (5.0, -40.0, 12.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
LABELS = """\
name: two
classes:
  - {id: 1, name: organ}
  - {id: 2, name: lesion, inside: organ, lesion: true}
  - {id: 3, name: neighbour}
"""
WRONG, LATER = "case5", "case6"
"""Of these cases two readers draw the neighbour differently; the first is read in round 0, the other in round 1."""
BUNDLE = Path("data/round/adjudication/bundle-r00-zoe")


def reference(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    z, y, x = 4 + rng.integers(0, 3), 4 + rng.integers(0, 3), 3 + rng.integers(0, 3)
    labels[z : z + 7, y : y + 9, x : x + 8] = 1
    labels[z + 2 : z + 5, y + 3 : y + 6, x + 2 : x + 5] = 2
    labels[z : z + 6, y + 10 : y + 14, x : x + 6] = 3
    return labels


def otherwise(labels: np.ndarray) -> np.ndarray:
    """What a second reader draws: the neighbour two voxels wider."""
    wide = labels.copy()
    wide[ndimage.binary_dilation(labels == 3, iterations=2) & (labels == 0)] = 3
    return wide


def make(root: Path) -> None:
    """Eight cases, of which four are labelled; what two readers make of the others, and two models."""
    for n in range(8):
        labels = reference(n)
        noise = np.random.default_rng(n).normal(0, 20, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (np.array([-100, 60, 10, 200])[labels] + noise).astype(np.int16), GRID)
        write(root / f"ann/case{n}.nii.gz", labels, GRID)
        own = otherwise(labels) if f"case{n}" in (WRONG, LATER) else labels
        write(root / f"ben/case{n}.nii.gz", own, GRID)
        if n < 4:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
        for model in (1, 2):
            write(root / f"model{model}/case{n}.nii.gz", np.where((labels == 3) & (n > 4), 0, labels), GRID)


def begin(root: Path) -> str:
    """A repository whose round 0 waits for the adjudicator; what `round run` says there."""
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    os.chdir(root / "repo")
    Path("labels.yaml").write_text(LABELS)
    parameters(
        score={"budget": 2, "opening": 0, "audit": 0},
        export={"reviewers": ["ann", "ben"], "readers": 2},
        review={"consensus": "adjudicate", "adjudicator": "zoe", "agreement": 0.9},
        cases={"calibration": 0.0, "test": 0.25},
    )
    run("dvc", "remote", "add", "--default", "store", str(root / "store"))
    run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"), "--source", "made")
    for model in (1, 2):
        declared = ("--id", f"model-{model}", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", f"m{model}", "--predictions", str(root / f"model{model}"), *declared)
    waiting = run("voxledger", "round", "run", accept=(3,))
    assert "bundle-r00-ann" in waiting
    assert "bundle-r00-ben" in waiting
    run("voxledger", "review", "emulate", "--reference", str(root / "ann"), "--reviewer", "ann")
    waiting = run("voxledger", "round", "run", accept=(3,))
    assert "bundle-r00-ben" in waiting
    assert "zoe" not in waiting
    run("voxledger", "review", "emulate", "--reference", str(root / "ben"), "--reviewer", "ben")
    return run("voxledger", "round", "run", accept=(3,))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two rounds, closed: one adjudicated by zoe, one by majority; what was said and found on the way."""
    root, before = tmp_path_factory.mktemp("readers"), Path.cwd()
    make(root)
    found = {"root": str(root), "waits": begin(root), "sent": Path("data/sent.json").read_text()}
    found["changed"] = run("git", "status", "--porcelain", "dvc.lock", "data/sent.json", "data/round")
    found["released"] = str(Path("data/release/ledger.csv").exists())
    found["repro"] = run("dvc", "repro", accept=(1, 255))
    found["status"] = output("voxledger", "round", "status", "--json")
    shutil.copytree(BUNDLE, root / "as sent")
    run("git", "add", "--all")
    run("git", "commit", "-q", "-m", "ann and ben are back")
    run("dvc", "push")
    run("voxledger", "review", "zip", "zoe", "-o", str(root / "zoe.zip"))
    shutil.unpack_archive(root / "zoe.zip", root / "zoe")
    answer(root / "zoe" / BUNDLE.name)
    found["clone"] = second_curator(root)
    (root / "share").mkdir()
    run("voxledger", "review", "send", "zoe", "--to", f"folder:{root / 'share'}")
    shutil.copytree(root / "zoe" / BUNDLE.name, root / "share/zoe/return" / BUNDLE.name)
    found["fetched"] = run("voxledger", "review", "fetch")
    run("voxledger", "round", "run")
    found["readers"] = Path("reports/readers.json").read_text()
    run("voxledger", "round", "close")
    run("voxledger", "round", "open")
    set_parameters({"review": {"consensus": "majority"}})
    run("voxledger", "round", "run", accept=(3,))
    for reader in ("ann", "ben"):
        run("voxledger", "review", "emulate", "--reference", str(root / reader), "--reviewer", reader)
    run("voxledger", "round", "run")
    run("voxledger", "round", "close")
    yield found
    os.chdir(before)


def answer(back: Path) -> None:
    """Zoe says that ben is right."""
    (back / f"labels/{WRONG}.nii.gz").unlink()
    shutil.copyfile(back / f"readings/ben/{WRONG}.nii.gz", back / f"labels/{WRONG}.nii.gz")
    header = (back / "decisions.csv").read_text().splitlines()[0]
    (back / "decisions.csv").unlink()
    (back / "decisions.csv").write_text(f"{header}\n{WRONG},neighbour,revise,4,boundary,yes,ben is right\n")


def second_curator(root: Path) -> str:
    """In a clone the round waits for zoe as well, and goes on with what she sends there; the hash of its ledger."""
    clone = root / "clone"
    run("git", "clone", "-q", str(root / "repo"), str(clone))
    run("dvc", "remote", "modify", "--local", "store", "url", str(root / "store"), cwd=clone)
    run("dvc", "pull", "--allow-missing", cwd=clone)
    assert "bundle-r00-zoe: has not come back" in run("voxledger", "round", "run", accept=(3,), cwd=clone)
    run("voxledger", "review", "receive", str(root / "zoe" / BUNDLE.name), cwd=clone)
    run("voxledger", "round", "run", cwd=clone)
    return file_sha256(clone / "data/release/ledger.csv")


def test_the_round_waits_for_the_adjudicator(played: dict[str, str]) -> None:
    assert "bundle-r00-zoe: has not come back: 1 decisions on 1 cases" in played["waits"]
    assert "bundle-r00-zoe" in played["repro"]
    assert json.loads(played["status"])["state"] == "waiting"
    assert json.loads(played["sent"])["bundles"].keys() == {f"bundle-r00-{who}" for who in ("ann", "ben", "zoe")}
    assert played["changed"] == "", "what the bundle was made from is committed when it goes out"
    assert played["released"] == "False"


def test_the_adjudicator_sees_both_and_readers_neither(played: dict[str, str]) -> None:
    bundle = Path(played["root"]) / "as sent"
    kept = {name: read_label(bundle / f"readings/{name}/{WRONG}.nii.gz") for name in ("ann", "ben")}
    assert np.array_equal(kept["ann"] == 3, reference(5) == 3)
    assert np.array_equal(kept["ben"] == 3, otherwise(reference(5)) == 3)
    for one, other in (("ann", "ben"), ("ben", "ann")):
        for path in Path(f"data/round/bundles/bundle-r01-{one}").rglob("*"):
            assert other not in path.name
            assert path.is_dir() or f"-{other}".encode() not in path.read_bytes(), path


def test_what_the_adjudicator_decided_is_released(played: dict[str, str]) -> None:
    assert np.array_equal(read_label(f"data/release/labels/{WRONG}.nii.gz") == 3, otherwise(reference(5)) == 3)
    rows = {r.reader: r.outcome for r in read_readings("data/release/readings.csv") if r.key == (WRONG, "neighbour")}
    assert rows == {"ann": Outcome.OVERRULED, "ben": Outcome.OVERRULED, "zoe": Outcome.COUNTED}


def test_another_clone_comes_to_the_same_ledger(played: dict[str, str]) -> None:
    first = output("git", "show", "round-00:data/release/ledger.csv")
    assert hashlib.sha256(first.encode()).hexdigest() == played["clone"]


def test_what_is_reported(played: dict[str, str]) -> None:
    found = json.loads(played["readers"])
    assert (found["agreement"]["cases"], found["agreement"]["adjudicated"]) == (2, 1)
    wrong, right = reference(5) == 3, otherwise(reference(5)) == 3
    dice = 2 * (wrong & right).sum() / (wrong.sum() + right.sum())
    assert found["agreement"]["classes"]["neighbour"]["readers"]["lowest_dice"] == pytest.approx(dice, abs=5e-5)
    assert found["minutes"]["zoe"]["minutes"] == 4
    html = Path("reports/round.html").read_text()
    assert "Krippendorff" in html
    assert "Pending: 1; nothing of these entered the release" in html


def test_trace_shows_every_reading(played: dict[str, str]) -> None:
    said = run("voxledger", "trace", WRONG, "--class", "neighbour", "--at", "round-01")
    assert "neighbour: revised by zoe" in said
    assert said.count("  reading ") == 3
    assert "reading ann, round 0: revise" in said
    assert "adjudicate: overruled" in said
    chain = json.loads(output("voxledger", "trace", "case4", "--class", "neighbour", "--json"))["classes"][0]
    assert chain["reviewer"] == "ann+ben"
    assert chain["bundle"] == joint_bundle(r["bundle"] for r in chain["readings"])
    assert chain["decision"]["reviewer"] == "ann+ben"


def test_diff_shows_what_is_pending(played: dict[str, str]) -> None:
    changes = json.loads(output("voxledger", "diff", "round-00", "round-01", "--json"))
    (one,) = [c for c in changes if (c["case_id"], c["class_name"]) == (LATER, "neighbour")]
    assert one["origin_after"] == "predicted"
    assert [(r["reader"], r["outcome"]) for r in one["readings"]] == [("ann", "pending"), ("ben", "pending")]
    said = run("voxledger", "diff", "round-00", "round-01")
    assert "ann: revise" in said
    assert "majority: pending" in said
    assert WRONG not in said, "what was said in round 0 is no change since"


def test_nothing_of_a_pending_class_enters_the_release(played: dict[str, str]) -> None:
    assert not (read_label(f"data/release/labels/{LATER}.nii.gz") == 3).any()
    assert all(row["class_name"] != "neighbour" for row in decided(LATER))
    assert {row["class_name"] for row in decided(LATER)} == {"organ", "lesion"}


def decided(case_id: str) -> list[dict[str, str]]:
    with Path("data/round/decisions.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["case_id"] == case_id]


@pytest.fixture
def clone(played: dict[str, str], tmp_path: Path) -> Path:
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-01", f"file://{Path.cwd()}", str(tmp_path / "c"))
    run("dvc", "pull", cwd=tmp_path / "c")
    return tmp_path / "c"


def test_verify_compares_readings_with_returns(clone: Path) -> None:
    found = json.loads(output("voxledger", "verify", "round-01", "--json", cwd=clone))
    assert found["intact"]
    assert found["readings"] == len(read_readings(clone / "data/release/readings.csv"))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (",ben,revise,", ",ben,accept,", "ben: the return says revise, not accept"),
        (",ann,accept,", ",eve,accept,", "the return is of ann in round 0"),
        (",merged", ",pending", "its readings are not those of ann+ben"),
    ],
)
def test_a_manifest_that_fits_does_not_hide_readings_that_do_not(clone: Path, old: str, new: str, problem: str) -> None:
    """Whoever signs a version cannot have it say what nobody said."""
    table = clone / "data/release/readings.csv"
    before = hashlib.sha256(table.read_bytes()).hexdigest()
    table.write_text(table.read_text().replace(old, new, 1))
    manifest = clone / "data/release/manifest.json"
    after = hashlib.sha256(table.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(before, after))
    for command in (("add", "--all"), ("commit", "-q", "--amend", "--no-edit"), ("tag", "-f", "-a", "-m", "two v1.0.0",
                    "round-01")):  # fmt: skip
        run("git", *command, cwd=clone)
    assert problem in run("voxledger", "verify", "round-01", accept=(1,), cwd=clone)


def test_a_round_of_several_readers_repeats_bit_for_bit(clone: Path) -> None:
    run("dvc", "repro", "--force", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""


@pytest.fixture(scope="module")
def adjudicated(played: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the round that was adjudicated."""
    clone = tmp_path_factory.mktemp("adjudicated") / "c"
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-00", f"file://{Path.cwd()}", str(clone))
    run("dvc", "pull", cwd=clone)
    return clone


@pytest.mark.parametrize("name", ["adjudicate", "gate", "import", "evaluate"])
def test_a_stage_reads_nothing_but_what_dvc_yaml_lists(adjudicated: Path, tmp_path: Path, name: str) -> None:
    """With no other file there, it writes the same outputs; here with several readers, and an adjudicator."""
    stage = YAML(typ="safe").load((adjudicated / "dvc.yaml").read_text())["stages"][name]
    for path in ["params.yaml", "algorithms.yaml", *stage["deps"]]:
        source, target = adjudicated / path, tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    run(*stage["cmd"].split(), cwd=tmp_path)
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    places = [next(iter(out)) if isinstance(out, dict) else out for out in listed]
    files = [path for place in places for path in _files(adjudicated / place)]
    assert files
    for path in files:
        relative = path.relative_to(adjudicated)
        assert file_sha256(tmp_path / relative) == file_sha256(path), relative
    assert sum(len(_files(tmp_path / place)) for place in places) == len(files)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())


def test_the_way_to_the_adjudicator_and_back_is_that_of_every_bundle(played: dict[str, str]) -> None:
    assert "bundle-r00-zoe: complete" in played["fetched"]
