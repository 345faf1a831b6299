"""A patient is withdrawn and purged, with real git, DVC, ssh-keygen and a remote; then everything is searched."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from commands import output, run
from killed import count_events, kill_before
from withdrawn_world import CASES, EMPTY, PATIENT, add, build, finish, learn_errors

from voxledger.imaging.volume import read
from voxledger.records.ledger import read_ledger
from voxledger.records.withdrawn import read_withdrawn

pytestmark = pytest.mark.slow

IDS = re.compile(rb"(?<![A-Za-z0-9])(?:%s)(?![A-Za-z0-9])" % b"|".join(i.encode() for i in (*CASES, PATIENT)))
LEFT_BY_DVC = {"bundle.json", "decisions.csv", "emulated.json", "return.sha256", "review.json"}
"""Names of objects that go on naming the patient: texts of the bundles that the patient was in."""
LEFT_BY_GIT = {
    *("data/base/ledger.csv", "data/cases.csv", "data/release/ledger.csv", "data/release/manifest.json"),
    *("data/release/readings.csv", "data/round/agreement.csv", "data/round/cohort.csv", "data/round/decisions.csv"),
    *("data/round/detection.csv", "data/round/filter.jsonl", "data/round/import.jsonl", "data/round/infer.jsonl"),
    *("data/round/received.json", "data/round/score.csv", "data/round/score.jsonl", "data/round/worklist.csv"),
    *("reports/drawn.csv", "reports/plots/attention.csv", "reports/round.html", "reports/sections/score.html"),
    *("data/release/croissant.json", "data/release/ro-crate-metadata.json"),
    *("data/round/quality.csv", "reports/judged.csv"),
}
"""Texts of which older states name the patient."""
STRAY = ("exports/labels/far1.nii.gz", "notes.txt", "exports/labels/scan10.nii.gz")
"""What somebody put into the repository, the last of another patient."""
KEYS = ("--keys", "../keys")


@dataclass(frozen=True)
class World:
    """The repository after withdrawal, the next round and the purge."""

    root: Path
    voxels: tuple[bytes, ...]
    """A line of voxels of every image of the patient."""
    said: str
    """By `cases withdraw`."""
    old_return: str
    errors: str
    """Id of the model of errors that learned from the patient, too."""

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    def search(self, *folders: Path) -> dict[str, set[str]]:
        """Files that hold an id or voxels of the patient, by which of both."""
        found: dict[str, set[str]] = {"ids": set(), "voxels": set()}
        for folder in folders:
            for path in (p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts):
                name = path.relative_to(self.root).as_posix()
                texts = [path.relative_to(folder).as_posix().encode(), *_contents(path.read_bytes())]
                if any(map(IDS.search, texts)):
                    found["ids"].add(name)
                if any(line in text for line in self.voxels for text in texts):
                    found["voxels"].add(name)
        return found


def come_late(root: Path) -> None:
    """Let the return of round 0 come once more, after it was closed."""
    said = run("voxledger", "review", "receive", str(root / "returns/bundle-r00-ann"), accept=(3,))
    assert "kept as late" in said


def _contents(content: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in them."""
    yield content
    with contextlib.suppress(OSError, EOFError):
        yield gzip.decompress(content)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("withdrawn")
    with contextlib.chdir(build(root)):
        images = [read(f"data/images/{case}.nii.gz").array for case in CASES]
        (before,) = (path.name for path in Path("data/release/revisions").iterdir())
        run("voxledger", "round", "open")
        errors = learn_errors()
        come_late(root)
        shutil.copytree(root / "repo", root / "opened" / "repo")
        shutil.copytree(root / "store", root / "opened" / "store")
        for name in STRAY:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("scan1 and scan10" if name.endswith(".txt") else "")
        said = run("voxledger", "cases", "withdraw", PATIENT, "--reason", "consent withdrawn", *KEYS)
        for name in STRAY:
            Path(name).unlink()
        for name in ("repo", "store"):
            shutil.copytree(root / name, root / "before" / name)
        run("voxledger", "withdraw", "purge", "--yes", *KEYS)
        finish(root)
    lines = tuple(np.ascontiguousarray(image[6, 8]).tobytes() for image in images)
    return World(root, lines, said, before, errors)


def listed(*stores: Path) -> dict[str, set[str]]:
    """Every object of DVC's, with what the listings of folders call it."""
    found: dict[str, set[str]] = {}
    for store in stores:
        for path in (p for p in (store / "files/md5").rglob("*") if p.is_file()):
            found.setdefault(f"{path.parent.name}{path.name}", set())
        for folder in (store / "files/md5").rglob("*.dir"):
            for entry in json.loads(folder.read_bytes()):
                found.setdefault(entry["md5"], set()).add(entry["relpath"])
    return found


def clone(world: World, tag: str, target: Path) -> Path:
    run("git", "clone", "--quiet", "--depth", "1", "--branch", tag, f"file://{world.repo}", str(target))
    run("dvc", "pull", "--quiet", cwd=target)
    return target


def verified(world: World, tag: str, folder: Path, code: int, withdrawn: Path | None = None) -> list[str]:
    """What `verify` says in a clone, with the keys of somebody who trusts the curator."""
    line = 'c namespaces="voxledger-release,git,voxledger-withdrawal" ' + (world.root / "curator.pub").read_text()
    (world.root / "trusted").write_text(line)
    more = ("--withdrawn", str(withdrawn)) if withdrawn else ()
    command = ("voxledger", "verify", tag, "--allowed-signers", str(world.root / "trusted"), *more)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_working_tree_has_nothing_of_the_patient(world: World) -> None:
    found = world.search(*(p for p in world.repo.iterdir() if p.is_dir() and p.name not in (".git", ".dvc")))
    assert found == {"ids": set(), "voxels": set()}
    assert not any(IDS.search(p.read_bytes()) for p in world.repo.iterdir() if p.is_file())


def test_cache_and_remote_have_texts_of_bundles_alone(world: World) -> None:
    """As docs/withdrawal.md says: tables and manifests of bundles that others are in, too."""
    found = world.search(world.repo / ".dvc", world.root / "store")
    assert found["voxels"] == set()
    names = listed(world.root / "store", world.repo / ".dvc/cache", world.root / "before/store")
    left = {f"{Path(p).parent.name}{Path(p).name}" for p in found["ids"]}
    assert not [oid for oid in left if oid.endswith(".dir")]
    assert {Path(path).name for oid in left for path in names[oid]} == LEFT_BY_DVC


def test_git_has_texts_of_older_versions_alone(world: World) -> None:
    with contextlib.chdir(world.repo):
        found, pictures = set(), set()
        for line in output("git", "rev-list", "--objects", "--all").splitlines():
            oid, _, path = line.partition(" ")
            if not path or output("git", "cat-file", "-t", oid).strip() != "blob":
                continue
            content = subprocess.run(["git", "cat-file", "blob", oid], capture_output=True, check=True).stdout
            if IDS.search(content):
                found.add(path)
            if any(voxels in content for voxels in world.voxels):
                pictures.add(path)
        assert found == LEFT_BY_GIT
        assert pictures == set()
        assert not IDS.search(output("git", "log", "--all", "--format=%B").encode())


def inputs(repo: Path) -> dict[str, bytes]:
    """What the next version is made from, but for times."""
    tops = (
        repo / "data/base",
        repo / "data/late",
        repo / "data/images",
        repo / "data/weak",
        repo / "models",
        repo / "data/cases.csv",
    )
    files = [p for top in tops for p in (top.rglob("*") if top.is_dir() else [top]) if p.is_file()]
    (row,) = read_withdrawn(repo / "data/withdrawn.csv")
    assert not (repo / "models/attention/errors").exists()
    return {p.relative_to(repo).as_posix(): p.read_bytes() for p in files} | {"": str(replace(row, date="")).encode()}


def test_killed_anywhere_it_is_finished_by_the_same_command(world: World, tmp_path: Path) -> None:
    command = ("cases", "withdraw", PATIENT, "--reason", "consent withdrawn", *KEYS)
    event = r"os\.(rename|remove) |shutil\.(move|rmtree|copyfile)|subprocess\.Popen"
    shutil.copytree(world.root / "opened", tmp_path / "whole")
    shutil.copytree(world.root / "keys", tmp_path / "whole/keys")
    with contextlib.chdir(tmp_path / "whole/repo"):
        count = count_events(*command, event=event)
        wanted = inputs(Path.cwd())
    assert wanted == inputs(world.root / "before/repo")
    for number in (count // 2, count * 2 // 3, count * 5 // 6, count - 2):
        again = tmp_path / f"killed-{number}"
        shutil.copytree(world.root / "opened", again)
        shutil.copytree(world.root / "keys", again / "keys")
        with contextlib.chdir(again / "repo"):
            kill_before(number, *command, event=event)
            Path(".git/index.lock").unlink(missing_ok=True)
            Path(".dvc/tmp/rwlock").unlink(missing_ok=True)
            run("voxledger", *command)
            assert inputs(Path.cwd()) == wanted, number
            assert not output("git", "status", "--porcelain")
        shutil.rmtree(again)


def test_objects_of_others_all_stay(world: World) -> None:
    for place in ("store", "repo/.dvc/cache"):
        before, after = listed(world.root / "before" / place), listed(world.root / place)
        gone = before.keys() - after.keys()
        assert gone
        for oid in gone:
            assert all(
                re.match(r"(?:.*/)?(?:r\d+-)?(?:scan1|scan1_heat|far1)(?:_heat|_attention)?\.", name)
                for name in before[oid]
            )
        shared = [oid for oid, names in before.items() if {f"{case}.nii.gz" for case in EMPTY} <= names]
        assert shared
        assert all(oid in after for oid in shared)


def test_an_old_version_is_intact_but_for_what_was_withdrawn(world: World, tmp_path: Path) -> None:
    folder = clone(world, "round-00", tmp_path / "check")
    assert not any(IDS.search(p.name.encode()) for p in (folder / "data/images").iterdir())
    assert len(list((folder / "data/images").iterdir())) == 6
    assert "INCOMPLETE" in verified(world, "round-00", folder, 4)
    said = verified(world, "round-00", folder, 0, world.repo / "data/purged.json")
    assert re.fullmatch(r"intact but for \d+ withdrawn objects", said[-1])
    run("dvc", "pull", "--quiet", cwd=folder)

    other = folder / "data/images/scan10.nii.gz"
    kept = other.read_bytes()
    other.unlink()
    assert verified(world, "round-00", folder, 4, world.repo / "data/purged.json")[-1] == "INCOMPLETE"
    other.write_bytes(kept + b"\0")
    assert verified(world, "round-00", folder, 1, world.repo / "data/purged.json")[-1] == "DO NOT USE"


def test_the_next_version_is_intact(world: World, tmp_path: Path) -> None:
    folder = clone(world, "round-01", tmp_path / "check")
    assert verified(world, "round-01", folder, 0)[-1] == "intact"
    revisions = {path.name for path in (folder / "data/release/revisions").iterdir()}
    (row,) = read_withdrawn(folder / "data/withdrawn.csv")
    assert row.returns == ((world.old_return, dict(row.returns)[world.old_return]),)
    assert dict(row.returns)[world.old_return] in revisions
    assert world.old_return not in revisions
    entries = read_ledger(folder / "data/release/ledger.csv")
    cut = [e for e in entries.values() if e.bundle == dict(row.returns)[world.old_return]]
    assert cut
    assert not any(e.signatures for e in cut)
    said = json.loads(output("voxledger", "trace", cut[0].case_id, "--json", cwd=world.repo))
    assert said["not_here"] == []


def test_the_tombstone_says_who_when_and_which_models(world: World) -> None:
    (row,) = read_withdrawn(world.repo / "data/withdrawn.csv")
    assert (row.curator, row.round, row.reason, len(row.cases)) == ("test", 1, "consent withdrawn", len(CASES))
    card = json.loads((world.root / "before/repo/models/base/unet/model.json").read_text())
    assert set(row.models) == {card["id"], world.errors}
    assert f"learned from the patient: model {card['id']}" in world.said
    assert "withdrawn since" in output("voxledger", "models", "show", "unet", cwd=world.repo)
    assert "withdrawn since" not in output("voxledger", "models", "show", "unet", "--next", cwd=world.repo)
    listed_models = json.loads(output("voxledger", "models", "list", "--json", cwd=world.repo))
    marked = {(which, c["name"]) for which, cards in listed_models.items() for c in cards if "withdrawn" in c}
    assert marked == {("base", "unet")}
    assert "learned from 1 patient who was withdrawn" in output("voxledger", "models", "list", cwd=world.repo)


def test_what_nobody_else_removes_is_named(world: World) -> None:
    named = [line for line in world.said.splitlines() if line.startswith("still names the patient: ")]
    assert named == [f"still names the patient: {name}" for name in STRAY[:2]]


def test_a_return_that_comes_late_loses_the_patient(world: World) -> None:
    with contextlib.chdir(world.repo):
        before = {p.name for p in Path("data/late").glob("[!.]*")}
        assert len(before) == 1
        come_late(world.root)
        assert {p.name for p in Path("data/late").glob("[!.]*")} == before
        (late,) = (Path("data/late") / name for name in before)
        assert "scan4" in (late / "decisions.csv").read_text()
    assert world.search(world.repo / "data/late") == {"ids": set(), "voxels": set()}


def test_a_return_that_comes_late_is_killed_anywhere_and_leaves_nothing(world: World) -> None:
    """It was kept whole, and cut there."""

    def kept() -> dict[str, bytes]:
        files = (p for p in Path("data/late").rglob("*") if p.is_file())
        return {p.relative_to("data/late").as_posix(): p.read_bytes() for p in files}

    command = ("review", "receive", str(world.root / "returns/bundle-r00-ann"))
    event, nothing = r"os\.rename |shutil\.(move|rmtree) ", {"ids": set(), "voxels": set()}
    shutil.copytree(world.repo, world.root / "killed/repo")
    with contextlib.chdir(world.root / "killed/repo"):
        Path("data/inbox/bundle-.receiving-x").mkdir()
        run("voxledger", "round", "open")
        shutil.rmtree("data/late")
        count, wanted, unpacked = count_events(*command, event=event, code=3), kept(), 0
        assert any(name.endswith("/decisions.csv") for name in wanted)
        for number in range(1, count + 1):
            shutil.rmtree("data/late")
            kill_before(number, *command, event=event)
            assert world.search(Path.cwd() / "data/late") == nothing, number
            assert not output("git", "status", "--porcelain")
            unpacked = number if world.search(Path.cwd() / "data/inbox") != nothing else unpacked
            come_late(world.root)
            assert kept() == wanted, number
            assert world.search(Path.cwd() / "data") == nothing, number
        # Whoever does not receive it again gets rid of what was being unpacked, too.
        kill_before(unpacked, *command, event=event)
        assert world.search(Path.cwd() / "data/inbox") != nothing
        run("voxledger", "withdraw", "purge", "--yes", *(KEYS[0], str(world.root / "keys")))
        assert world.search(Path.cwd() / "data") == nothing


def test_who_was_withdrawn_does_not_come_back(world: World) -> None:
    with contextlib.chdir(world.repo):
        run("voxledger", "round", "open")
        said = add(world.root, "site-b", accept=(1,))
        assert "far1: withdrawn" in said
        with pytest.MonkeyPatch.context() as another_machine:
            another_machine.setenv("HOME", str(world.root / "home"))
            images = str(world.root / "site-b/images")
            assert "is not here" in run("voxledger", "cases", "add", images, "--source", "b", accept=(2,))
        assert "no case of a patient" in run(
            "voxledger", "cases", "withdraw", "pat", "--reason", "r", *KEYS, accept=(2,)
        )
        assert "was withdrawn on" in run("voxledger", "cases", "withdraw", PATIENT, "--reason", "r", *KEYS, accept=(2,))
