"""A new curation repository, from the same files that the root of the project uses."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.cases import write_cases
from voxledger.records.ledger import write_ledger
from voxledger.records.tables import formats
from voxledger.repository import (
    TEMPLATE_NAME,
    add_remote,
    dvc,
    dvc_add,
    git,
    keep_secrets_private,
    run_tool,
    template_root,
)
from voxledger.textfile import replace_text


def init(folder: Path, name: str, remote: str = "") -> None:
    """Make a curation repository in a new or empty folder, from the same files that the project's root uses.

    Parameters
    ----------
    name
        Of the dataset; its versions are tagged NAME@vX.Y.Z.
    remote
        Url of the DVC remote that data is pushed to, if there is one yet: what comes from it is verified.

    Raises
    ------
    Misuse
        The folder is none, is not empty, or lies in another curation repository, which would track it.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise Misuse(f"{name!r} cannot name a dataset", "use --name with lower-case letters, digits and hyphens")
    require_new(folder)
    _require_outside(Path(os.path.realpath(folder)))
    require_identity()
    new = not folder.exists()
    try:
        _make(folder, name, remote)
    except BaseException:
        # It was new or empty: nothing in it is anybody's.
        for made in [folder] if new else folder.iterdir():
            shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink(missing_ok=True)
        raise


def require_identity() -> None:
    """Raise `Misuse` unless git knows whose commits these are."""
    if not git("var", "GIT_COMMITTER_IDENT", check=False):
        raise Misuse("git does not know who you are", 'run `git config --global user.name "…"` and `… user.email …`')


def require_new(folder: Path) -> None:
    """Raise `Misuse` unless a folder is empty, or may be made."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise Misuse(f"{place} is no folder", "give the name of a new folder")
            break
    if folder.exists() and any(folder.iterdir()):
        raise Misuse(f"{folder} is not empty", "give the name of a new folder")


def _require_outside(folder: Path) -> None:
    """Raise `Misuse` for a folder in another repository, unless all of its place there is left alone, as `demo/`."""
    marks = (layout.PIPELINE, layout.PARAMS, Path(".dvc"), Path(".git"))
    for outer in folder.parents:
        if all((outer / mark).exists() for mark in marks):
            top = folder.relative_to(outer).parts[0]
            if run_tool("git", "-C", outer, "check-ignore", "--quiet", "--no-index", f"{top}/").returncode != 0:
                raise Misuse(
                    f"{outer} is a curation repository, and one within another would be taken for a part of it",
                    "give the name of a folder outside it",
                )


def _make(folder: Path, name: str, remote: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = template_root()
    for item in layout.TEMPLATE:
        (folder / item).parent.mkdir(parents=True, exist_ok=True)
        if (source / item).is_dir():
            shutil.copytree(source / item, folder / item, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copyfile(source / item, folder / item)
    for file in (layout.PIPELINE, layout.PARAMS):
        text = (folder / file).read_text("utf-8")
        replace_text(folder / file, text.replace(TEMPLATE_NAME, name))
    before = Path.cwd()
    os.chdir(folder)
    try:
        git("init", "--quiet", "--initial-branch", "main")
        if dvc("init", quiet=True) != 0:
            raise VoxledgerError("`dvc init` failed", "see its message above")
        dvc("config", "core.analytics", "false", quiet=True)
        dvc("config", "core.autostage", "true", quiet=True)
        keep_secrets_private()
        if remote:
            add_remote("storage", remote)
        write_cases(layout.CASES, [])
        replace_text(layout.FORMATS, formats())
        write_ledger(layout.BASE_LEDGER, {}, [])
        for folder in (*layout.INPUTS, layout.REPORTS):
            folder.mkdir(parents=True)
        for table in layout.CARRIED:
            replace_text(table, "")
        replace_text(layout.BASE_CARDS, "[]\n")
        dvc_add(*layout.INPUTS)
        git("add", "--all")
        git("commit", "--quiet", "--message", "New curation repository")
    finally:
        os.chdir(before)
