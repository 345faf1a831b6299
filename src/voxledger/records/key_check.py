"""`data/key_check.json`: by what the key of pseudonyms is recognised, which lies outside of the repository.

It is a keyed hash of a fixed text. Another key, by which the same person would get another pseudonym, is refused by it;
of the key, which is 32 random bytes, it says nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from voxledger import layout
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import read_json_if_there, replace_text

UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1
_TEXT = b"voxledger key check"


def check_of(key: bytes) -> str:
    """HMAC-SHA-256 of a fixed text, in hexadecimal digits."""
    return hmac.new(key, _TEXT, hashlib.sha256).hexdigest()


def read_key_check(repository: Path) -> str | None:
    """The check value of the key that this dataset was made with; None where none is noted, as before 0.4.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged, or was removed though git knows of it.
    """
    path = repository / layout.KEY_CHECK
    values = read_json_if_there(path, "check")
    return None if values is None else str(upgraded(values, UPGRADES, str(path))["check"])


def note_key(key: bytes) -> None:
    """Write down in the repository of the current folder by what its key is recognised, where nothing is noted yet."""
    if read_key_check(Path()) is None:
        text = json.dumps({"format": FORMAT, "check": check_of(key)}, indent=1) + "\n"
        replace_text(layout.KEY_CHECK, text)
