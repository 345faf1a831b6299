"""What a check of the machine is, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    NOTE = "note"
    """Nothing is broken, but something can not be done, or be done better."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of a check."""

    state: State
    said: str
    remedy: str = ""
    """What to do or type; empty where all is well."""


def ok(said: str) -> Finding:
    """All is well."""
    return Finding(State.OK, said)


def note(said: str, remedy: str) -> Finding:
    """Worth to know."""
    return Finding(State.NOTE, said, remedy)


def wrong(said: str, remedy: str) -> Finding:
    """Something will fail."""
    return Finding(State.WRONG, said, remedy)


@dataclass(frozen=True)
class Check:
    """One check, by the name of its file.

    What `look` raises is a line as well: a `VoxledgerError` with its remedy, a full disk or missing rights with theirs.
    """

    look: Callable[[], Iterator[Finding]]
    in_repository: bool = False
    """Whether it asks for the root of a curation repository as the current folder."""
