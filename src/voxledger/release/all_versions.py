"""What the versions so far hold: texts in git's history, and through them the files that DVC keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.models.cohort import cohort_sha256
from voxledger.records.card import ModelCard, read_cards
from voxledger.records.cases import Case, parse_cases
from voxledger.repository import git, is_shallow, run_tool
from voxledger.textfile import decode, parse_yaml, read_text_if_there


def require_all_of_it() -> None:
    """Raise in a clone that lacks commits: what older versions hold could not be told."""
    if is_shallow():
        raise VoxledgerError("this clone lacks older commits", "run `git fetch --unshallow --tags`, then this again")


def texts(wanted: Callable[[PurePosixPath], bool]) -> Iterator[tuple[str, str]]:
    """Path and text of every state that a file ever had in a commit of any branch or tag, each once, and of today's."""
    # `rev-list --objects` names a content once, under whichever path has it first.
    form = ("-m", "--root", "--raw", "--no-renames", "--no-abbrev", "--format=", "-z")
    changes = git("-c", "log.showSignature=false", "log", "--all", "HEAD", *form).split("\0")
    found = {(how.split()[3], path): None for how, path in zip(changes[::2], changes[1::2], strict=False)}
    for blob, path in found:
        if wanted(PurePosixPath(path)) and blob.strip("0"):
            yield path, decode(run_tool("git", "cat-file", "blob", blob).stdout, f"{path} in {blob[:12]}")
    for path in git("-c", "core.quotePath=false", "ls-files").splitlines():
        text = read_text_if_there(path) if wanted(PurePosixPath(path)) else None
        if text is not None:
            yield path, text


def all_cases() -> list[Case]:
    """Every row that the case table ever had."""
    found: dict[tuple[str, str], Case] = {}
    for path, text in texts(lambda path: path == PurePosixPath(layout.CASES)):
        found |= {(case.case_id, case.patient): case for case in parse_cases(text, path)}
    return list(found.values())


@dataclass(frozen=True)
class Tracked:
    """A file or folder that DVC keeps, in some version."""

    path: str
    """In the repository."""
    oid: str
    """Its MD5, as DVC's objects are called; of a folder it ends with `.dir`."""


def tracked() -> set[Tracked]:
    """Every file and folder that DVC ever kept here, but those that are in git."""
    found = set()
    for path, text in texts(lambda path: path.suffix == ".dvc" or path.name == layout.LOCK.name):
        place = PurePosixPath(path).parent
        values = parse_yaml(text, path) or {}
        stages = [values] if path.endswith(".dvc") else list((values.get("stages") or {}).values())
        for out in (out for stage in stages for out in stage.get("outs") or []):
            if oid := out.get("md5"):
                found.add(Tracked((place / out["path"]).as_posix(), oid))
    return found


def learned_from(case_ids: set[str]) -> tuple[str, ...]:
    """Ids of all models that were trained on one of some cases, or that go on from one that was; sorted."""
    cohorts, cards = set[str](), dict[str, ModelCard]()
    tables = (layout.COHORT, layout.BASE_CARDS, layout.NEXT_CARDS)
    for path, text in texts(lambda path: Path(path) in tables):
        if Path(path) == layout.COHORT:
            if any(line.split(",", 1)[0] in case_ids for line in text.splitlines()[1:]):
                cohorts.add(cohort_sha256(text))
        else:
            cards |= {card.id: card for card in read_cards(text, path)}
    parents = {card.id: card.parent for card in cards.values()}
    return with_descendants({card.id for card in cards.values() if card.cohort in cohorts}, parents)


def with_descendants(ids: set[str], parents: dict[str, str]) -> tuple[str, ...]:
    """Some models and all that go on from one of them, by the parent of each; sorted."""
    found = set(ids)
    while more := {model for model, parent in parents.items() if parent in found} - found:
        found |= more
    return tuple(sorted(found))
