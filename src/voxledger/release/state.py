"""Whether the round is open, half open, evaluated: what commands ask before they change it."""

from __future__ import annotations

from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.params import Params
from voxledger.repository import commit_of, git, round_tag, tag_exists
from voxledger.textfile import read_json_if_there


def version_tags(dataset: str, number: int) -> tuple[str, str]:
    """Both tags of the version that a round becomes; the first is the round's."""
    return round_tag(number), f"{dataset}@{release_name(number)}"


def release_name(number: int) -> str:
    """The version that a round becomes."""
    return f"v{number}.0.0"


def opening_file() -> Path:
    """Where `voxledger round open` writes down what it is about to do; in `.git`, so that it is of this clone alone."""
    return Path(git("rev-parse", "--git-path", "voxledger-opening").strip())


def opening() -> int | None:
    """The round that an interrupted `voxledger round open` was making, or None."""
    record = read_json_if_there(opening_file(), "round", "commit")
    # After its commit nothing is left to do, and elsewhere in the history the record means nothing.
    return int(record["round"]) if record and record["commit"] == commit_of("HEAD") else None


def evaluated_round() -> int | None:
    """The round that the metrics in the working tree speak of."""
    metrics = read_json_if_there(layout.METRICS, "round")
    return None if metrics is None else int(metrics["round"])


def require_open(params: Params) -> None:
    """Raise unless the round of params.yaml is still open."""
    if (number := opening()) is not None:
        raise VoxledgerError(
            f"`voxledger round open` was interrupted, so round {number} is half open",
            "run `voxledger round open` again",
        )
    if tag_exists(round_tag(params.round)):
        raise VoxledgerError(f"round {params.round} is closed", "run `voxledger round open` to start the next one")
