"""What is removed of older versions, and what is not: real git, DVC, ssh-keygen and a local remote; files are small."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run
from killed import count_events, kill_before

from voxledger import layout
from voxledger.casemap.memo import text_sha256
from voxledger.cli.demo import set_parameters
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.manifest import Manifest, write_manifest
from voxledger.records.pseudonyms import Pseudonyms, open_pseudonyms
from voxledger.records.purged import Purged, file_digest, parse_purged, write_purged
from voxledger.records.withdrawn import Withdrawn, cases_of, patients_of, write_withdrawn
from voxledger.release.purge import carry_out, plan
from voxledger.signing import WITHDRAWAL, sign

pytestmark = pytest.mark.slow

PATIENTS = {"p1": "pat1", "p1_heat": "pat1", "p10": "pat10", "p2": "pat2"}
MINE = {"p1", "p1_heat"}
FILES = {
    **{f"data/images/{case}.nii.gz": f"image of {case}" for case in PATIENTS},
    **{f"data/weak/{case}.nii.gz": "nothing" for case in ("p1", "p2")},
    "data/inbox/bundle-r00-ann/bundle.json": "p1 and p10",
    **{f"data/inbox/bundle-r00-ann/labels/{case}/organ.nrrd": f"label of {case}" for case in ("p1", "p10")},
}
FOLDERS = ("data/images", "data/weak", "data/inbox/bundle-r00-ann")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose next version lacks pat1: the row of the withdrawal is committed, nothing is purged."""
    root = tmp_path_factory.mktemp("purge")
    for name in ("curator", "stranger"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name))
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        run("git", "config", "gpg.format", "ssh")
        run("git", "config", "user.signingkey", "../curator")
        run("dvc", "remote", "add", "--quiet", "--default", "store", "../store")
        for name, text in FILES.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        write_cases(layout.CASES, map(_case, PATIENTS))
        write_manifest(layout.MANIFEST, Manifest("one", 0, "v0.0.0", {n: file_sha256(n) for n in FILES}))
        run("dvc", "add", "--quiet", *FOLDERS)
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "Close round 0")
        run("git", "tag", "round-00")
        run("dvc", "push", "--quiet")
        for name in [*(n for n in FILES if "/p1" in n and "p10" not in n), str(layout.MANIFEST)]:
            Path(name).unlink()
        shutil.rmtree("data/inbox/bundle-r00-ann")
        Path("data/inbox/bundle-r00-ann.dvc").unlink()
        run("dvc", "add", "--quiet", *FOLDERS[:2])
        write_cases(layout.CASES, (_case(c) for c in PATIENTS if c not in MINE))
        set_parameters({"round": 1})
        key = open_pseudonyms(root / "keys", Path.cwd())
        names = tuple(map(cases_of(key), sorted(MINE)))
        write_withdrawn([Withdrawn(patients_of(key)("pat1"), names, 1, "test", "2026-03-01", "asked")])
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "Withdraw a patient")
        run("dvc", "push", "--quiet")
    return root


def _case(case_id: str) -> Case:
    image = f"data/images/{case_id}.nii.gz"
    return Case(case_id, image, "0" * 64, "", "made", "CC0-1.0", Split.POOL, "CT", "", PATIENTS[case_id])


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, its repository as the current folder."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy/repo")
    return tmp_path / "copy"


def key(root: Path) -> Pseudonyms:
    return open_pseudonyms(root / "keys", root / "repo")


def contents(store: Path) -> set[str]:
    """What the objects of a store hold, but lists of folders."""
    return {p.read_text() for p in store.rglob("*") if p.is_file() and p.suffix != ".dir"}


def state(root: Path) -> dict[str, bytes]:
    """Every file of cache, remote and list, but for its time."""
    places = (root / "store", root / "repo/.dvc/cache")
    found = {str(p.relative_to(root)): p.read_bytes() for place in places for p in place.rglob("*") if p.is_file()}
    purged = parse_purged(Path(layout.PURGED).read_bytes(), "it")
    patients = {name: one.model_dump(exclude={"date"}) for name, one in purged.patients.items()}
    return found | {"list": json.dumps(patients, sort_keys=True).encode()}


GONE = {"image of p1", "image of p1_heat", "label of p1"}
STAYS = set(FILES.values()) - GONE


def test_the_patients_objects_go_and_no_others(root: Path) -> None:
    what = plan(key(root))
    assert what.there() == {"remote store": 3, "cache": 3}
    assert (len(what.shared), len(what.folders), what.unread) == (1, 3, [])
    assert contents(root / "store") == contents(Path(".dvc/cache")) == set(FILES.values())
    carry_out(what)
    assert contents(root / "store") == contents(Path(".dvc/cache")) == STAYS
    (removed,) = what.purged.patients.values()
    gone = [name for name in FILES if "/p1." in name or "/p1/" in name or "p1_heat" in name]
    assert set(removed.files) == {file_digest(n, text_sha256(FILES[n])) for n in gone}
    assert not run("git", "status", "--porcelain")
    before = state(root)
    assert carry_out(plan(key(root))) == {"remote store": 0, "cache": 0}
    assert state(root) == before


def test_old_tags_are_pulled_without_it(root: Path) -> None:
    run("dvc", "remote", "modify", "store", "verify", "true")
    run("git", "commit", "--quiet", "--all", "--message", "Verify")
    carry_out(plan(key(root)))
    for folder in (root / "fresh", root / "repo"):
        if folder.name == "fresh":
            run("git", "clone", "--quiet", str(root / "repo"), str(folder))
        run("git", "checkout", "--quiet", "round-00", cwd=folder)
        for _ in range(2):
            run("dvc", "pull", "--quiet", "--force", *(f"{name}.dvc" for name in FOLDERS), cwd=folder)
            there = {p.relative_to(folder).as_posix() for name in FOLDERS for p in (folder / name).rglob("*.*")}
            assert there == {n for n, text in FILES.items() if text not in GONE} - {"data/weak/p1.nii.gz"}


def test_a_dry_run_and_a_no_remove_nothing(root: Path) -> None:
    for more, answer in ((("--dry-run",), ""), ((), "n\n"), (("--json",), "")):
        done = subprocess.run(
            ["voxledger", "withdraw", "purge", "--keys", "../keys", *more], input=answer, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        assert "3" in done.stdout
        assert contents(root / "store") == contents(Path(".dvc/cache")) == set(FILES.values())
        assert not layout.PURGED.exists()


def test_killed_anywhere_it_is_finished_by_the_next(root: Path) -> None:
    shutil.copytree(root, root.parent / "whole")
    command = ("withdraw", "purge", "--yes", "--keys", "../keys")
    event = r"os\.(rename|remove|chmod) |subprocess\.Popen \(.git.|subprocess\.Popen \(.ssh-keygen"
    with contextlib.chdir(root.parent / "whole/repo"):
        count = count_events(*command, event=event)
        wanted = state(root.parent / "whole")
    for number in sorted({1, count // 3, count // 2, count - 8, count - 5, count - 3, count - 1}):
        again = root.parent / f"killed-{number}"
        shutil.copytree(root, again)
        with contextlib.chdir(again / "repo"):
            kill_before(number, *command, event=event)
            Path(".git/index.lock").unlink(missing_ok=True)
            run("voxledger", *command)
            assert state(again) == wanted, number
        shutil.rmtree(again)


def _sign_as(who: str, change: Callable[[Purged], Purged]) -> None:
    """Commit a list that was changed, signed by somebody."""
    write_purged(change(parse_purged(layout.PURGED.read_bytes(), "it")))
    sign(layout.PURGED, f"../{who}", WITHDRAWAL)
    run("git", "commit", "--quiet", "--all", "--message", "A list")


def _everything(purged: Purged) -> Purged:
    ids = {p.parent.name + p.name for p in Path("../store/files/md5").rglob("*") if p.suffix != ".dir" and p.is_file()}
    return purged.model_copy(
        update={"patients": {w: r.model_copy(update={"objects": tuple(ids)}) for w, r in purged.patients.items()}}
    )


def test_nothing_is_removed_by_the_list_of_a_stranger(root: Path) -> None:
    carry_out(plan(key(root)))
    _sign_as("stranger", _everything)
    with pytest.raises(VoxledgerError, match="is not signed with"):
        plan(key(root))


def test_what_others_have_is_not_removed_whatever_the_list_says(root: Path) -> None:
    carry_out(plan(key(root)))
    _sign_as("curator", _everything)
    what = plan(key(root))
    assert what.there() == {"remote store": 0, "cache": 0}
    assert len(what.shared) == len(STAYS)
    carry_out(what)
    assert contents(root / "store") == STAYS


def test_what_somebody_pushed_again_is_removed_by_the_list(root: Path) -> None:
    shutil.copytree("../store", "../before")
    carry_out(plan(key(root)))
    for path in Path("../before").rglob("*"):
        target = Path("../store") / path.relative_to("../before")
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    assert contents(root / "store") > STAYS
    assert carry_out(plan(key(root)))["remote store"] == 3
    assert contents(root / "store") == STAYS


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda: set_parameters({"round": 0}), VoxledgerError, "round 0 is closed"),
        (lambda: shutil.rmtree("../keys"), Misuse, "is not theirs"),
        (lambda: run("git", "config", "--unset", "user.signingkey"), Misuse, "no ssh key signs here"),
        (lambda: layout.WITHDRAWN.unlink(), VoxledgerError, "cannot be read"),
        (lambda: layout.WITHDRAWN.write_text(layout.WITHDRAWN.read_text() + "\n"), VoxledgerError, "not as committed"),
        (lambda: write_cases(layout.CASES, [_case("p1")]), VoxledgerError, "p1: registered again"),
    ],
)
def test_what_is_in_the_way_is_said(
    root: Path, change: Callable[[], object], error: type[VoxledgerError], said: str
) -> None:
    change()
    with pytest.raises(error, match=said):
        plan(key(root))
    assert contents(root / "store") == set(FILES.values())


def test_a_shallow_clone_is_refused(root: Path) -> None:
    run("git", "clone", "--quiet", "--depth", "1", f"file://{root}/repo", str(root / "shallow"))
    with contextlib.chdir(root / "shallow"), pytest.raises(VoxledgerError, match="lacks older commits"):
        plan(key(root))
