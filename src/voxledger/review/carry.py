"""A return of a closed round, or of an adjudicator's bundle that was made anew, taken over into what is open now.

That goes as far as what it was drawn on is still what is proposed, and what readers say is what the adjudicator saw.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.bundles.carried import redrawn, why_not_now
from voxledger.bundles.disputes import READINGS, drawn_otherwise, said_in
from voxledger.bundles.part import Part
from voxledger.errors import Misuse
from voxledger.imaging.volume import file_sha256, read_grid, write
from voxledger.params import Outside
from voxledger.records.bundle import (
    LABELS,
    MANIFEST,
    Manifest,
    bundle_name,
    is_adjudication,
    read_manifest,
    says_what_was_sent,
    sent_bundles,
)
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, to_csv
from voxledger.records.ledger import read_ledger
from voxledger.review.receive import Received, receive
from voxledger.textfile import replace_text


@dataclass(frozen=True)
class Left:
    """A decision that was not taken over, and why: a person has to look."""

    case_id: str
    class_name: str
    why: str

    def __str__(self) -> str:
        return f"case {self.case_id}, class {self.class_name}: {self.why}"


@dataclass(frozen=True)
class Carried:
    """What became of a late return."""

    received: Received | None
    """The return of this round that it is now a part of; None where nothing could be taken over."""
    taken: tuple[tuple[str, str], ...]
    """Cases and classes."""
    left: tuple[Left, ...]


def carry(late: Path, bundles: Path, inbox: Path, round_number: int, outside: Outside = "unchanged") -> Carried:
    """Take a return of a closed round over into its reviewer's bundle of the open one.

    A decision is taken over where the class is proposed as it was then, voxel by voxel, and nobody has decided on it in
    this round. What was drawn is laid over what is proposed now.

    Parameters
    ----------
    late
        A folder that `receive` kept as late.
    bundles, inbox, round_number, outside
        As in `receive`.

    Raises
    ------
    Misuse
        Its reviewer has no bundle in this round, or its table cannot be read.
    """
    then = read_manifest((late / MANIFEST).read_bytes(), str(late / MANIFEST))
    expected = sent_bundles(bundles, round_number)
    found = {manifest.reviewer: (folder, manifest) for folder, manifest in expected.items()}
    if then.reviewer not in found:
        raise Misuse(
            f"{then.reviewer} has no bundle in round {round_number}",
            f"{late} stays where it is: carry it into a round in which {then.reviewer} has one",
        )
    sent, now = found[then.reviewer]
    old = Part.of(then, late, outside)
    if old is None:
        raise Misuse(f"{late / DECISIONS} cannot be read without a doubt", "correct a copy, and receive that")
    decided = _decided(now, inbox / bundle_name(round_number, now.reviewer), outside)
    left = [Left(*key, why) for key in sorted(old.rows) if (why := _why_not(key, then, now, decided))]
    if is_adjudication(sent):
        open_ = sorted(old.rows.keys() - {(one.case_id, one.class_name) for one in left})
        left += [Left(*key, why) for key in open_ if (why := _why_open_again(key, then, late, now, sent))]
    rows = {key: row for key, row in old.rows.items() if key not in {(one.case_id, one.class_name) for one in left}}
    resampled: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="voxledger-") as temporary:
        folder = Path(temporary) / sent.name
        shutil.copytree(sent, folder, ignore=shutil.ignore_patterns(DECISIONS))
        for case in sorted({case for case, _ in rows}):
            drawn = _draw(case, old, rows, folder)
            if drawn is not None:
                resampled |= {case} if drawn else set()
            else:
                left += [Left(c, name, "its label cannot be read") for c, name in sorted(rows) if c == case]
                rows = {key: row for key, row in rows.items() if key[0] != case}
        if not rows:
            return Carried(None, (), tuple(left))
        blank = {(a.case_id, a.class_name): Row(a.case_id, a.class_name) for a in now.asked}
        replace_text(folder / DECISIONS, to_csv({**blank, **rows}.values()))
        drawn_on = resampled & {case for case, _ in rows}
        received = receive(folder, bundles, inbox, round_number, outside=outside, resampled=drawn_on, carried=late)
    return Carried(received, tuple(sorted(rows)), tuple(left))


def _decided(now: Manifest, here: Path, outside: Outside) -> Mapping[tuple[str, str], Row]:
    """What a return in the inbox decides, if it is of the bundle as it is now."""
    manifest = here / MANIFEST
    of_now = manifest.is_file() and says_what_was_sent(manifest.read_bytes(), now)
    part = Part.of(now, here, outside) if of_now else None
    return part.rows if part is not None else {}


def _why_not(key: tuple[str, str], then: Manifest, now: Manifest, decided: Mapping[tuple[str, str], Row]) -> str:
    """Why a decision cannot be taken over; empty where it can."""
    if why := why_not_now(key, then, now):
        return why
    if key in decided:
        return "it has been decided on in this round"
    entry = read_ledger(layout.BASE_LEDGER).get(key)
    asked = {(a.case_id, a.class_name) for a in now.asked}
    if key not in asked and entry is not None and entry.reviewer and entry.version >= then.round:
        return f"{entry.reviewer} settled it in round {entry.version}, and {now.name} does not ask for it"
    return ""


def _why_open_again(key: tuple[str, str], then: Manifest, late: Path, now: Manifest, sent: Path) -> str:
    """Why a decision of an adjudicator cannot be taken over into the bundle that was made since; empty where it can."""
    asked = [{(a.case_id, a.class_name) for a in manifest.asked} for manifest in (then, now)]
    if key not in asked[1]:
        return "its readers agree on it now" if key in asked[0] else "it was not asked, and readers said more since"
    table, file = layout.RELEASE_READINGS.name, layout.label_map(Path(), key[0]).name
    needed = [p for p in then.files if p == table or (p.startswith(f"{READINGS}/") and p.endswith(f"/{file}"))]
    if any(not (late / path).is_file() or file_sha256(late / path) != then.files[path].sha256 for path in needed):
        return f"the return came without {table} and {READINGS}/, so nobody knows whether readers still say that"
    before, said = said_in(late).get(key), said_in(sent).get(key)
    if before != said or before is None:
        return "its readers do not say the same of it as before"
    readers = [row["reader"] for row in before]
    return drawn_otherwise(
        now.label_schema, key[1], key[0], [(sent / READINGS / r, late / READINGS / r) for r in readers]
    )


def _draw(case: str, old: Part, rows: Mapping[tuple[str, str], Row], folder: Path) -> bool | None:
    """Lay the revised classes of a case over what is proposed now; whether what was drawn lay on other voxels.

    None where it cannot be read.
    """
    revised = [name for (c, name), row in rows.items() if c == case and row.decision is Decision.REVISE]
    if not revised:
        return False
    found = redrawn(case, old, revised, folder)
    if found is None:
        return None
    path = folder / LABELS / f"{case}.nii.gz"
    grid = read_grid(path)
    path.unlink()  # a bundle under DVC may be read-only, and so is its copy
    write(path, found[0], grid)
    return found[1]
