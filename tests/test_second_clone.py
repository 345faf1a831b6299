"""A round that one curator began is finished by another, in a clone, on the same or another kind of CPU."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.cli.demo import set_parameters
from voxledger.imaging.volume import Grid, file_sha256, write

GRID = Grid.plain((16, 24, 20), (2.0, 1.5, 1.5))
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
MODELS = {
    "nnunet": {"backend": "nnunet", "recipe": "small", "patch": [16, 16, 16], "features": [4, 8], "iterations": 4},
    "unet": {"backend": "monai", "network": "unet", "patch": [16, 16, 16], "features": [4, 8], "iterations": 4},
}
OTHER_CPU = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pushed repository whose round 1 waits for ann and ben, and what they send back."""
    root = tmp_path_factory.mktemp("waiting")
    for n in range(9):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:12, 4 : 15 + n % 3, 4:14] = 1
        labels[5:8, 7:10, 6 : 9 + n % 2] = 2
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        image = np.array([0, 100, 40])[labels] + noise
        write(root / f"images/case{n}.nii.gz", image.astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        if n < 5:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 2, "audit": 1, "opening": 0},
            export={"reviewers": ["ann", "ben"]},
            retrain={"models": MODELS},
            cases={"calibration": 0.2, "test": 0.2},
            calibrate={"classes": ["lesion"], "bootstrap": 100},
        )
        run("dvc", "remote", "add", "--default", "store", str(root / "store"))
        run("git", "commit", "--quiet", "--all", "--message", "A remote")
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        # round 0 has nothing to review: its labels teach the models of round 1
        set_parameters({"score": {"budget": 0, "audit": 0}})
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("voxledger", "round", "open")
        set_parameters({"score": {"budget": 2, "audit": 1}})
        run("voxledger", "round", "run", accept=(3,))
        run("dvc", "push")
        run("git", "clone", "--quiet", "--bare", ".", str(root / "hub.git"))
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(root / "returns"))
    return root


@pytest.fixture
def clone(waiting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with its data, as the current folder."""
    run("git", "clone", "--quiet", str(waiting / "hub.git"), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    run("dvc", "pull")
    return tmp_path / "clone"


@pytest.fixture(params=["the same CPU", "another kind of CPU"])
def cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "the same CPU":
        for name, value in OTHER_CPU.items():
            monkeypatch.setenv(name, value)
    return str(request.param)


def hashes(folder: str) -> dict[str, str]:
    return {p.as_posix(): file_sha256(p) for p in sorted(Path(folder).rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_a_round_is_finished_in_a_second_clone(clone: Path, waiting: Path, cpu: str) -> None:
    shown = {folder: hashes(f"data/round/{folder}") for folder in ("pseudo", "attention", "bundles")}
    assert all(shown.values())
    said = run("voxledger", "round", "run", accept=(3,))
    assert "Running stage" not in said
    for name in ("ann", "ben"):
        run("voxledger", "review", "receive", str(waiting / f"returns/bundle-r01-{name}"))
    run("voxledger", "round", "run")
    assert {folder: hashes(f"data/round/{folder}") for folder in shown} == shown
    decided = Path("data/round/decisions.csv").read_text().splitlines()
    assert len(decided) > 1
    run("voxledger", "round", "close")
    assert json.loads(output("voxledger", "verify", "round-01", "--json"))["intact"]
    assert output("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_the_limited_instruction_set_really_computes_other_bits(
    clone: Path, waiting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would show nothing; and the table of predictions is the same all the same."""
    table = Path("data/round/infer.jsonl").read_bytes()
    for name, value in OTHER_CPU.items():
        monkeypatch.setenv(name, value)
    run("voxledger", "round", "recall")  # while bundles are out nothing is predicted again
    run("dvc", "repro", "--force", "--single-item", "infer")
    here = hashes("data/round/predictions")
    with contextlib.chdir(waiting / "repo"):
        there = hashes("data/round/predictions")
    assert here.keys() == there.keys()
    assert here != there
    assert Path("data/round/infer.jsonl").read_bytes() == table
    said = run("dvc", "repro", "export")
    assert all(f"Stage '{stage}' didn't change" in said for stage in ("calibrate", "filter", "score"))


@pytest.mark.slow
def test_predictions_that_a_stage_needs_are_made_again_alone(clone: Path, waiting: Path) -> None:
    assert not Path("data/round/predictions").exists()
    run("voxledger", "round", "recall")
    set_parameters({"filter": {"threshold": 0.4, "rules": []}})
    run("dvc", "repro", "export")
    assert len(list(Path("data/round/predictions").glob("*/*.b2nd"))) == 2 * 9
    with contextlib.chdir(waiting / "repo"):
        there = hashes("data/round/predictions")
    assert {k: v for k, v in hashes("data/round/predictions").items() if k.endswith("b2nd")} == {
        k: v for k, v in there.items() if k.endswith("b2nd")
    }


@pytest.mark.slow
def test_portable_rounds_are_the_same_under_a_limited_instruction_set(
    clone: Path, waiting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `machine.portable`, predictions and trained models do not depend on what the CPU can do."""
    made = []
    for limited in (False, True):
        predicting, training = tmp_path / f"predicting-{limited}", tmp_path / f"training-{limited}"
        for folder in (predicting, training):
            shutil.copytree(clone, folder, symlinks=True)
        for name, value in OTHER_CPU.items() if limited else ():
            monkeypatch.setenv(name, value)
        with contextlib.chdir(predicting):
            run("voxledger", "round", "recall")  # while bundles are out nothing is predicted again
            set_parameters({"machine": {"portable": True}})
            run("dvc", "repro", "--force", "--single-item", "infer")
            predictions = hashes("data/round/predictions")
        with contextlib.chdir(training):
            set_parameters({"machine": {"portable": True}})
            for name in ("ann", "ben"):
                run("voxledger", "review", "receive", str(waiting / f"returns/bundle-r01-{name}"))
            run("dvc", "repro", "retrain")
            made.append(predictions | hashes("models/next"))
    assert made[0] == made[1]
    with contextlib.chdir(waiting / "repo"):
        there = hashes("data/round/predictions")
    networks = [name for name in there if name.endswith(".b2nd")]
    assert networks
    assert [made[0][name] for name in networks] != [there[name] for name in networks]


@pytest.mark.slow
def test_work_in_the_outgoing_folder_is_never_destroyed(clone: Path, waiting: Path, tmp_path: Path) -> None:
    bundles = Path("data/round/bundles")
    sent = hashes("data/round/bundles")
    returned = waiting / "returns/bundle-r01-ann"
    worked = [p.relative_to(returned) for p in returned.rglob("*") if p.is_file() and p.name != "bundle.json"]
    for path in worked:
        target = bundles / "bundle-r01-ann" / path
        target.chmod(0o644)
        shutil.copyfile(returned / path, target)
    (bundles / "bundle-r01-ann/labels/mine.nrrd").write_bytes(b"a draft")
    (bundles / "bundle-r01-ben/notes.txt").write_text("call me")
    (bundles / "ann.zip").write_bytes(b"packed by hand")
    edited = hashes("data/round/bundles")
    for command in (
        ("dvc", "repro"),
        ("dvc", "repro", "--force", "export"),
        ("voxledger", "review", "zip", "ben", "-o", str(tmp_path / "ben.zip")),
        ("voxledger", "review", "status"),
        ("voxledger", "review", "receive", str(waiting / "returns/bundle-r01-ben")),
    ):
        said = run(*command, accept=(0, 1, 3, 255))
        assert "changed or added since" in said or "are out" in said or command[2] == "receive", said
        assert hashes("data/round/bundles") == edited, command
    said = run("voxledger", "round", "run", accept=(1,))
    assert "ann.zip was changed where it lay in data/round/bundles: kept as data/inbox/ann.zip" in said
    assert hashes("data/round/bundles") == sent
    assert Path("data/inbox/ann.zip").read_bytes() == b"packed by hand"
    kept = {p.read_bytes() for p in Path("data/inbox").rglob("*") if p.is_file()}
    assert {b"a draft", b"call me", *((returned / path).read_bytes() for path in worked)} <= kept


@pytest.mark.slow
def test_what_people_were_shown_is_not_made_anew_by_plain_dvc(clone: Path) -> None:
    before = {f: hashes(f"data/round/{f}") for f in ("pseudo", "attention", "bundles")}
    status = output("git", "status", "--porcelain")
    for section, values in (("filter", {"threshold": 0.4, "rules": []}), ("score", {"budget": 1})):
        kept = Path("params.yaml").read_bytes()
        set_parameters({section: values})
        for command in (("dvc", "repro"), ("dvc", "repro", "--force", "export"), ("voxledger", "round", "run")):
            said = run(*command, accept=(1, 255))
            assert "are out" in said
            assert "voxledger round recall" in said
        assert {f: hashes(f"data/round/{f}") for f in before} == before
        Path("params.yaml").write_bytes(kept)
        assert output("git", "status", "--porcelain") == status
    shutil.rmtree("data/round")
    assert "dvc.lock data/round reports" in run("voxledger", "round", "run", accept=(1,))
    run("sh", "-c", output("voxledger", "round", "status").split("next     ")[1].split(" (")[0])
    assert {f: hashes(f"data/round/{f}") for f in before} == before
    assert Path("data/sent.json").is_file()
