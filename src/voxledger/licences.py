"""What licences ask of what is made with the licensed thing."""

from __future__ import annotations

import re

KEPT = {"NC": "no commercial use", "SA": "the same licence", "ND": "nothing derived"}
"""Conditions of Creative Commons licences that what is made with the thing keeps, by their letters."""
_WRITTEN_OUT = {"NC": r"NON\W?COMMERCIAL", "SA": r"SHARE\W?ALIKE", "ND": r"NO\W?DERIV"}


def spdx(licence: str) -> str:
    """A licence as SPDX writes it.

    Examples
    --------
    >>> spdx("CC BY-NC-SA 4.0")
    'CC-BY-NC-SA-4.0'
    """
    return re.sub(r"\s+", "-", licence.strip())


def lost(licence: str, declared: str) -> tuple[str, ...]:
    """Conditions of a licence that a declared one does not keep.

    Examples
    --------
    >>> lost("CC BY-NC-SA 4.0", "CC-BY-4.0"), lost("CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0"), lost("MIT", "CC0-1.0")
    (('NC', 'SA'), (), ())
    >>> lost("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC BY-SA 4.0")
    ('NC',)
    """
    return tuple(letters for letters in KEPT if _asks(licence, letters) and not _asks(declared, letters))


def _asks(licence: str, letters: str) -> bool:
    """Whether a licence names a condition, by its letters or written out."""
    return bool(re.search(rf"(?<![A-Z]){letters}(?![A-Z])|{_WRITTEN_OUT[letters]}", licence.upper()))
