"""What reviewers may be called: their names are part of file names, on every system."""

from __future__ import annotations

import re
from collections.abc import Iterable

PATTERN = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"


def fault_of(names: Iterable[str]) -> str:
    """Why some names cannot be those of reviewers, in words; empty where they can.

    Examples
    --------
    >>> fault_of(["ann", "reader-2"])
    ''
    >>> fault_of(["ann+ben"])
    "reviewer 'ann+ben' cannot be part of a file name: use up to 40 letters (A-Z, a-z), digits, - and _"
    >>> fault_of(["ann", "Ann"])
    'reviewers ann and Ann differ by capitals alone, and some file systems take them for one: rename one of them'
    """
    seen: dict[str, str] = {}
    for name in names:
        if not re.fullmatch(PATTERN, name):
            use = "use up to 40 letters (A-Z, a-z), digits, - and _"
            return f"reviewer {name!r} cannot be part of a file name: {use}"
        if (first := seen.setdefault(name.lower(), name)) != name:
            told = "differ by capitals alone, and some file systems take them for one: rename one of them"
            return f"reviewers {first} and {name} {told}"
    return ""
