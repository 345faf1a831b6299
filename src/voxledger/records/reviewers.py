"""`reviewers.yaml`: who reviews, what qualifies them, and with which keys they sign; people edit it, git has it."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.reviewer_name import fault_of
from voxledger.signing import REVIEW, fingerprint
from voxledger.textfile import line_of, one_line, parse_yaml, read_text_if_there

_FIRST_DAY = date(1970, 1, 2)
"""Of an earlier one, `ssh-keygen` refuses the whole line."""


class KeyState(StrEnum):
    """What a key is worth at a time."""

    VALID = "valid"
    NOT_YET = "not yet valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


def _public_key(text: str) -> str:
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key: take it out, make a new one, and give the line of its .pub file")
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        fields = _fields(blob)
        whole = fields[0].decode("ascii") == words[0] and len(fields) > 1
    except (ValueError, IndexError, struct.error):
        whole = False
    if not whole or len(text.splitlines()) > 1:
        raise ValueError("this is no public key: give the line of a .pub file, such as `ssh-ed25519 AAAA…`")
    return " ".join(words[:2])


def _fields(blob: bytes) -> list[bytes]:
    """What a key holds: fields that each begin with their length, up to the end.

    Raises
    ------
    struct.error
        It was cut off.
    """
    found, at = list[bytes](), 0
    while at < len(blob) or not found:
        (size,) = struct.unpack_from(">I", blob, at)
        (field,) = struct.unpack_from(f"{size}s", blob, at + 4)
        found.append(field)
        at += 4 + size
    return found


class ReviewerKey(BaseModel):
    """One key of a reviewer. Days are those of UTC, and the first and last one count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, AfterValidator(_public_key)]
    """Type and key, as in a `.pub` file."""
    valid_from: date | None = Field(default=None, alias="from")
    until: date | None = None
    revoked: date | None = None
    """From this day on it does not count."""
    reason: str = ""
    """Why it was revoked."""

    @model_validator(mode="after")
    def _days_in_order(self) -> ReviewerKey:
        for day in (self.valid_from, self.until, self.revoked):
            if day is not None and day < _FIRST_DAY:
                raise ValueError(f"{day} is before all days that `ssh-keygen` knows, which begin in 1970")
        if self.valid_from and self.until and self.until < self.valid_from:
            raise ValueError(f"until {self.until} is before from {self.valid_from}")
        if (self.revoked is None) is not (not self.reason.strip()):
            raise ValueError("`revoked` (a day) and `reason` belong together")
        return self

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key.split()[1])

    def state(self, at: datetime) -> KeyState:
        """What the key is worth at a time."""
        day = at.astimezone(UTC).date()
        if self.revoked is not None and day >= self.revoked:
            return KeyState.REVOKED
        if self.until is not None and day > self.until:
            return KeyState.EXPIRED
        return KeyState.NOT_YET if self.valid_from is not None and day < self.valid_from else KeyState.VALID

    def told(self, state: KeyState) -> str:
        """A state in words, with its day."""
        return {
            KeyState.VALID: "valid",
            KeyState.NOT_YET: f"not valid before {self.valid_from}",
            KeyState.EXPIRED: f"expired after {self.until}",
            KeyState.REVOKED: f"revoked from {self.revoked} on: {one_line(self.reason)}",
        }[state]

    def allowed_signer(self, name: str) -> str:
        """A line for `ssh-keygen -Y verify`, which from OpenSSH 9.1 on knows the `Z` of UTC."""
        ends = [self.until + timedelta(days=1)] if self.until is not None and self.until < date.max else []
        ends += [self.revoked] if self.revoked is not None else []
        options = [f'namespaces="{REVIEW}"']
        options += [f'valid-after="{self.valid_from:%Y%m%d}Z"'] if self.valid_from is not None else []
        options += [f'valid-before="{min(ends):%Y%m%d}Z"'] if ends else []
        return f"{name} {','.join(options)} {self.key}"


class Reviewer(BaseModel):
    """One person who reviews."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    affiliation: str = ""
    qualification: str = ""
    keys: tuple[ReviewerKey, ...] = ()

    def key(self, print_: str) -> ReviewerKey | None:
        """The key of a fingerprint."""
        return next((key for key in self.keys if key.fingerprint == print_), None)

    @property
    def told(self) -> str:
        """Who that is, in words; empty where nothing is known."""
        return ", ".join(filter(None, map(one_line, (self.affiliation, self.qualification))))


_CORRECT = "correct the entry, and let every name stand there once: docs/curators.md shows one"

Reviewers = Mapping[str, Reviewer]
"""By the name that `export.reviewers` gives them."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reviewers: dict[str, Reviewer | None] | None = None


def read_reviewers() -> Reviewers:
    """Those of the working tree; none where there is no such file."""
    text = read_text_if_there(layout.REVIEWERS)
    return {} if text is None else parse_reviewers(text, str(layout.REVIEWERS))


def parse_reviewers(text: str, what: str) -> Reviewers:
    """Parse a `reviewers.yaml`; `what` names it in errors.

    Raises
    ------
    Misuse
        Names the line and the entry that is wrong; a name or a key stands there twice.
    """
    written = any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
    try:
        values: dict[str, Any] = parse_yaml(text, what) if written else {}
    except VoxledgerError as error:
        raise Misuse(error.problem, _CORRECT) from None
    try:
        found = {name: one or Reviewer() for name, one in (_File.model_validate(values).reviewers or {}).items()}
    except ValidationError as error:
        listed = "; ".join(
            f"line {line_of(text, e['loc'])}, {'.'.join(str(p) for p in e['loc'])}: "
            f"{e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise Misuse(f"{what}: {listed}", _CORRECT) from None
    for count in range(1, len(found) + 1):
        if fault := fault_of(names := [*found][:count]):
            line = line_of(text, ("reviewers", names[-1]))
            raise Misuse(f"{what}, line {line}: {fault}", "correct the name there")
    owners: dict[str, str] = {}
    for name, reviewer in found.items():
        for number, key in enumerate(reviewer.keys):
            if key.fingerprint in owners:
                line, first = line_of(text, ("reviewers", name, "keys", number)), owners[key.fingerprint]
                raise Misuse(
                    f"{what}, line {line}: the key {key.fingerprint} of {name} stands there as {first}'s already",
                    "leave it with the one whose key it is: of a key that two have, nobody knows who signed",
                )
            owners[key.fingerprint] = name
    return found
