"""What can be wrong with a mask: what reviewers name in `decisions.csv`, and what is told from the masks themselves."""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """What was wrong with the proposal of a class."""

    NONE = "none"
    FALSE_POSITIVE = "false_positive"
    FALSE_NEGATIVE = "false_negative"
    BOUNDARY = "boundary"
    WRONG_CLASS = "wrong_class"
    MERGED = "merged"
    SPLIT = "split"
    LEFT_RIGHT = "left_right"

    @property
    def meaning(self) -> str:
        """What reviewers are told that it means."""
        return _MEANINGS[self]


_MEANINGS = {
    ErrorKind.NONE: "nothing",
    ErrorKind.FALSE_POSITIVE: "labelled where there is none",
    ErrorKind.FALSE_NEGATIVE: "missed, all or part of it",
    ErrorKind.BOUNDARY: "right place, wrong outline",
    ErrorKind.WRONG_CLASS: "right outline, wrong name",
    ErrorKind.MERGED: "two structures labelled as one",
    ErrorKind.SPLIT: "one structure labelled in pieces",
    ErrorKind.LEFT_RIGHT: "sides mixed up",
}

MIXED_UP = (ErrorKind.LEFT_RIGHT, ErrorKind.WRONG_CLASS)
"""Said of classes that were right in outline and wrong in name."""
