"""What was sent where, and which uploads came in: `data/exchange/`, in git, so that every clone can fetch.

One file a sending, and one an upload, so that what two clones write never meets in one file; of the same
upload both write the same. Links that were signed, passwords and names of uploads are in none: links and passwords are
secrets, and a name may hold that of a patient. Uploads that count in no round, as they were refused or came late, are
kept by the clone that fetched them, which alone writes down that it did, in `data/fetched`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger import layout
from voxledger.records.bundle import PREFIX
from voxledger.records.formats import Upgrade, upgraded
from voxledger.repository import git
from voxledger.reviewer_name import PATTERN as REVIEWER
from voxledger.textfile import parse_json, read_json, read_json_if_there, replace_text, unreadable

UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1


_Reviewer = Annotated[str, Field(pattern=rf"^{REVIEWER}$")]
"""Part of paths at the place."""
_Bundle = Annotated[str, Field(pattern=rf"^{PREFIX}r\d{{2,9}}-{REVIEWER}$")]
"""Name of a folder of the inbox."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sending(_Strict):
    """A bundle that lies where its reviewer gets it."""

    format: int = FORMAT
    bundle: _Bundle
    """Its name."""
    id: str
    """Of the bundle."""
    reviewer: _Reviewer
    to: str
    """The place as it was named: a DVC remote, or `CARRIER:PLACE`."""
    at: str
    """When, in UTC."""
    until: str | None = None
    """When links to it expire, in UTC; None where there are none."""


class Upload(_Strict):
    """One upload of a reviewer that was fetched."""

    format: int = FORMAT
    reviewer: _Reviewer
    to: str
    """The place that it was fetched from."""
    bytes: int
    sha256: str
    """Of the file; empty where it was too large to be fetched."""
    bundle: _Bundle | None
    """Name of the bundle that it is a return of; None where it counts in no round."""


_Record = TypeVar("_Record", Sending, Upload)


def note_sending(sending: Sending) -> None:
    """Write down that a bundle was sent, and commit that."""
    path = layout.sent_note(sending.bundle, _short(sending.to, sending.at))
    _write(path, sending)
    if git("diff", "--cached", "--name-only", "--", path).strip():
        message = f"{sending.bundle} is sent to {sending.reviewer}"
        git("commit", "--quiet", "--message", message, "--", path)


def read_sendings() -> list[Sending]:
    """Where every bundle was sent, sorted by bundle and place."""
    return [_read(path, Sending) for path in layout.sent_notes()]


def parse_sending(text: str, what: Path | str) -> Sending:
    """Parse a note of a sending; `what` names it in errors."""
    return _parse(parse_json(text, what), Sending, what)


def upload_name(to: str, reviewer: str, name: str, version: str) -> str:
    """A short name that an upload has in every clone; another version of a file is another upload."""
    return f"{reviewer}-{_short(to, name, version)}"


def note_upload(name: str, upload: Upload) -> None:
    """Write down that an upload came in; if it counts, that is committed with what was received."""
    if upload.bundle is None:
        replace_text(_own_note(name), _json(upload))
    else:
        _write(layout.fetched_note(name), upload)


def fetched(name: str) -> Upload | None:
    """The upload of a short name; None if neither this clone nor, as far as it knows, another has fetched it."""
    path = next((p for p in (_own_note(name), layout.fetched_note(name)) if read_json_if_there(p) is not None), None)
    return None if path is None else _read(path, Upload)


def _own_note(name: str) -> Path:
    return layout.FETCHED / f"{name}.json"


def _short(*words: str) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]


def _read(path: Path, kind: type[_Record]) -> _Record:
    return _parse(read_json(path), kind, path)


def _parse(values: Any, kind: type[_Record], what: Path | str) -> _Record:
    try:
        return kind.model_validate(upgraded(values, UPGRADES, str(what)))
    except ValidationError as error:
        raise unreadable(what, str(error.errors()[0]["msg"])) from None


def _write(path: Path, record: BaseModel) -> None:
    replace_text(path, _json(record))
    git("add", "--", path)


def _json(record: BaseModel) -> str:
    return json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
