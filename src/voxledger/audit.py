"""Blind audits: cases drawn by chance from those that nobody was going to look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Audit:
    """What the audit of one round found."""

    round: int
    cases: int
    """Predicted cases that were drawn and decided on."""
    with_errors: int
    """Those of them in which a class was revised or rejected."""
    population: str
    """Hash of what was asked: the cases of the pool and the classes; audits of other ones say nothing about these.

    Empty for a round whose history does not tell.
    """
