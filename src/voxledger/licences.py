"""What licences ask of what is made with the licensed thing."""

from __future__ import annotations

import re

from voxledger.params import UNSPECIFIED

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


def spdx_url(licence: str) -> str:
    """The page of a licence that SPDX lists; empty for others.

    Examples
    --------
    >>> spdx_url("CC BY 4.0"), spdx_url("unspecified")
    ('https://spdx.org/licenses/CC-BY-4.0', '')
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        name = canonicalize_license_expression(spdx(licence))
    except InvalidLicenseExpression:
        return ""
    return f"https://spdx.org/licenses/{name}" if " " not in name else ""


def hub_licence(licence: str) -> dict[str, str]:
    """A licence as cards of Hugging Face have it: by its id in small letters, or as another one by its name.

    Examples
    --------
    >>> hub_licence("CC-BY-4.0"), hub_licence("unspecified"), hub_licence("ours alone")
    ({'license': 'cc-by-4.0'}, {'license': 'unknown'}, {'license': 'other', 'license_name': 'ours alone'})
    """
    if licence in ("", UNSPECIFIED):
        return {"license": "unknown"}
    return {"license": spdx(licence).lower()} if spdx_url(licence) else {"license": "other", "license_name": licence}


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
