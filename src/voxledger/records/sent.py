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
from voxledger.repository import round_tag, tag_exists
from voxledger.textfile import replace_text

SHOWN = (layout.PSEUDO, layout.ATTENTION, layout.BUNDLES)
"""What people were shown, or what that was made from; under DVC."""
BRING_BACK = f"git restore {layout.ROUND} {layout.REPORTS} && dvc checkout --with-deps export"
"""Brings back what people were shown, in the repository that made it."""


UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1


class Sent(BaseModel):
    """The bundles of a round that went out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    round: int
    bundles: dict[str, str]
    """Id of every bundle, by the name of its folder."""


def read_sent(path: Path = layout.SENT) -> Sent | None:
    """The record; None before any bundle has gone out.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        return Sent.model_validate(upgraded(dict(values), UPGRADES, str(path)))
    except (OSError, ValueError, TypeError, RecursionError):
        raise VoxledgerError(f"{path} is damaged", f"run `git restore {path}`") from None


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
            f"see `git status` and `dvc status`: undo what changed with `git restore {layout.ROUND} "
            f"{layout.REPORTS} {layout.PARAMS} {layout.SCHEMA}`, `dvc checkout` (in a clone `dvc pull`); "
            "if nobody has begun to review, `voxledger round recall` takes the bundles back",
        )
