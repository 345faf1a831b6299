"""Opening the next round: the outputs of the closed one become its inputs."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.params import read_params
from voxledger.release.describe import described
from voxledger.release.elsewhere import require_closed_here_alone
from voxledger.release.facts import read_facts
from voxledger.release.inbox import clear, require_nothing_came_late
from voxledger.release.pipeline import changed_outputs, dvc_file_hash, known_stages, lock_hashes
from voxledger.release.state import opening, opening_file, version_tags
from voxledger.repository import commit_of, dvc_add, file_at, git, require_root, round_tag, tag_exists
from voxledger.textfile import read_text, replace_text

PROMOTED = {
    layout.RELEASE_LABELS: layout.BASE_LABELS,
    layout.RELEASE_REVISIONS: layout.BASE_REVISIONS,
    layout.NEXT_MODELS: layout.BASE_MODELS,
    layout.NEXT_ATTENTION: layout.BASE_ATTENTION,
}
"""Outputs of a closed round that become inputs of the next, under DVC."""
PROMOTED_FILES = {
    layout.RELEASE_LEDGER: layout.BASE_LEDGER,
    layout.HISTORY: layout.BASE_HISTORY,
    layout.ERRORS: layout.BASE_ERRORS,
    layout.DRAWN: layout.BASE_DRAWN,
    layout.JUDGED: layout.BASE_JUDGED,
    layout.RELEASE_READINGS: layout.BASE_READINGS,
    layout.NEXT_CARDS: layout.BASE_CARDS,
}
"""The same for files in git."""

LATER = (layout.RELEASE_READINGS, layout.DRAWN, layout.JUDGED, layout.NEXT_ATTENTION)
"""What rounds of an older voxledger do not have."""


def open_next() -> int:
    """Make the closed round's outputs the inputs of the next; returns its number.

    Killed at any point, it is finished by calling it again: it writes down first what it is about to do, every step
    may be repeated, and the commit, after which the round is open, comes last.

    Raises
    ------
    VoxledgerError
        The round is not closed, or what lies here is not what the tag recorded.
    """
    require_root()
    params, begun = read_params(), opening()
    number = params.round
    if begun is None and _is_just_opened(number):
        return number
    closed = number if begun is None else begun - 1
    tag, number = round_tag(closed), closed + 1
    if not tag_exists(tag):
        raise VoxledgerError(f"round {closed} is not closed", "run `voxledger round close` first")
    if begun is not None:
        _require_nothing_else_changed(number)
    elif commit_of("HEAD") != commit_of(tag) or git("status", "--porcelain"):
        raise VoxledgerError(
            f"the working tree is not what {tag} recorded", f"`git stash` your changes, or `git checkout {tag}`, first"
        )
    require_closed_here_alone(version_tags(params.dataset, closed), commit_of(tag))
    require_nothing_came_late(tag)
    _require_as_recorded(tag)
    replace_text(opening_file(), json.dumps({"round": number, "commit": commit_of(tag)}))
    _promote(tag)
    clear()
    shutil.rmtree(layout.TIMES, ignore_errors=True)
    for leftover in _of_the_closed():
        leftover.unlink(missing_ok=True)
    replace_text(layout.PARAMS, _with_round(read_text(layout.PARAMS), number))
    git("add", "--all")
    git("commit", "--quiet", "--message", _opened(number))
    opening_file().unlink()
    return number


def _require_as_recorded(tag: str) -> None:
    """Raise unless all that the next round starts from is here as the closed round recorded it."""
    recorded = lock_hashes(file_at(tag, layout.LOCK) or "")
    wanted = [s for s in (*PROMOTED, *PROMOTED_FILES) if s not in LATER or s.as_posix() in recorded]
    absent = [str(source) for source in wanted if not source.exists()]
    if absent:
        raise VoxledgerError(f"{', '.join(absent)} of {tag} is not here", "run `dvc pull`")
    changed = changed_outputs(*known_stages("import", "retrain", "learn"))
    altered = [str(source) for source in PROMOTED if source.as_posix() in changed]
    if altered:
        raise _altered(", ".join(altered), tag, "run `dvc checkout --force`, then again")


def _promote(tag: str) -> None:
    """Copy outputs to the inputs that they become; DVC's hash of the copy is compared with the one at the tag."""
    recorded = lock_hashes(file_at(tag, layout.LOCK) or "")
    promoted = {s: target for s, target in PROMOTED.items() if s not in LATER or s.as_posix() in recorded}
    for source, target in promoted.items():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    dvc_add(*promoted.values())
    for source, target in promoted.items():
        if dvc_file_hash(layout.dvc_file(target)) != recorded[source.as_posix()]:
            raise _altered(str(source), tag, "run `git checkout . && dvc checkout --force`, then again")
    for source, target in PROMOTED_FILES.items():
        if source.exists() or source not in LATER:
            replace_text(target, read_text(source))


def _altered(what: str, tag: str, remedy: str) -> VoxledgerError:
    return VoxledgerError(
        f"{what} is not what {tag} recorded in {layout.LOCK}, so the next round cannot start from it", remedy
    )


def _of_the_closed() -> list[Path]:
    """What `round close` wrote of the closed round, and is not true of the next."""
    return [*described(read_facts()), *layout.NOT_IN_MANIFEST]


def _opened(number: int) -> str:
    return f"Open round {number}"


def _is_just_opened(number: int) -> bool:
    """Whether HEAD is the commit that opened this round."""
    tag = round_tag(number - 1)
    parents = git("log", "-1", "--format=%P", check=False).split()
    subject = git("log", "-1", "--format=%s", check=False).strip()
    return subject == _opened(number) and tag_exists(tag) and parents == [commit_of(tag)]


def _require_nothing_else_changed(number: int) -> None:
    """Raise if files differ from HEAD that `open_next` does not write: somebody worked on after it was interrupted."""
    written = [*PROMOTED_FILES.values(), *map(layout.dvc_file, PROMOTED.values()), *_of_the_closed()]
    ours = {path.as_posix() for path in written}
    before = file_at("HEAD", layout.PARAMS) or ""
    if read_text(layout.PARAMS) in (before, _with_round(before, number)):
        ours.add(layout.PARAMS.as_posix())
    entries = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    cleared = (f"{layout.TIMES}/", f"{layout.INBOX}/bundle-")
    # What a killed process left of a text lies beside it under a hidden name, and goes when the text is written again.
    parts = tuple(Path(path).with_name(f".{Path(path).name}.").as_posix() for path in ours)
    foreign = [p for e in entries if (p := e[3:]) and p not in ours and not p.startswith((*cleared, *parts))]
    if foreign:
        raise VoxledgerError(
            f"`voxledger round open` was interrupted, and these changes are not its own: {', '.join(foreign)}",
            "undo them, or `git stash push --include-untracked -- FILE` them, then `voxledger round open` again",
        )


def _with_round(params: str, number: int) -> str:
    """The text of params.yaml with another round."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    values = yaml.load(params)
    values["round"] = number
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
