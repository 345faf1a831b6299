"""JSON records of a return, which come from outside: read strictly, in every format so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from voxledger.records.card import to_json
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import decode, parse_json, unreadable

_Record = TypeVar("_Record", bound=BaseModel)


def parse_returned(kind: type[_Record], content: bytes, what: Path | str, upgrades: Sequence[Upgrade]) -> _Record:
    """Parse a record; `what` names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged, or not such a record.
    """
    values: Any = parse_json(decode(content, str(what)), Path(what))
    try:
        if isinstance(values, dict):
            values = upgraded(values, upgrades, str(what))
        # Strict, but what is a tuple here is a list in JSON.
        return kind.model_validate_json(to_json(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise unreadable(what, f"{where}: {first['msg']}" if where else first["msg"]) from None
