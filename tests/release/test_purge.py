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
from purged_world import FILES, FOLDERS, GONE, MINE, PATIENTS, STAYS, build, case, contents, key

from voxledger import layout
from voxledger.casemap.memo import text_sha256
from voxledger.cli.demo import set_parameters
from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.cases import write_cases
from voxledger.records.purged import Purged, file_digest, parse_purged, write_purged
from voxledger.records.withdrawn import Withdrawn, cases_of, patients_of, read_withdrawn, write_withdrawn
from voxledger.release.purge import carry_out, plan
from voxledger.signing import WITHDRAWAL, sign

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository."""
    root = tmp_path_factory.mktemp("purge")
    build(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, its repository as the current folder."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy/repo")
    return tmp_path / "copy"


def state(root: Path) -> dict[str, bytes]:
    """Every file of cache, remote and list, but for its time."""
    places = (root / "store", root / "repo/.dvc/cache")
    found = {str(p.relative_to(root)): p.read_bytes() for place in places for p in place.rglob("*") if p.is_file()}
    purged = parse_purged(Path(layout.PURGED).read_bytes(), "it")
    patients = {name: one.model_dump(exclude={"date"}) for name, one in purged.patients.items()}
    return found | {"list": json.dumps(patients, sort_keys=True).encode()}


def test_the_patients_objects_go_and_no_others(root: Path) -> None:
    what = plan(key(root))
    assert what.there() == {"remote store": 3, "cache": 3}
    assert (len(what.shared), len(what.folders), what.unread) == (1, 3, [])
    assert (what.elsewhere, what.named) == ([], [])
    assert contents(root / "store") == contents(Path(".dvc/cache")) == set(FILES.values())
    carry_out(what)
    assert contents(root / "store") == contents(Path(".dvc/cache")) == STAYS
    (removed,) = what.purged.patients.values()
    gone = [name for name in FILES if "/p1." in name or "/p1/" in name or "p1_heat" in name]
    assert set(removed.files) == {file_digest(n, text_sha256(FILES[n])) for n in gone}
    assert not run("git", "status", "--porcelain")
    before = state(root)
    assert carry_out(plan(key(root))).removed == {"remote store": 0, "cache": 0}
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


def test_another_repository_in_the_same_remote_loses_nothing(root: Path) -> None:
    """Its cases have the same names; folders of a run that was never committed are found in the cache."""
    run("voxledger", "init", str(root / "other"), "--name", "two")
    theirs = {"data/images/p1.nii.gz": "their p1", "data/images/p77.nii.gz": "their p77"}
    with contextlib.chdir(root / "other"):
        for name, text in theirs.items():
            Path(name).write_text(text)
        run("dvc", "add", "--quiet", "data/images")
        run("dvc", "remote", "add", "--quiet", "--default", "store", "../store")
        run("dvc", "push", "--quiet")
    Path("data/images/p1.nii.gz").write_text("our p1, made once more")
    run("dvc", "add", "--quiet", "data/images")
    run("git", "checkout", "--quiet", "data/images.dvc")
    run("dvc", "checkout", "--quiet", "data/images.dvc")
    what = plan(key(root))
    said = "1 folders of remote store, which no commit here names, and which have files called as the patient's"
    (told,) = what.elsewhere
    assert told.startswith(said)
    carry_out(what)
    assert contents(Path(".dvc/cache")) == STAYS
    assert contents(root / "store") == STAYS | set(theirs.values())
    shutil.rmtree(root / "other/.dvc/cache")
    with contextlib.chdir(root / "other"):
        run("dvc", "pull", "--quiet", "--force", "data/images.dvc")
        assert {n: Path(n).read_text() for n in theirs} == theirs


def test_a_cache_that_others_may_use_is_not_searched(root: Path) -> None:
    run("dvc", "cache", "dir", "--local", str(root / "cache"))
    shutil.move(".dvc/cache", root / "cache")
    assert [place.alone for place in plan(key(root)).at.found] == [False, False]


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
    assert carry_out(plan(key(root))).removed["remote store"] == 3
    assert contents(root / "store") == STAYS


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda: set_parameters({"round": 0}), VoxledgerError, "round 0 is closed"),
        (lambda: shutil.rmtree("../keys"), Misuse, "is not theirs"),
        (lambda: run("git", "config", "--unset", "user.signingkey"), Misuse, "no ssh key signs here"),
        (lambda: layout.WITHDRAWN.unlink(), VoxledgerError, "cannot be read"),
        (lambda: layout.WITHDRAWN.write_text(layout.WITHDRAWN.read_text() + "\n"), VoxledgerError, "not as committed"),
        (lambda: write_cases(layout.CASES, [case("p1")]), VoxledgerError, "p1: registered again"),
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


def _withdraw_another(root: Path, patient: str, case_id: str) -> None:
    """Withdraw somebody else as well; the files are left to the purge."""
    hashes = key(root)
    row = Withdrawn(patients_of(hashes)(patient), (cases_of(hashes)(case_id),), 1, "test", "2026-04-01", "asked")
    write_withdrawn([*read_withdrawn(), row])
    for folder in ("data/images", "data/weak"):
        Path(folder, f"{case_id}.nii.gz").unlink()
    run("dvc", "add", "--quiet", "data/images", "data/weak")
    write_cases(layout.CASES, (case(c) for c in PATIENTS if c not in {*MINE, case_id}))
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "Withdraw another patient")


@pytest.mark.parametrize("purged_between", [False, True])
def test_of_two_patients_what_they_alone_share_goes_with_the_second(root: Path, purged_between: bool) -> None:
    if purged_between:
        carry_out(plan(key(root)))
        assert "nothing" in contents(root / "store")
    _withdraw_another(root, "pat2", "p2")
    what = plan(key(root))
    assert len(what.purged.patients) == 2
    carry_out(what)
    assert contents(root / "store") == contents(Path(".dvc/cache")) == STAYS - {"nothing", "image of p2"}
    assert carry_out(plan(key(root))).removed == {"remote store": 0, "cache": 0}


def test_a_list_that_broke_off_is_mended_from_another_place(root: Path) -> None:
    for path in (root / "store").rglob("*.dir"):
        path.write_bytes(path.read_bytes()[:20])
    carry_out(plan(key(root)))
    lists = [{p.name: p.read_bytes() for p in place.rglob("*.dir")} for place in (root / "store", Path(".dvc/cache"))]
    changed = [name for name, content in lists[0].items() if len(content) > 20]
    assert len(changed) == 3
    assert all(lists[0][name] == lists[1][name] for name in changed)
