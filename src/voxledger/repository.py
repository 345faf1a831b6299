"""The curation repository: git and DVC as commands, and files as they were at a tag."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from voxledger import layout
from voxledger.disk import failure_said
from voxledger.errors import DiskFailed, Misuse, VoxledgerError
from voxledger.process import described, environment_here, holders_of, is_dvc
from voxledger.textfile import decode, read_text, read_text_if_there, read_yaml

CONFIG_LOCAL = Path(".dvc/config.local")
TEMPLATE_NAME = "voxledger-dataset"
"""Name of the dataset in the template, replaced by `voxledger init`."""


_MARKS = (layout.PIPELINE.name, layout.PARAMS.name, ".dvc", ".git")


def is_root() -> bool:
    """Whether the current folder is the root of a curation repository, or of what is left of one."""
    return sum(Path(name).exists() for name in _MARKS) > 1


def require_root() -> Path:
    """The current folder, which must be the root of a curation repository."""
    here = Path.cwd()
    missing = [name for name in _MARKS if not (here / name).exists()]
    if missing:
        raise Misuse(
            f"{here} is not the root of a curation repository: no {', '.join(missing)}",
            "change to the folder that `voxledger init` made",
        )
    return here


def run_tool(
    *command: Path | str, text: bytes = b"", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git or ssh-keygen in the current folder with `text` as its input; whether it succeeded is for the caller.

    `more` holds environment variables for this command alone.
    """
    try:
        values = environment_here(LC_ALL="C", **(more or {}))  # what it says is looked at, see `failure_said`
        return subprocess.run(command, input=text, capture_output=True, check=False, env=values)
    except FileNotFoundError:
        raise VoxledgerError(
            f"{command[0]} is not installed, or not in a folder of PATH",
            "install git (https://git-scm.com)" if command[0] == "git" else "install OpenSSH's client",
        ) from None


def git(*args: Path | str, check: bool = True) -> str:
    """Run git in the current folder; returns what it printed."""
    done = run_tool("git", *args)
    said, wrong = (s.decode("utf-8", "surrogateescape") for s in (done.stdout, done.stderr))
    if check and done.returncode != 0:
        raise _git_failure(f"git {' '.join(map(str, args[:2]))} failed: {(wrong or said).strip()}")
    return said if done.returncode == 0 else ""


def _git_failure(problem: str) -> VoxledgerError:
    """The error that git had, alone or called by DVC, with its remedy: a killed git leaves a lock that stays."""
    found = re.search(r"'([^']+\.lock)'", problem) if "File exists" in problem else None
    lock = Path(found[1] if found else ".git/index.lock")
    if lock.is_relative_to(Path.cwd()):
        lock = lock.relative_to(Path.cwd())
    left = f"`rm {lock}` if no git command runs here, " if lock.exists() else ""
    if (failure := failure_said(problem)) is not None:
        return DiskFailed(f"{failure.problem}: {problem}", f"{left}{failure.remedy}")
    return VoxledgerError(problem, f"{left}then run this again" if left else "correct this and run again")


def dvc(*args: Path | str, quiet: bool = False, more: Mapping[str, str] | None = None) -> int:
    """Run DVC in the current folder with this Python first on the path; returns its exit code.

    What it prints goes to the terminal, or, if `quiet`, is shown only when it fails. A run of the pipeline ends with
    this process. `more` holds environment variables for this command alone.

    Raises
    ------
    VoxledgerError
        Another DVC process is at work here; it is named.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = environment_here(PATH=path, **(more or {}))
    # -P: Python would take modules from the current folder first.
    command = [sys.executable, "-P", "-m", "voxledger.process" if args[0] == "repro" else "dvc", *args]
    if args[0] == "repro":
        require_nobody_runs()
    if not quiet:
        code = subprocess.run(command, env=environment, check=False).returncode
        if code != 0 and Path(".git/index.lock").exists():
            raise _git_failure(f"dvc {args[0]} ended with an error, see above")
        return code
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _raise_known(done.stderr)
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode


def dvc_push() -> None:
    """Push the data, whatever DVC noted before.

    What it noted for a push is incomplete after one that was killed while it collected; the next push then leaves out
    the rest without a word, and later ones find nothing to do (DVC 3.67). It keeps these notes beside the repository.
    """
    with tempfile.TemporaryDirectory(prefix="voxledger-push-") as fresh:
        if dvc("push", more={"DVC_SITE_CACHE_DIR": fresh}) != 0:
            raise VoxledgerError("the data could not be pushed", "mend the remote, or use --no-push and push later")


def dvc_add(*paths: Path | str) -> None:
    """Put folders under DVC."""
    if dvc("add", *paths, quiet=True) != 0:
        raise VoxledgerError(f"`dvc add {' '.join(map(str, paths))}` failed", "see its message above")


def require_pulled(folder: Path) -> None:
    """Raise where files of a folder are not here, as in a clone: put under DVC again, it would lose them."""
    noted = folder.with_name(f"{folder.name}.dvc")
    if not noted.is_file():
        return
    listed = sum(int(out.get("nfiles", 0)) for out in read_yaml(noted, "outs")["outs"])
    here = sum(path.is_file() for path in folder.rglob("*"))
    if here < listed:
        raise VoxledgerError(
            f"{listed - here} of {listed} files of {folder} are not here, and would go from this version",
            f"run `dvc checkout {noted}`, or in a clone `dvc pull {noted}`",
        )


def dvc_output(*args: Path | str) -> str:
    """What a DVC command prints."""
    command = [sys.executable, "-P", "-m", "dvc", *args]
    done = subprocess.run(command, env=environment_here(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _raise_known(done.stderr)
        raise VoxledgerError(f"dvc {args[0]} failed: {without_tracebacks(done.stderr)}", "correct this and run again")
    return done.stdout


def dvc_settings() -> dict[str, str]:
    """Every setting of DVC here, with secrets, such as `cache.type`."""
    lines = (line.partition("=") for line in dvc_output("config", "--list").splitlines())
    return {option: value for option, _, value in lines}


def dvc_cache() -> Path:
    """Where DVC keeps the content of files on this machine; it need not be there yet."""
    return Path(dvc_output("cache", "dir").strip())


def dvc_remotes() -> dict[str, dict[str, str]]:
    """The settings of every DVC remote, with secrets, by its name: `url`, and what the kind of remote has besides."""
    found: dict[str, dict[str, str]] = {}
    for option, value in dvc_settings().items():
        section, _, key = option.rpartition(".")
        if section.startswith("remote."):
            found.setdefault(section.removeprefix("remote."), {})[key] = value
    return found


def add_remote(name: str, url: str) -> None:
    """Make a url the default DVC remote; what comes from it is hashed, and refused where it was altered."""
    if dvc("remote", "add", "--default", name, url, quiet=True) != 0:
        raise Misuse(f"{url} is no remote of DVC", "see its message above; `dvc remote add --help` has examples")
    dvc("remote", "modify", name, "verify", "true", quiet=True)


def keep_secrets_private() -> None:
    """Let nobody else read `.dvc/config.local`, where DVC keeps keys of remotes for everybody to read."""
    CONFIG_LOCAL.touch()
    CONFIG_LOCAL.chmod(0o600)


def require_nobody_runs() -> None:
    """Raise if another run of the pipeline is at work here; what takes a moment, as adding a return, is waited for."""
    for _ in range(30):
        blocking = sorted({*_holding(), *_blocking()})
        if not blocking:
            return
        time.sleep(0.1)
    raise _busy(blocking)


def _raise_known(said: str) -> None:
    """Raise with the reason and its remedy if DVC failed for the machine, or for a lock: who holds it is named."""
    said = without_tracebacks(said)
    if failure_said(said) is not None:
        raise _git_failure(f"DVC failed: {said.strip()}")
    if "File exists" in said and ".lock'" in said:
        raise _git_failure(f"DVC failed: {said.strip()}")
    if "RWLock-file" in said:
        _blocking()
    if "Unable to acquire lock" in said or "is busy" in said:
        raise _busy([*_holding(), *_blocking()])


def without_tracebacks(said: str) -> str:
    """What a program in Python printed, without where in its code that was: what went wrong stays."""
    calls = r"^(?:Exception ignored in.*\n)?Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*"
    return re.sub(calls, "", said, flags=re.MULTILINE).strip()


def _holding() -> list[int]:
    """Processes that hold the lock of DVC, as it does but while a stage computes."""
    lock = Path(".dvc/tmp/lock")
    return holders_of(lock.stat()) if lock.exists() else []


def _blocking() -> list[int]:
    """Processes that hold outputs or dependencies of a stage, as DVC notes them."""
    import psutil

    path = Path(".dvc/tmp/rwlock")
    for _ in range(20):
        try:
            held = json.loads(path.read_text("utf-8"))
            infos = [*held.get("write", {}).values(), *(i for found in held.get("read", {}).values() for i in found)]
            return sorted({int(i["pid"]) for i in infos if psutil.pid_exists(int(i["pid"]))})
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            time.sleep(0.05)  # DVC empties it before it writes
    raise VoxledgerError(
        f"{path}, where DVC notes what it is working on, is damaged, as by a DVC that was killed while it wrote it",
        f"`rm {path}` if no DVC process runs here, then run this again",
    )


def _busy(pids: list[int]) -> VoxledgerError:
    if others := [pid for pid in pids if not is_dvc(pid)]:
        return VoxledgerError(
            f".dvc/tmp/rwlock names {described(others[0])}, which does not look like DVC: what held the lock may have "
            "been killed, and its number be another program's now",
            "if so, `rm .dvc/tmp/rwlock`, then run this again",
        )
    held = ", ".join(described(pid) for pid in pids) or "another DVC process"
    kill = " ".join(str(pid) for pid in pids)
    return VoxledgerError(
        f"another DVC process is at work here: {held}",
        f"wait for it, or `kill {kill}`; then run this again" if pids else "wait for it, then run this again",
    )


def tag_exists(tag: str) -> bool:
    """Whether a git tag exists."""
    return bool(git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", check=False))


def commit_of(revision: str) -> str:
    """The commit that a tag or revision names."""
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False).strip()
    if not commit:
        known = ", ".join(round_tags()) or "none yet"
        raise Misuse(f"{revision} is not a version here", f"use a tag ({known}), or `git fetch --tags` first")
    return commit


def is_shallow() -> bool:
    """Whether this clone lacks commits, as `git clone --depth` makes it."""
    return git("rev-parse", "--is-shallow-repository", check=False).strip() == "true"


def cut_history(revision: str) -> bool:
    """Whether this clone lacks commits behind a revision, so that git cannot say what it came from."""
    if not is_shallow():
        return False
    ends = read_text(git("rev-parse", "--git-path", "shallow").strip()).split()
    return bool(set(ends) & set(git("rev-list", revision).split()))


def is_ancestor(older: str, newer: str) -> bool:
    """Whether the commits that are here lead from one revision to another."""
    return run_tool("git", "merge-base", "--is-ancestor", older, newer).returncode == 0


def round_tags() -> list[str]:
    """Tags of closed rounds, oldest first."""
    return sorted(git("tag", "--list", "round-*", check=False).split(), key=lambda t: (len(t), t))


def round_tag(number: int) -> str:
    """The tag of a closed round."""
    return f"round-{number:02d}"


def file_at(revision: str | None, path: Path | str) -> str | None:
    """Text of a git-tracked file at a revision, or of the working tree; None where there is none."""
    if revision is None:
        return read_text_if_there(path)
    done = run_tool("git", "show", f"{revision}:{path}")
    return decode(done.stdout, f"{path} at {revision}") if done.returncode == 0 else None


def template_root() -> Path:
    """Where the files of a new repository come from: the project's checkout, or the installed package."""
    checkout = Path(__file__).parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path(__file__).parent / "template"
