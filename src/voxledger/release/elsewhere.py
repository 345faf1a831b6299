"""Whether somebody else closed the same round: what the git remotes say, where they can be reached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from voxledger.errors import VoxledgerError
from voxledger.process import environment_here
from voxledger.repository import git, is_ancestor, tag_exists

SECONDS = 10.0
"""A remote that does not answer in this time counts as out of reach."""


def require_closed_here_alone(tags: tuple[str, ...], ours: str) -> None:
    """Raise if the tag of a round names another commit at a remote: going on would make two datasets of one.

    A remote that is out of reach, or does not have the tag, is named on standard error.

    Parameters
    ----------
    tags
        Of the version; the first is the round's.
    ours
        The commit that they name here, or are about to name.

    Raises
    ------
    VoxledgerError
        Says who closed the round there, and how to go on from theirs.
    """
    tag = tags[0]
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False).strip()
    for remote in git("remote").split():
        try:
            listed = _ask("ls-remote", remote, f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}", f"refs/heads/{branch}")
        except OSError as error:
            print(f"{remote} cannot be asked whether it has {tag} ({error}): going on without", file=sys.stderr)
            continue
        found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
        # Of an annotated tag the second entry names the commit.
        theirs = found.get(f"refs/tags/{tag}^{{}}") or found.get(f"refs/tags/{tag}")
        if theirs is not None and theirs != ours:
            raise _closed_there(remote, tags, theirs, branch if f"refs/heads/{branch}" in found else "")


def _closed_there(remote: str, tags: tuple[str, ...], theirs: str, branch: str) -> VoxledgerError:
    tag = tags[0]
    published, who = tag, "somebody"
    try:
        _ask("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, f"refs/tags/{tag}")
        who = git("log", "-1", "--date=format:%Y-%m-%d %H:%M", "--format=%an, %ad", theirs).strip()
        if branch:
            _ask("fetch", "--quiet", "--no-tags", remote, f"refs/heads/{branch}:refs/remotes/{remote}/{branch}")
            published = f"{remote}/{branch}" if is_ancestor(theirs, f"{remote}/{branch}") else tag
    except (OSError, VoxledgerError):
        pass
    here = [t for t in tags if tag_exists(t)]
    commands = [
        f"git branch my-{tag}",
        "git stash --include-untracked",
        *([f"git tag --delete {' '.join(here)}"] if here else []),
        f"git fetch --tags {remote}",
        f"git reset --keep {published}",
        "dvc pull",
    ]
    return VoxledgerError(
        f"{tag} was set at {remote} by another ({who}): it names commit {theirs[:12]} there; going on from here would "
        "make two datasets of one",
        f"what is published counts. To go on from it, and keep what is here as branch my-{tag} and in `git stash`: "
        f"`{' && '.join(commands)}`; then `voxledger round status`",
    )


def _ask(*arguments: str) -> str:
    """What a git command says that talks to a remote; it asks nobody for a password, and does not wait for long.

    Raises
    ------
    OSError
        The remote is out of reach.
    """
    environment = environment_here(LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="")
    if "GIT_SSH" not in environment:
        ssh = environment.get("GIT_SSH_COMMAND") or git("config", "core.sshCommand", check=False).strip() or "ssh"
        environment["GIT_SSH_COMMAND"] = f"{ssh} -o BatchMode=yes -o ConnectTimeout={SECONDS:.0f}"
    process = subprocess.Popen(
        ["git", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, wrong = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        # With the ssh or the helper that it started.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise OSError(f"no answer within {SECONDS:.0f} s") from None
    if process.returncode != 0:
        raise OSError((wrong.strip().splitlines() or ["git failed"])[0])
    return said
