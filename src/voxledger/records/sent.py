"""Whether people are looking at this round: `data/sent.json`, in git, from the moment its bundles go out.

What people were shown is frozen until the round is closed: proposals, attention and bundles are pulled, never computed
again, so that what comes back is merged into what they saw, on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.params import Params
from voxledger.records.formats import Upgrade, upgraded
from voxledger.repository import file_at, git, round_tag, tag_exists
from voxledger.textfile import replace_text

SHOWN = (layout.PSEUDO, layout.ATTENTION, layout.BUNDLES)
"""What people were shown, or what that was made from; under DVC."""
_READ = (
    *(layout.PARAMS, layout.SCHEMA, layout.CASES, layout.BASE),
    *(layout.dvc_file(folder) for folder in (layout.IMAGES, layout.WEAK)),
    f"'{layout.MODELS}/*.dvc'",  # a repository of before has no models/attention.dvc, and git refuses what it lacks
)
_RESTORE = "git restore --staged --worktree {} && dvc checkout --with-deps export"
# dvc.lock too: a `dvc repro` may have written there what it read, and DVC stages it.
BRING_BACK = _RESTORE.format(f"{layout.LOCK} {layout.ROUND} {layout.REPORTS}")
"""Brings back what people were shown, in the repository that made it."""
UNDO = _RESTORE.format(" ".join(map(str, (*_READ, layout.LOCK, layout.ROUND, layout.REPORTS))))
"""The same, and takes back every change of what that was made from."""
RECALL = "if nobody has begun to review, `voxledger round recall` takes the bundles back"


UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1


class Sent(BaseModel):
    """The bundles of a round that went out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    round: int
    bundles: dict[str, str]
    """Id of every bundle, by the name of its folder."""


def read_sent(revision: str | None = None) -> Sent | None:
    """The record in the working tree or at a revision; None before any bundle has gone out.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged, or was removed though git knows of it.
    """
    damaged = VoxledgerError(
        f"{layout.SENT} is damaged or was removed",
        f"run `git restore {layout.SENT}`; if `voxledger round recall` was interrupted, run that again",
    )
    try:
        text = file_at(revision, layout.SENT)
    except VoxledgerError:
        raise damaged from None
    try:
        values = None if text is None else dict(json.loads(text))
        return None if values is None else Sent.model_validate(upgraded(values, UPGRADES, str(layout.SENT)))
    except (ValueError, TypeError, RecursionError):
        raise damaged from None


def went_out(round_number: int, bundle_id: str) -> bool:
    """Whether a bundle is on record in the version that its round was closed as."""
    tag = round_tag(round_number)
    sent = read_sent(tag) if tag_exists(tag) else None
    return sent is not None and sent.round == round_number and bundle_id in sent.bundles.values()


def went_out_before(bundle_id: str) -> bool:
    """Whether a bundle was on record at some time, in what led to this commit; its id tells of which round it is."""
    return bool(git("log", "-1", "--format=%H", f"-S{bundle_id}", "--", layout.SENT, check=False).strip())


def write_sent(round_number: int, bundles: Mapping[str, str], path: Path = layout.SENT) -> None:
    """Record that these bundles of a round go out."""
    sent = Sent(round=round_number, bundles=dict(bundles))
    replace_text(path, json.dumps(sent.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")


def is_out(params: Params) -> bool:
    """Whether bundles of this round are out, and the round is not closed."""
    sent = read_sent()
    return sent is not None and sent.round == params.round and not tag_exists(round_tag(params.round))


def require_not_out(params: Params, stage: str) -> None:
    """Raise where a stage would make anew what people are looking at."""
    if is_out(params):
        raise VoxledgerError(
            f"{stage}: bundles of round {params.round} are out; what people were shown stays as it is until the round "
            "is closed, and is not computed again",
            f"see `git status` and `dvc status`: `{UNDO}` (in a clone then `dvc pull`) takes back all changes of what "
            f"people were shown and of what that was made from; {RECALL}",
        )


def require_no_bundles(params: Params, why: str) -> None:
    """Raise where bundles of this round are made or out, and a command would change what the round starts from."""
    made = layout.exported(params.round) and not tag_exists(round_tag(params.round))
    if made or is_out(params):
        raise VoxledgerError(
            f"bundles of round {params.round} are out; {why}",
            "do this once the next round is open, before `voxledger round run`; if nobody has begun to review, "
            "`voxledger round recall` first",
        )
