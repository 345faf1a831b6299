"""Closing a round: manifest, signature, commit, push of the data, tags."""

from __future__ import annotations

import sys
from pathlib import Path

from voxledger import layout
from voxledger.bundles.pulled import require_pulled
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import Params, read_params
from voxledger.records.cases import Split, in_split, read_cases
from voxledger.records.identity import LOOKED_AT, require_no_identity
from voxledger.records.worth import read_worth, sentence
from voxledger.release.committed import not_as_committed
from voxledger.release.describe import described, write_descriptions, write_statement
from voxledger.release.elsewhere import require_closed_here_alone
from voxledger.release.facts import read_facts
from voxledger.release.inbox import track_inbox
from voxledger.release.licence import require_licence
from voxledger.release.manifest import write_manifest
from voxledger.release.marked import require_settled
from voxledger.release.pipeline import changed, has_artifact, outputs, require_whole_dvc_files
from voxledger.release.state import evaluated_round, opening, release_name, require_open, version_tags
from voxledger.repository import commit_of, dvc_output, dvc_push, git, require_root, tag_exists
from voxledger.signing import RELEASE, sign


def close(push: bool = True) -> str:
    """Freeze the round: manifest, signature if a key is configured, commit, tags; returns the version's tag.

    May be repeated after it failed halfway, as when a key could not sign.

    Parameters
    ----------
    push
        Whether to push the data to the remote, where one is configured, before the tags are set.

    Raises
    ------
    VoxledgerError
        The pipeline is not up to date, a file does not belong to the version, a model or source does not allow the
        licence that is declared, or the round is closed already.
    """
    require_root()
    params = read_params()
    tags = version_tags(params.dataset, params.round)
    _require_closable(params, tags)
    require_no_identity(LOOKED_AT, params.dataset, params.cases.not_identity, "`voxledger round close`")
    require_pulled(layout.INBOX)
    track_inbox()
    if stale := changed():
        raise VoxledgerError(
            f"round {params.round} is not up to date: {', '.join(stale)}", "run `voxledger round run` first"
        )
    _require_no_untracked_files()
    key = git("config", "user.signingkey", check=False).strip()
    signed = bool(key) and git("config", "gpg.format", check=False).strip() == "ssh"
    _commit(params, str(Path(key).expanduser()) if signed else None)
    _require_committed()
    if push and dvc_output("remote", "list").strip():
        dvc_push()
    for tag in tags:
        if not tag_exists(tag):
            message = f"{params.dataset} {release_name(params.round)}"
            git("tag", "--sign" if signed else "--annotate", tag, "--message", message)
    return tags[1]


def _require_closable(params: Params, tags: tuple[str, str]) -> None:
    """Raise unless the round is open here and everywhere, whole, evaluated, and can be got by its name."""
    if opening() is not None:
        require_open(params)
    require_whole_dvc_files()
    _warn_of_cohorts()
    if all(tag_exists(t) for t in tags):
        require_open(params)
    else:
        _require_tags_of_this_commit(tags)
    require_closed_here_alone(tags, commit_of("HEAD"))
    require_licence(params.licence)
    require_settled()
    if evaluated_round() != params.round:
        raise VoxledgerError(f"round {params.round} has not been evaluated", "run `voxledger round run` first")
    if not has_artifact(params.dataset):
        raise Misuse(
            f"{layout.PIPELINE} has no artifact named {params.dataset}, so `dvc artifacts get` would not find the "
            "version",
            f"give the artifact in {layout.PIPELINE} and `dataset` in {layout.PARAMS} the same name",
        )


def _require_tags_of_this_commit(tags: tuple[str, ...]) -> None:
    """Raise if one of the tags names another commit than HEAD: a close that failed halfway left it at HEAD."""
    for tag in tags:
        if tag_exists(tag) and commit_of(tag) != commit_of("HEAD"):
            raise VoxledgerError(
                f"the tag {tag} exists already and names another commit",
                f"if it was set by mistake, `git tag -d {tag}`; otherwise raise `round` in {layout.PARAMS}",
            )


def _warn_of_cohorts() -> None:
    """Say which sources of the pool were last found to make models worse."""
    worth = read_worth()
    if worth is None:
        return
    sources = {case.source for case in in_split(read_cases(), Split.POOL)}
    for verdict in worth.verdicts:
        if verdict.says == "hurts" and verdict.cohort in sources:
            found = f"as found in round {verdict.round}: {layout.WORTH_PAGE}"
            print(f"warning: {sentence(verdict)}, {found}", file=sys.stderr)


def _require_no_untracked_files() -> None:
    """Raise if files lie here that are in no version: they may hold what must not be published."""
    ours = {path.as_posix() for path in (layout.LOCK, *layout.NOT_IN_MANIFEST)}
    ours |= {out.path for out in outputs()}
    untracked = git("-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard").splitlines()
    inputs = f"{layout.DATA}/"
    foreign = [f for f in untracked if f not in ours and not (f.startswith(inputs) and f.endswith(".dvc"))]
    if foreign:  # a close that failed halfway left descriptions
        written = {path.as_posix() for path in described(read_facts())}
        foreign = [f for f in foreign if f not in written]
    if foreign:
        shown = ", ".join(foreign[:10]) + (f" and {len(foreign) - 10} more" if len(foreign) > 10 else "")
        raise VoxledgerError(
            f"these files are not part of a version: {shown}",
            "move them away, list them in .gitignore, or `git add` those that shall be published",
        )


def _commit(params: Params, key: str | None) -> None:
    """Commit the version with its manifest, signed if there is a key, unless a close that failed halfway did."""
    release = release_name(params.round)
    message = f"Close round {params.round}: {params.dataset} {release}"
    if git("log", "-1", "--format=%s", check=False).strip() == message and not git("status", "--porcelain"):
        return
    for path in layout.NOT_IN_MANIFEST:
        path.unlink(missing_ok=True)
    git("add", "--", *map(str, write_descriptions()))
    write_manifest(params.dataset, params.round, release)
    write_statement()
    if key is not None:
        sign(layout.MANIFEST, key, RELEASE)
    git("add", "--all")
    git("commit", "--quiet", "--message", message)


def _require_committed() -> None:
    """Raise if git did not take files as they are: a clone would hold others than the manifest names."""
    if hidden := not_as_committed("HEAD"):
        shown = ", ".join(hidden[:10]) + (f" and {len(hidden) - 10} more" if len(hidden) > 10 else "")
        raise VoxledgerError(
            f"git did not commit these files as they are here, since it was told not to look, or a filter "
            f"changes them: {shown}",
            "run `git update-index --no-assume-unchanged FILE` and `git update-index --no-skip-worktree FILE`, or take "
            "the filter out of .gitattributes and git's configuration (core.autocrlf); then `voxledger round close`",
        )
