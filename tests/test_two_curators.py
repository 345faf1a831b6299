"""Two curators, one remote: bundles of a closed round, and returns that come late."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from killed import kill_before

from voxledger.imaging.volume import Grid, file_sha256, read, write

GRID = Grid.plain((8, 12, 10), (3.0, 1.5, 1.5))


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub, a store, and two clones, anna and bela, of a repository whose round 0 waits for ann."""
    root = tmp_path_factory.mktemp("two")
    for n in range(6):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:6, 2 : 8 + n % 3, 2:8] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        write(root / f"m/case{n}.nii.gz", np.roll(labels, n % 2, axis=2), GRID)
        if n < 3:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(root / "first"), "--name", "one")
    with contextlib.chdir(root / "first"):
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        parameters(
            score={"budget": 1, "audit": 0}, export={"reviewers": ["ann"]}, cases={"calibration": 0, "test": 0.3}
        )
        run("dvc", "remote", "add", "--default", "store", str(root / "store"))
        run("git", "commit", "--quiet", "--all", "--message", "A store")
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        declared = ("--id", "m-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "m"), *declared)
        run("voxledger", "round", "run", accept=(3,))
        run("dvc", "push")
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(root / "returns"))
        run("git", "clone", "--quiet", "--bare", ".", str(root / "hub.git"))
    for name in ("anna", "bela"):
        run("git", "clone", "--quiet", str(root / "hub.git"), str(root / name))
        with contextlib.chdir(root / name):
            run("dvc", "pull", "--allow-missing")
    return root


@pytest.fixture
def world(waiting: Path, tmp_path: Path) -> Path:
    """A copy of it all, with remotes that point into the copy."""
    shutil.copytree(waiting, tmp_path / "w", symlinks=True)
    for name in ("anna", "bela"):
        run("git", "remote", "set-url", "origin", str(tmp_path / "w/hub.git"), cwd=tmp_path / "w" / name)
        run("dvc", "remote", "modify", "--local", "store", "url", str(tmp_path / "w/store"), cwd=tmp_path / "w" / name)
    return tmp_path / "w"


def finish(world: Path, name: str) -> None:
    with contextlib.chdir(world / name):
        run("voxledger", "review", "receive", str(world / "returns/bundle-r00-ann"))
        run("voxledger", "round", "run")


@pytest.mark.slow
def test_bundles_of_a_closed_round_are_not_offered_as_those_of_the_next(world: Path) -> None:
    finish(world, "anna")
    with contextlib.chdir(world / "anna"):
        run("voxledger", "round", "close")
        run("voxledger", "round", "open")
        run("git", "push", "--quiet", "origin", "main", "round-00", "one@v0.0.0")
        run("dvc", "push")
    with contextlib.chdir(world / "bela"):
        run("git", "pull", "--quiet", "--tags", "origin", "main")
        run("dvc", "pull")
        assert Path("data/round/bundles/bundle-r00-ann").is_dir()
        assert json.loads(output("voxledger", "round", "status", "--json"))["state"] == "ready"
        assert "no bundles in this round" in run("voxledger", "review", "status")
        assert "there is no bundle for ann" in run("voxledger", "review", "zip", "ann", accept=(2,))
        late = str(world / "returns/bundle-r00-ann")
        said = run("voxledger", "review", "receive", late, accept=(3,))
        assert "bundle-r00-ann is of round 0, which is closed: kept as late, data/late/bundle-r00-ann-" in said
        assert not list(Path("data/inbox").glob("bundle-*"))
        shutil.copytree(world / "images", "more")
        for n in range(6):
            Path(f"more/case{n}.nii.gz").unlink()
        write("more/late.nii.gz", np.arange(960, dtype=np.int16).reshape(GRID.shape), GRID)
        run("voxledger", "cases", "add", "more")
        run("voxledger", "round", "run", accept=(3,))
        assert [p.name for p in Path("data/round/bundles").iterdir()] == ["bundle-r01-ann"]
        assert "it was kept as late" in run("voxledger", "review", "receive", late, accept=(3,))
        assert "1 decisions" not in run("voxledger", "review", "status", accept=(3,)).split("bundle-r01-ann: away")[0]


@pytest.mark.slow
def test_a_return_after_the_close_is_kept_as_late(world: Path) -> None:
    finish(world, "anna")
    with contextlib.chdir(world / "anna"):
        run("voxledger", "round", "close")
        late = world / "late/bundle-r00-ann"
        shutil.copytree(world / "returns/bundle-r00-ann", late)
        with open(late / "decisions.csv", "a") as stream:
            stream.write("\n")
        assert "kept as late" in run("voxledger", "review", "receive", str(late), accept=(3,))
        (kept,) = Path("data/late").glob("bundle-*")
        assert (kept / "decisions.csv").read_bytes() == (late / "decisions.csv").read_bytes()
        assert output("git", "status", "--porcelain") == ""
        assert json.loads(output("voxledger", "verify", "round-00", "--json"))["intact"]
        # copied by hand, beside the one that came in time and over it
        shutil.copytree(late, "data/inbox/bundle-r00-late")
        assert "data/inbox/bundle-r00-late came or was changed" in run("voxledger", "round", "open", accept=(1,))
        assert Path("data/inbox/bundle-r00-late/decisions.csv").is_file()
        shutil.move("data/inbox/bundle-r00-late", world / "kept")
        table = Path("data/inbox/bundle-r00-ann/decisions.csv")
        table.chmod(0o644)
        shutil.copyfile(late / "decisions.csv", table)
        before = file_sha256(table)
        assert "data/inbox/bundle-r00-ann came or was changed" in run("voxledger", "round", "open", accept=(1,))
        assert file_sha256(table) == before
        shutil.move("data/inbox/bundle-r00-ann", world / "kept too")
        run("dvc", "checkout", "data/inbox/bundle-r00-ann.dvc")
        assert "round 1 is open" in run("voxledger", "round", "open")
        assert (kept / "decisions.csv").read_bytes() == (late / "decisions.csv").read_bytes()


@pytest.mark.slow
def test_a_late_return_is_carried_into_the_next_round_where_it_still_fits(world: Path) -> None:
    """Nobody reviewed in round 0: ann's work comes after a blank return was closed over."""
    with contextlib.chdir(world / "anna"):
        blank = world / "rejected"
        shutil.copytree(world / "returns/bundle-r00-ann", blank)
        lines = (blank / "decisions.csv").read_text().splitlines()
        rejected = [",".join([*line.split(",")[:2], "reject", "1", "none", "", ""]) for line in lines[1:]]
        (blank / "decisions.csv").write_text("\n".join([lines[0], *rejected]) + "\n")
        for label in (blank / "labels").iterdir():
            shutil.copyfile(f"data/round/bundles/bundle-r00-ann/labels/{label.name}", label)
        run("voxledger", "review", "receive", str(blank))
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("voxledger", "review", "receive", str(world / "returns/bundle-r00-ann"), accept=(3,))
        run("voxledger", "round", "open")
        (late,) = Path("data/late").glob("bundle-*")
        run("voxledger", "round", "run", accept=(3,))
        (label,) = (late / "labels").iterdir()
        asked = Path("data/round/bundles/bundle-r01-ann/labels") / label.name
        said = run("voxledger", "review", "receive", str(late), "--carry", accept=(0, 3))
        case = label.name.removesuffix(".nii.gz")
        if asked.is_file():
            assert f"taken over: case {case}, class organ" in said
            assert np.array_equal(read(f"data/inbox/bundle-r01-ann/labels/{label.name}").array, read(label).array)
        else:
            assert f"left for a person: case {case}, class organ: bundle-r01-ann does not ask for this case" in said
        assert late.is_dir()


@pytest.mark.slow
def test_work_in_the_bundles_that_are_out_is_kept_and_taken_in(world: Path) -> None:
    """The next run destroyed it, then it refused to go on."""
    with contextlib.chdir(world / "bela"):
        out, back = Path("data/round/bundles/bundle-r00-ann"), world / "returns/bundle-r00-ann"
        for path in ("decisions.csv", *(f"labels/{p.name}" for p in (back / "labels").iterdir())):
            (out / path).unlink()
            shutil.copyfile(back / path, out / path)
        assert "was changed or added since" in run("voxledger", "review", "zip", "ann", accept=(1,))
        said = run("voxledger", "round", "run")
        assert "bundle-r00-ann was changed where it lay in data/round/bundles: kept as" in said
        assert "it counts as the return data/inbox/bundle-r00-ann" in said
        kept = Path("data/inbox/bundle-r00-ann.edited-1")
        for folder in (kept, Path("data/inbox/bundle-r00-ann")):
            assert (folder / "decisions.csv").read_bytes() == (back / "decisions.csv").read_bytes()
        assert "round 0 is finished" in said
        assert (out / "decisions.csv").read_bytes() != (back / "decisions.csv").read_bytes()


@pytest.mark.slow
def test_a_changed_parameter_never_replaces_bundles_that_are_out(world: Path) -> None:
    with contextlib.chdir(world / "bela"):
        before = {p: file_sha256(p) for p in Path("data/round/bundles").rglob("*") if p.is_file()}
        parameters(score={"budget": 2})
        assert "bundles of round 0 are out" in run("dvc", "repro", accept=(1, 255))
        assert {p: file_sha256(p) for p in Path("data/round/bundles").rglob("*") if p.is_file()} == before
        run("voxledger", "round", "recall")
        run("voxledger", "round", "run", accept=(3,))
        assert len(list(Path("data/round/bundles/bundle-r00-ann/labels").iterdir())) == 2


@pytest.mark.slow
def test_work_in_the_bundles_of_a_closed_round_is_named_and_never_removed(world: Path) -> None:
    finish(world, "anna")
    with contextlib.chdir(world / "anna"):
        run("voxledger", "round", "close")
        added = Path("data/round/bundles/bundle-r00-ann/labels/second-look.nii.gz")
        shutil.copyfile(next(added.parent.glob("case*.nii.gz")), added)
        said = run("voxledger", "round", "open", accept=(1,))
        assert added.as_posix() in said
        assert added.is_file()
        shutil.move(added, world / "kept.nii.gz")
        table = Path("data/round/bundles/bundle-r00-ann/decisions.csv")
        table.chmod(0o644)
        table.write_bytes(table.read_bytes().replace(b"\r\n", b"\n").replace(b",\n", b",looked\n"))
        before = file_sha256(table)
        assert table.as_posix() in run("voxledger", "round", "open", accept=(1,))
        assert file_sha256(table) == before
        run("dvc", "checkout", "--force", "data/round/bundles")
        assert "round 1 is open" in run("voxledger", "round", "open")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundle-r00-late", "bundle-r00-ann", "bundle-r00-ann.zip"])
def test_a_return_that_comes_while_the_next_round_is_half_open_is_never_lost(world: Path, name: str) -> None:
    finish(world, "anna")
    with contextlib.chdir(world / "anna"):
        run("voxledger", "round", "close")
        # after the inbox was cleared
        kill_before(1, "round", "open", event=r"os\.rename .*params\.yaml")
        assert json.loads(output("voxledger", "round", "status", "--json"))["state"] == "opening"
        late = Path("data/inbox") / name
        if late.suffix == ".zip":
            late.write_bytes(b"as it came")
        else:
            shutil.copytree(world / "returns/bundle-r00-ann", late)
        assert f"{late} came or was changed" in run("voxledger", "round", "open", accept=(1,))
        assert late.exists()
        shutil.move(late, world / "kept")
        assert "round 1 is open" in run("voxledger", "round", "open")


@pytest.mark.slow
def test_cases_may_be_added_after_bundles_were_taken_back(world: Path) -> None:
    with contextlib.chdir(world / "anna"):
        write(world / "more/late.nii.gz", np.arange(960, dtype=np.int16).reshape(GRID.shape), GRID)
        assert "voxledger round recall" in run("voxledger", "cases", "add", str(world / "more"), accept=(1,))
        run("voxledger", "round", "recall")
        run("voxledger", "cases", "add", str(world / "more"))
        run("voxledger", "round", "run", accept=(3,))


@pytest.mark.slow
def test_a_correction_that_another_curator_received_is_never_taken_back(world: Path) -> None:
    """Anna pulls git without DVC: her folder holds the return before, or none."""
    dvc_file = Path("data/inbox/bundle-r00-ann.dvc")
    for name in ("anna", "bela"):
        with contextlib.chdir(world / name):
            if name == "bela":
                run("git", "pull", "--quiet", "origin", "main")
                run("dvc", "pull", "--allow-missing")
                table = world / "returns/bundle-r00-ann/decisions.csv"
                fields = [line.split(",") for line in table.read_text().splitlines()]
                at = fields[0].index("comment")
                for line in fields[1:]:
                    line[at] = "corrected"
                table.write_text("\n".join(map(",".join, fields)) + "\n")
            run("voxledger", "review", "receive", str(world / "returns/bundle-r00-ann"))
            run("git", "add", "--all")
            run("git", "commit", "--quiet", "--message", "ann is back")
            run("git", "push", "--quiet", "origin", "main")
            run("dvc", "push")
    with contextlib.chdir(world / "anna"):
        run("git", "pull", "--quiet", "origin", "main")
        committed = dvc_file.read_bytes()
        beside = [str(p) for p in Path("data/inbox").glob("*.superseded-*.dvc")]
        for state in ("earlier", "away", "earlier, its .dvc file changed by DVC"):
            if state == "away":
                shutil.move("data/inbox/bundle-r00-ann", world / "kept")
            elif "DVC" in state:
                shutil.move(world / "kept", "data/inbox/bundle-r00-ann")
                run("dvc", "pull", *beside)
                assert "git restore --staged --worktree" in run("dvc", "repro", "gate", accept=(1, 255))
            for command in (
                ("review", "status"),
                ("review", "receive", str(world / "returns/bundle-r00-ann")),
                ("round", "run"),
            ):
                said = run("voxledger", *command, accept=(1,))
                assert "dvc pull data/inbox/bundle-r00-ann.dvc" in said
            if "DVC" not in state:
                assert output("git", "status", "--porcelain", "data/inbox") == ""
        run("git", "restore", "data/inbox")
        run("dvc", "pull", *map(str, sorted(Path("data/inbox").glob("*.dvc"))))
        assert "corrected" in Path("data/inbox/bundle-r00-ann/decisions.csv").read_text()
        run("voxledger", "round", "run")
        assert dvc_file.read_bytes() == committed
