"""A reviewer signs what goes back."""

from __future__ import annotations

from pathlib import Path

from voxledger.errors import Misuse
from voxledger.records.bundle import MANIFEST, SIGNATURE, SIGNED
from voxledger.records.signature import list_content
from voxledger.signing import REVIEW, sign
from voxledger.textfile import replace_text


def sign_return(folder: Path, key: Path) -> int:
    """Write `return.sha256` and its signature into a folder that goes back; returns how many files it lists.

    Those of before are replaced: they were of what the folder held then.

    Raises
    ------
    Misuse
        The folder is no bundle.
    VoxledgerError
        The key cannot sign; what was there stays.
    """
    if not (folder / MANIFEST).is_file():
        raise Misuse(f"{folder} holds no {MANIFEST}", "give the folder that you were sent, unpacked")
    text = list_content(folder)
    draft = folder / f".{SIGNED}"
    try:
        replace_text(draft, text)
        sign(draft, str(key), REVIEW)
        draft.with_name(f"{draft.name}.sig").replace(folder / SIGNATURE)
        draft.replace(folder / SIGNED)
    finally:
        draft.unlink(missing_ok=True)
    return len(text.splitlines())
