"""States of a broken machine or repository, each made for real, and the line that says so."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import fill, run

from voxledger.doctor.check import State
from voxledger.doctor.run import Line, examine, look
from voxledger.registry import DOCTOR

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="session")
def new_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor") / "repo"
    run("voxledger", "init", str(root), "--name", "one")
    return root


@pytest.fixture
def repo(new_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new repository as the current folder, of a person with a home and an ssh key of their own."""
    shutil.copytree(new_repository, tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    run("git", "config", "--global", "user.name", "Curator")
    run("git", "config", "--global", "user.email", "curator@hospital.example")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"), "-C", "curator")
    run("git", "config", "--global", "gpg.format", "ssh")
    run("git", "config", "--global", "user.signingkey", str(tmp_path / "key"))
    return tmp_path / "repo"


def only(*programs: str) -> Break:
    """Nothing but these programs is installed."""

    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        folder = Path("../bin").absolute()
        folder.mkdir()
        for name in programs:
            (folder / name).symlink_to(shutil.which(name) or name)
        monkeypatch.setenv("PATH", str(folder))

    return broken


def old_git(monkeypatch: pytest.MonkeyPatch) -> None:
    only()(monkeypatch)
    Path("../bin/git").write_text('#!/bin/sh\n[ "$1" = --version ] && echo "git version 2.30.2"\nexit 0\n')
    Path("../bin/git").chmod(0o755)


def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    Path("../gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")


def owned_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (Path.cwd(), Path(".git")):
        os.chown(path, 12345, 12345)


def trusted(line: str) -> Break:
    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        kind, key, *_ = Path("../key.pub").read_text().split()
        Path("../signers").write_text(line.format(key=f"{kind} {key}") + "\n")
        run("git", "config", "gpg.ssh.allowedSignersFile", str(Path("../signers").absolute()))

    return broken


def with_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", "../key")


def commit_of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{int(time.time()) + 86400} +0000")
    run("git", "commit", "--quiet", "--allow-empty", "--message", "Of a clock that is right")


def files(**texts: str) -> Break:
    """These files of `PATHS` hold this."""

    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, text in texts.items():
            path = Path(PATHS[name])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return broken


PATHS = {
    "params": "params.yaml",
    "algorithms": "algorithms.yaml",
    "formats": "data/format.json",
    "memo": ".memo",
    "config": ".dvc/config",
    "index_lock": ".git/index.lock",
    "rwlock": ".dvc/tmp/rwlock",
}


def commands(*lines: str) -> Break:
    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        for line in lines:
            run(*line.split())

    return broken


def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new repository is in this state."""


def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("device: cpu", "device: cuda"))


def an_older_click(monkeypatch: pytest.MonkeyPatch) -> None:
    info = Path("../site/click-7.0.dist-info").absolute()
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: click\nVersion: 7.0\n")
    monkeypatch.syspath_prepend(str(info.parent))


def not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data/images/a.nii.gz").write_text("an image\n")
    run("dvc", "add", "--quiet", "data/images")
    shutil.rmtree("data/images")


REFUSED = "ssh://nobody@127.0.0.1:1/store"
STATES: dict[str, tuple[str, Break, str, str]] = {
    # check, how it breaks, what is said, what to do
    "no git": ("git", only("ssh-keygen"), "wrong git is not installed", "install git"),
    "old git": ("git", old_git, "wrong git version 2.30.2 does not sign", "2.34 or newer"),
    "nobody": ("git", nobody, "note git does not know who you are", "user.email"),
    "owned by another": ("git", owned_by_another, "wrong git does not read this repository", "--add safe.directory"),
    "git was killed": ("git", files(index_lock=""), "wrong .git/index.lock is there", "rm .git/index.lock"),
    "no ssh-keygen": ("ssh_keygen", only("git"), "wrong ssh-keygen is not installed", "OpenSSH"),
    "no key": (
        "ssh_keygen",
        commands("git config --global --unset user.signingkey"),
        "note git has no ssh key",
        "git config",
    ),
    "key is gone": ("ssh_keygen", lambda _: Path("../key").unlink(), "wrong git's key ", "git config user.signingkey"),
    "key expired": (
        "ssh_keygen",
        trusted('curator valid-before="20200101" {key}'),
        "wrong git's key .*: curator: key has expired",
        "valid-before",
    ),
    "key for other things": (
        "ssh_keygen",
        trusted('curator namespaces="git" {key}'),
        "wrong git's key .* is not trusted",
        "namespaces",
    ),
    "key of nobody": ("ssh_keygen", trusted("# none yet"), "wrong git's key .* is nobody's there", "another key"),
    "passphrase": ("ssh_keygen", with_passphrase, "note git's key .* has a passphrase", "ssh-add"),
    "clock behind": ("clock", commit_of_tomorrow, "wrong it says .*, and the newest commit", "timedatectl"),
    "older package": (
        "python",
        an_older_click,
        "wrong click 7.0 is installed, voxledger asks for click",
        "pip install",
    ),
    "no GPU": ("gpu", cuda, "wrong torch .* finds no GPU, and params.yaml says", "machine.device: cpu"),
    "memo is a file": ("memo", files(memo=""), "wrong .memo is no folder", "rm .memo"),
    "old repository": (
        "versions",
        files(algorithms="voxledger: 0.2.0\ncases: 1\n"),
        "wrong .* computes otherwise",
        "voxledger upgrade",
    ),
    "newer repository": (
        "versions",
        files(formats='{"ledger": 99}'),
        "wrong a newer voxledger wrote .* ledger",
        "update",
    ),
    "damaged params.yaml": ("repository", files(params="round: [\n"), "wrong params.yaml", "git restore|correct"),
    "no .git": ("repository", lambda _: shutil.rmtree(".git"), "wrong .* no .git", "change to the folder"),
}
SLOW_STATES: dict[str, tuple[str, Break, str, str]] = {
    "not pulled": ("repository", not_pulled, "note 1 of 1 files of data/images", "dvc pull"),
    "damaged .dvc/config": ("dvc", files(config="[core\n"), "wrong dvc config failed: ", "correct"),
    "keys for everybody": ("dvc", lambda _: Path(".dvc/config.local").chmod(0o644), "wrong .dvc/config.loc", "chmod"),
    "DVC was killed": ("dvc", files(rwlock="{"), "wrong .dvc/tmp/rwlock.* is damaged", "rm .dvc/tmp/rwlock"),
    "no links": ("links", as_it_is, "note DVC makes no hard links", "cache.type reflink"),
    "no remote": ("remote", as_it_is, "note there is no remote", "dvc remote add"),
    "no verify": ("remote", commands("dvc remote add -d store ../store"), "wrong store: .* not hashed", "verify true"),
    "not by default": ("remote", commands("dvc remote add store ../store"), "wrong no remote is the", "default NAME"),
    "never pushed": ("remote", commands("dvc remote add -d store ../store"), "note store: nothing is at", "dvc push"),
    "remote is gone": (
        "remote",
        commands("git tag round-00", "dvc remote add -d store ../store"),
        "wrong store: .*/store is out of reach: .*does not exist",
        "mount",
    ),
    "remote refuses": ("remote", commands(f"dvc remote add -d far {REFUSED}"), "wrong far: .* out of reach", "network"),
}  # fmt: skip


def lines_of(check: str) -> list[Line]:
    return list(look(check, DOCTOR.get(check)))


def require_line(check: str, broken: Break, said: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is there once the state is, and was not before."""

    def there(lines: list[Line]) -> bool:
        return any(
            re.match(said, f"{line.state} {line.said}", re.DOTALL) and re.search(remedy, line.remedy) for line in lines
        )

    before = [] if broken is as_it_is else lines_of(check)
    assert not there(before), before
    broken(monkeypatch)
    after = lines_of(check)
    assert there(after), after


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_line(state: str, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_line(*STATES[state], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("state", SLOW_STATES)
def test_each_state_of_dvc_has_its_line(state: str, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_line(*SLOW_STATES[state], monkeypatch)


def disk_lines(monkeypatch: pytest.MonkeyPatch, disk: Path) -> list[Line]:
    monkeypatch.chdir(disk)
    return [line for line in lines_of("disk") if line.said.startswith(str(disk))]


def test_a_small_disk_a_full_and_a_read_only_one(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `tmpfs` of 1 MB: as it is, filled, and mounted for reading."""
    (small_disk / "other").write_bytes(bytes(300_000))
    monkeypatch.setattr("voxledger.doctor.checks.disk.PROBE_BYTES", 1 << 12)
    (line,) = disk_lines(monkeypatch, small_disk)
    assert (line.state, "0.00 GB free" in line.said, "memo prune" in line.remedy) == (State.WRONG, True, True)

    fill(small_disk)
    (line,) = disk_lines(monkeypatch, small_disk)
    assert (line.state, "no space left on the disk" in line.said, "df -h" in line.remedy) == (State.WRONG, True, True)

    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (line,) = disk_lines(monkeypatch, small_disk)
    assert (line.state, "read-only" in line.said, "mount it for writing" in line.remedy) == (State.WRONG, True, True)


def test_too_many_watchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives out no more: `EMFILE`, as beyond `max_user_instances`."""
    monkeypatch.chdir(tmp_path)
    assert [line.state for line in lines_of("watches")] == [State.OK]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as first_free:
        limit = first_free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        (line,) = lines_of("watches")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (line.state, "Too many open files" in line.said) == (State.NOTE, True)
    assert "max_user_instances" in line.remedy


def test_outside_of_a_repository_only_the_machine_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = list(examine())
    assert {line.check for line in lines} == {
        *("clock", "disk", "git", "gpu", "python", "repository", "ssh_keygen", "watches")
    }
    assert lines[-1].state is State.NOTE
    assert "dvc, links, memo, remote, repository, versions were not looked at" in lines[-1].said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_repository_that_is_well_has_nothing_wrong_and_stays_as_it_is(repo: Path) -> None:
    run("dvc", "config", "cache.type", "hardlink,copy")
    run("dvc", "remote", "add", "-d", "store", str(repo.parent / "store"))
    run("dvc", "remote", "modify", "store", "verify", "true")
    run("git", "commit", "--quiet", "--all", "--message", "A remote")
    run("dvc", "push", "--quiet")
    (repo.parent / "store").mkdir(exist_ok=True)
    before = sorted(p for p in repo.rglob("*") if ".dvc/tmp" not in str(p))
    said = run("voxledger", "doctor", accept=(0,))
    assert f"ok     ssh_keygen  git's key {repo.parent}/key signs releases\n" in said
    assert f"ok     remote      store: {repo.parent}/store is within reach\n" in said
    assert "ok     links       DVC links data (hardlink,copy)\n" in said
    assert "\nwrong" not in said
    assert sorted(p for p in repo.rglob("*") if ".dvc/tmp" not in str(p)) == before
    assert run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_the_command_says_with_its_exit_code_whether_something_is_wrong(repo: Path) -> None:
    Path(".memo").write_text("")
    found = json.loads(run("voxledger", "doctor", "--json", accept=(1,)))
    wrong = [line for line in found["lines"] if line["state"] == "wrong"]
    assert found["wrong"] == len(wrong) == 1
    assert wrong[0] == {
        "check": "memo",
        "state": "wrong",
        "said": ".memo is no folder",
        "remedy": "`rm .memo`: it is made again",
    }
    assert "wrong  memo        .memo is no folder\n                   → `rm .memo`" in run(
        "voxledger", "doctor", accept=(1,)
    )


def test_a_broken_package_hides_no_other_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "voxledger.doctor.checks.python", raising=False)
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    lines = {line.check: line for line in examine()}
    assert lines["python"].state is State.WRONG
    assert "packaging.requirements" in lines["python"].said
    assert {"clock", "disk", "git", "ssh_keygen"} < set(lines)


def test_the_page_explains_every_check() -> None:
    page = (Path(__file__).parents[2] / "docs/install.md").read_text()
    assert [name for name in DOCTOR.names() if f"\n| `{name}` | " not in page] == []
