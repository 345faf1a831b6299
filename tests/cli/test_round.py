"""`voxledger round` where somebody did by hand what a command does."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import Grid, write
from voxledger.layout import CELL_RANKS
from voxledger.records.sent import BRING_BACK, UNDO
from voxledger.release.status import advice

GRID = Grid.plain((12, 14, 16), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository whose bundle is out, and reference labels."""
    root = tmp_path_factory.mktemp("round")
    for n in range(4):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 3 : 10 + n % 2, 4:12] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        write(root / f"model/case{n}.nii.gz", np.roll(labels, n % 2, axis=2), GRID)
        if n < 3:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 1, "audit": 0}, export={"reviewers": ["ann"]}, cases={"calibration": 0.0, "test": 0.3}
        )
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        declared = ("--id", "model-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "model"), *declared)
        run("voxledger", "round", "run", accept=(3,))
    return root


@pytest.fixture
def repository(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it, as the current folder."""
    shutil.copytree(out / "repo", tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")


@pytest.fixture(scope="module")
def finished(out: Path) -> Path:
    """A copy of it whose round was reviewed and run to the end."""
    shutil.copytree(out / "repo", out / "finished", symlinks=True)
    with contextlib.chdir(out / "finished"):
        run("voxledger", "review", "emulate", "--reference", str(out / "reference"))
        run("voxledger", "round", "run")
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "finished")
    return out / "finished"


def status() -> dict[str, object]:
    found: dict[str, object] = json.loads(output("voxledger", "round", "status", "--json"))
    return found


@pytest.mark.usefixtures("repository")
def test_status_tells_complete_cases_from_those_that_are_labelled_in_part() -> None:
    assert status()["labelled"] == {"complete": 2, "partly": 0}
    counts = json.loads(Path("reports/cases.json").read_text())
    assert (counts["complete"]["pool"], counts["partly"]["pool"]) == (2, 0)
    Path("labels.yaml").write_text(LABELS + "  - {id: 2, name: lesion, inside: organ, lesion: true}\n")
    assert status()["labelled"] == {"complete": 0, "partly": 2}


@pytest.mark.usefixtures("repository")
def test_a_removed_data_round_is_said_and_brought_back(out: Path) -> None:
    assert status()["state"] == "waiting"
    before = {p: p.read_bytes() for p in Path("data/round/bundles").rglob("*") if p.is_file()}
    run("voxledger", "review", "emulate", "--reference", str(out / "reference"))
    shutil.rmtree("data/round")
    now = status()
    assert (now["state"], now["waiting_for"]) == ("lost", [])
    following = str(now["next_step"])
    assert "data/round was removed: this brings back what people were shown" in following
    assert f"`{BRING_BACK}`" in run("voxledger", "review", "status", accept=(1,))
    assert "what people were shown stays as it is" in run("dvc", "repro", "export", accept=(255,))
    run("sh", "-c", following.split(" (")[0])
    assert {p: p.read_bytes() for p in Path("data/round/bundles").rglob("*") if p.is_file()} == before
    run("voxledger", "review", "status")


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_links_to_what_dvc_threw_away_are_removed_or_named() -> None:
    """As after somebody wrote through one into its cache: it stopped at that link in every run."""
    run("dvc", "config", "cache.type", "symlink")
    run("voxledger", "round", "recall")
    made = [next(Path("data/round/pseudo").glob("*.nii.gz")), CELL_RANKS]
    whole, locked = [path.read_bytes() for path in made], Path("dvc.lock").read_bytes()
    for path in made:
        path.unlink()
        path.symlink_to("/thrown/away")
    run("voxledger", "round", "run", accept=(3,))
    assert [path.read_bytes() for path in made] == whole
    assert Path("dvc.lock").read_bytes() == locked
    run("voxledger", "round", "recall")
    prediction = next(Path("models/base").rglob("*.nii.gz"))
    prediction.unlink()
    prediction.symlink_to("/thrown/away")
    said = run("voxledger", "round", "run", accept=(1,))
    assert f"{prediction} is a link to what is no longer in DVC's cache" in said
    assert "`dvc pull --force`" in said


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("bytes_left", [0, 3000])
@pytest.mark.parametrize("path", ["dvc.lock", "data/images.dvc"])
def test_a_file_that_a_killed_dvc_left_half_written_is_named_with_the_way_out(path: str, bytes_left: int) -> None:
    """DVC takes an empty data/images.dvc for no images, and half a dvc.lock for stages that never ran."""
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: min(bytes_left, len(whole) - 1)])
    for command in ("run", "close"):
        said = run("voxledger", "round", command, accept=(1,))
        assert f"{path} breaks off" in said
        assert f"`git restore {path}`, then run this again" in said
    run("git", "restore", path)
    run("voxledger", "review", "status", accept=(3,))
    assert Path(path).read_bytes() == whole


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    "command", ["models add n --predictions ../model --id model-2 --licence CC0-1.0", "filter fit --write"]
)
def test_commands_change_nothing_that_people_were_shown(command: str, out: Path) -> None:
    """`models add` took a model in, and then nothing that was printed led on."""
    said = run("voxledger", *command.replace("../model", str(out / "model")).split(), accept=(1,))
    assert "bundles of round 0 are out" in said
    assert output("git", "status", "--porcelain") == ""
    assert not Path("models/base/n").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_a_change_while_bundles_are_out_is_taken_back_as_printed() -> None:
    """Stages cases and infer ran and changed dvc.lock; no remedy named it, and the round was refused ever after."""
    before = Path("dvc.lock").read_bytes()
    Path("labels.yaml").write_text(LABELS + "  - {id: 2, name: lesion, inside: organ, lesion: true}\n")
    for stage in ("cases", "infer"):
        assert f"{stage}: bundles of round 0 are out" in run("dvc", "repro", "--single-item", stage, accept=(255,))
    assert Path("dvc.lock").read_bytes() == before
    run("dvc", "commit", "--force", "--quiet", "cases", "infer")  # as an older voxledger did
    assert Path("dvc.lock").read_bytes() != before
    said = run("voxledger", "round", "run", accept=(1,))
    assert "since then these changed: data/round/calibration.json" not in said
    printed = re.findall("`(git restore [^`]+)`", said)
    assert [*printed, *re.findall("`(git restore [^`]+)`", run("dvc", "repro", accept=(255,)))] == 2 * [UNDO]
    run("sh", "-c", UNDO)
    assert Path("dvc.lock").read_bytes() == before
    assert "the round waits for people" in run("voxledger", "round", "run", accept=(3,))


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_a_return_copied_into_the_inbox_is_named_at_close(out: Path) -> None:
    run("voxledger", "review", "emulate", "--reference", str(out / "reference"), "--inbox", "elsewhere")
    shutil.move("elsewhere/bundle-r00-ann", "data/inbox/bundle-r00-ann")
    shutil.rmtree("elsewhere")
    run("dvc", "repro")
    assert "voxledger round run" in str(status()["next_step"])
    said = run("voxledger", "round", "close", accept=(1,))
    assert "data/inbox/bundle-r00-ann is not under DVC, where `voxledger review receive` would" in said
    assert "run `voxledger round run`" in said
    done = run("voxledger", "round", "run")
    assert "Stage 'evaluate' didn't change, skipping" in done
    assert "voxledger round close" in str(status()["next_step"])
    Path("data/inbox/bundle-.receiving-x").mkdir()  # of a `review receive` that was killed
    Path("data/inbox/bundle-.receiving-x/bundle.json").write_text("{")
    assert "closed as one@v0.0.0" in run("voxledger", "round", "close")
    assert "receiving" not in Path("data/release/manifest.json").read_text()
    shutil.rmtree("data/round")
    now = status()
    assert now["state"] == "closed"
    brought_back, following = str(now["next_step"]).split(" (data/round was removed), then ")
    run("sh", "-c", brought_back)
    assert following == status()["next_step"] == "voxledger round open"
    assert "round 1 is open" in run(*following.split())


@pytest.mark.parametrize(
    ("audit", "said"),
    [
        (
            {"cases": 2, "with_errors": 1, "high": 0.9874, "allows_to_stop": False},
            "1 of 2 cases (at most 98.7% of all,",
        ),
        (
            {"cases": 18, "with_errors": 0, "high": 0.1853, "allows_to_stop": True}
            | {"pooled": {"since_round": 1, "rounds": 4, "cases": 72, "with_errors": 0, "high": 0.0499}},
            "0 of 18 cases, since round 1 in 0 of 72 (at most 5.0% of all, few enough to stop)",
        ),
    ],
)
def test_status_says_what_the_audits_found_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audit: dict[str, object], said: str
) -> None:
    """The bound is that of the pooled audits; a report from before they were pooled has that of the round."""
    monkeypatch.chdir(tmp_path)
    write_json("data/round/outlook.json", {"stop": False, "why": "because"})
    write_json("reports/cases.json", {"round": 4})
    write_json("reports/attention.json", {"round": 4, "audit": audit})
    assert said in advice(4, {}, set())


def write_json(path: str, content: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content), "utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_two_curators_close_the_same_round_and_the_second_goes_over_to_the_first(out: Path, tmp_path: Path) -> None:
    """The push of the second was rejected by git, and `round open` there went on: two datasets of one name."""
    run("git", "init", "-q", "--bare", "--initial-branch", "main", str(tmp_path / "hub.git"))
    run("git", "remote", "add", "origin", str(tmp_path / "hub.git"))
    run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run("git", "commit", "-q", "--all", "-m", "remote")
    run("git", "push", "-q", "--set-upstream", "origin", "main")
    run("dvc", "push")
    run("git", "clone", "-q", str(tmp_path / "hub.git"), str(tmp_path / "second"))
    with contextlib.chdir(tmp_path / "second"):
        run("dvc", "pull", accept=(0, 1))  # 1: what the round has not made yet is not there
        run("voxledger", "review", "emulate", "--reference", str(out / "reference"))
        run("voxledger", "round", "run")
    run("voxledger", "review", "emulate", "--reference", str(out / "reference"))
    for command in ("run", "close"):
        run("voxledger", "round", command)
    run("git", "push", "-q", "--follow-tags")
    first = output("git", "rev-parse", "round-00").strip()
    with contextlib.chdir(tmp_path / "second"):
        said = run("voxledger", "round", "close", accept=(1,))
        assert "round-00 was set at origin by another (test, 2" in said
        run("git", "remote", "set-url", "origin", "../out-of-reach.git")
        said = run("voxledger", "round", "close")
        assert "origin cannot be asked whether it has round-00" in said
        run("git", "remote", "set-url", "origin", "../hub.git")
        run("git", "push", "-q", "--follow-tags", accept=(1,))
        said = run("voxledger", "round", "open", accept=(1,))
        assert "round-00 was set at origin by another (test, 2" in said
        assert status()["state"] == "closed"
        run("sh", "-ec", said.split("`git stash`: `")[1].split("`;")[0])
        assert output("git", "rev-parse", "round-00").strip() == first
        run("voxledger", "verify", "round-00")
        run("voxledger", "round", "open")
        parent, closed = output("git", "rev-parse", "HEAD^", "round-00^{commit}").split()
        assert parent == closed


TRACKED = Path("data/inbox/bundle-r00-ann.dvc")


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        (lambda: None, []),
        (lambda: Path("data/release/labels/case0.nii.gz").unlink(), ["import"]),
        (lambda: Path("reports/metrics.json").unlink(), ["evaluate"]),
        (lambda: parameters(evaluate={"tolerance_mm": 1.0}), ["learn", "evaluate"]),
        (lambda: TRACKED.write_text(""), []),
        (lambda: TRACKED.unlink(), []),
    ],
    ids=["nothing", "output", "metric", "parameter", "broken .dvc", "no .dvc"],
)
def test_a_finished_round_runs_what_changed_and_nothing_else(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], runs: list[str]
) -> None:
    """DVC is asked once; what it would make again is the same as before."""
    shutil.copytree(finished, tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    kept = TRACKED.read_text()
    change()
    said = run("voxledger", "round", "run")
    assert re.findall(r"Running stage '(\w+)'", said) == runs
    assert "round 0 is finished" in said
    assert TRACKED.read_text() == kept
    assert json.loads(output("dvc", "status", "--json")) == {}
