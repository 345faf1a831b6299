"""What licences ask of what is made with the licensed thing."""

from __future__ import annotations

import re

KEPT = {"NC": "no commercial use", "SA": "the same licence", "ND": "nothing derived"}
"""Conditions of Creative Commons licences that what is made with the thing keeps, by their letters."""


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
    """
    return tuple(letters for letters in KEPT if letters in _parts(licence) and letters not in _parts(declared))


def _parts(licence: str) -> list[str]:
    return re.split(r"[\s-]+", licence.upper())
