"""Removing what DVC keeps of patients who were withdrawn, from the cache and all remotes, and nobody else's.

`dvc gc` cannot: it keeps what any tag names, or drops all that none of those given does. So objects are told by their
paths in every version that git knows, and removed one by one. An object that is also another case's, as an empty mask
may be, stays. What is going to be removed is written down and signed first, and listings of folders are changed once
what they list is gone, so that a purge that was killed, or that could not reach a remote, is finished by the next one.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import read_params
from voxledger.records.case_files import SOFT, case_of
from voxledger.records.cases import read_cases
from voxledger.records.manifest import read_manifest
from voxledger.records.pseudonyms import Pseudonyms
from voxledger.records.purged import Purged, Removed, file_digest, parse_purged, write_purged
from voxledger.records.withdrawn import read_withdrawn, recognise
from voxledger.release.all_versions import Tracked, all_cases, require_all_of_it, texts, tracked
from voxledger.release.leftovers import leftovers
from voxledger.release.objects import FOLDER, Listing, Place, Places, is_whole, places, said, union, without
from voxledger.release.out_of_reach import former_remotes, sent
from voxledger.release.state import require_open
from voxledger.release.times import now
from voxledger.repository import file_at, git, require_nobody_runs, require_root
from voxledger.signing import WITHDRAWAL, sign, signed_by

_SHOWN = (layout.BUNDLES, layout.ADJUDICATION)
_UNCLEAR = (
    ", which no commit here names, and which have files called as the patient's: of another repository, or of a run "
    "that was never committed"
)
_UNKNOWN = ": what it still holds is not known"


@dataclass
class Plan:
    """What a purge removes, and what stays."""

    at: Places
    purged: Purged
    """The list that is signed."""
    objects: set[str]
    """MD5 of what is removed."""
    shared: set[str]
    """MD5 of what others have, too: it stays."""
    folders: dict[str, Listing]
    """What the listings of folders say afterwards, of those that list a file of a patient's."""
    cut: set[str] = field(default_factory=set)
    """Folders of which the listing lacks files of a patient's, or will."""
    unread: list[str] = field(default_factory=list)
    """Folders of older versions of which no place has the listing."""
    elsewhere: list[str] = field(default_factory=list)
    """Where else the patient's files may lie: remotes that are not configured any more, and where bundles were sent."""
    named: list[Path] = field(default_factory=list)
    """Files of the working tree that still name a case or patient who was withdrawn."""

    def there(self) -> dict[str, int]:
        """How many objects lie where, by place."""
        return {one.name: len(one.there(self.objects)) for one in self.at.found}


@dataclass(frozen=True)
class Done:
    """What became of a purge."""

    removed: dict[str, int]
    """How many objects went, by place; also of a place that still has others."""
    left: dict[str, str]
    """Places that still hold what should have gone, or may, and why."""
    versions: dict[str, list[str]] = field(default_factory=dict)
    """Commands that remove what buckets keep of it as older versions, by place."""


def plan(key: Pseudonyms) -> Plan:
    """Look what is to be removed.

    Raises
    ------
    Misuse
        Nobody was withdrawn, or under another key.
    VoxledgerError
        The round is closed, this clone is shallow, a withdrawal is not committed, a case of the name is registered
        again, or what a remote alone knows, which could not be reached, is needed to tell whose an object is.
    """
    require_root()
    require_open(read_params())  # the list is of the next version: behind a closed one, no round could be opened
    require_all_of_it()
    require_nobody_runs()
    owners = _owners(key)
    known = {c.case_id for c in all_cases()}
    at = places()
    listings, unread, strange = _listings(tracked(), at.found)
    if at.closed and unread:
        raise VoxledgerError(
            f"{'; '.join(f'{name}: {why}' for name, why in at.closed.items())}; and no other place lists what these "
            f"folders of older versions hold, so what is the patient's alone is not known: {', '.join(unread[:5])}",
            "run this again once that can be reached, or take out the remote if it is gone (`dvc remote remove`)",
        )
    mine: dict[str, set[str]] = {patient: set() for patient in owners.values()}
    others, bundles = set[str](), set[str]()
    changed: dict[str, Listing] = {}
    for one, listing in listings:
        gone = set()
        for (oid, path), owner in zip(listing, _whose(one, listing, owners, known), strict=True):
            (others if owner is None else mine[owner]).add(oid)
            gone |= set() if owner is None else {path}
        bundles |= {PurePosixPath(path).parts[0] for path in gone if Path(one.path) in _SHOWN}
        if gone and one.oid.endswith(FOLDER):
            changed[one.oid] = without(changed.get(one.oid, listing), gone)
    folders = [(one.oid, listing) for one, listing in listings if one.oid.endswith(FOLDER)]
    cut = {oid for oid, listing in folders if oid in changed or not is_whole(oid, listing)}
    unclear = Counter[str]()
    for place, one, listing in strange:
        by = list(zip(listing, _whose(one, listing, owners, known), strict=True))
        others |= {oid for (oid, _), owner in by if owner is None}
        unclear[place] += any(owner is not None for _, owner in by)
    purged = _list(owners, known, mine, others, _signed_before())
    theirs = {oid for removed in purged.patients.values() for oid in removed.objects}
    shared = (theirs | {oid for ids in mine.values() for oid in ids}) & others
    elsewhere = [*former_remotes(), *sent(bundles)]
    elsewhere += [f"{count} folders of {place}{_UNCLEAR}" for place, count in (+unclear).items()]
    named = leftovers(*_names(owners.keys()))
    return Plan(at, purged, theirs - others, shared, changed, cut, sorted(unread), elsewhere, named)


def carry_out(what: Plan) -> Done:
    """Write down, sign and commit what goes, then remove it, place by place: one that fails keeps no other from it.

    Raises
    ------
    VoxledgerError
        No key is configured.
    """
    _sign(what.purged)
    removed, versions = dict[str, int](), dict[str, list[str]]()
    left = {name: f"{why}{_UNKNOWN}" for name, why in what.at.closed.items()}
    for place in what.at.found:
        try:
            removed[place.name] = place.remove(what.objects)
            for folder in sorted(what.folders.keys() & place.folders):
                if place.listing(folder) != what.folders[folder]:
                    place.list_anew(folder, what.folders[folder])
        except Exception as error:  # each kind of remote has its own
            left[place.name] = _left(place, what, said(error))
            continue
        try:
            if commands := place.kept_versions({*what.objects, *what.cut}):
                left[place.name] = f"the bucket keeps {len(commands)} versions of what is removed"
                versions[place.name] = commands
        except Exception as error:
            left[place.name] = f"the bucket keeps versions of what is removed, and does not list them: {said(error)}"
    shutil.rmtree(what.at.notes, ignore_errors=True)
    return Done(removed, left, versions)


def _left(place: Place, what: Plan, why: str) -> str:
    """What a place still holds, of which something could not be removed."""
    with suppress(Exception):
        return f"{why}: {len(place.there(what.objects))} of {len(what.objects)} objects are still there"
    return f"{why}{_UNKNOWN}"


def _owners(key: Pseudonyms) -> dict[str, str]:
    """The keyed hash of the patient, by the id of every case that was withdrawn."""
    if not read_withdrawn():
        raise Misuse("nobody was withdrawn", "`voxledger cases withdraw PATIENT --reason …` comes first")
    if git("status", "--porcelain", "--", str(layout.WITHDRAWN)):
        raise VoxledgerError(
            f"{layout.WITHDRAWN} is not as committed", "finish `voxledger cases withdraw`, or bring the file back"
        )
    found = recognise(key, (c.case_id for c in all_cases()))
    if again := found.keys() & {c.case_id for c in read_cases()}:
        raise VoxledgerError(
            f"{', '.join(sorted(again))}: registered again, so files of this name are another patient's",
            f"give the case another id in {layout.CASES}",
        )
    return found


def _names(gone: Container[str]) -> tuple[set[str], set[str]]:
    """What cases that were withdrawn and their patients are called, and what all are."""
    ever = all_cases()
    left = {c.patient for c in read_cases()}
    people = {c.patient for c in ever if c.case_id in gone} - left
    return {c.case_id for c in ever if c.case_id in gone} | people, {n for c in ever for n in (c.case_id, c.patient)}


def _whose(one: Tracked, listing: Listing, owners: Mapping[str, str], known: set[str]) -> list[str | None]:
    """The keyed hash of the withdrawn patient whose each file of a listing is; None where it is somebody else's."""
    paths = (f"{one.path}/{path}" if path else one.path for _, path in listing)
    return [owners.get(case_of(path, known) or "") for path in paths]


def _listings(
    ever: Iterable[Tracked], found: Sequence[Place]
) -> tuple[list[tuple[Tracked, Listing]], list[str], list[tuple[str, Tracked, Listing]]]:
    """What every tracked folder holds, files as they are, and paths of folders that no place lists.

    Folders of no commit count where this repository alone keeps objects. Where others may, too, whose cases may have
    the same names, they come last, by place.
    """
    known, unread = dict[str, list[Listing]](), list[str]()
    listings: list[tuple[Tracked, Listing]] = []
    for one in sorted(ever, key=lambda one: (one.path, one.oid)):
        if not one.oid.endswith(FOLDER):
            listings.append((one, ((one.oid, ""),)))
            continue
        if one.oid not in known:
            known[one.oid] = [listing for place in found if (listing := _read(place, one.oid)) is not None]
        if known[one.oid]:
            listings.append((one, union(known[one.oid])))
        else:
            unread.append(f"{one.path} ({one.oid[:12]})")
    uncommitted = list(_of_no_commit(found, known))
    listings += [(one, listing) for place, one, listing in uncommitted if place.alone]
    return listings, unread, [(place.name, one, listing) for place, one, listing in uncommitted if not place.alone]


def _read(place: Place, folder: str) -> Listing | None:
    try:
        return place.listing(folder)
    except Exception as error:  # each kind of remote has its own
        raise VoxledgerError(f"{place.name}: {folder} cannot be read: {said(error)}", "run this again") from None


def _of_no_commit(found: Iterable[Place], known: Container[str]) -> Iterator[tuple[Place, Tracked, Listing]]:
    """Folders that were never committed, as of a run before another: of what kind they were, their files tell."""
    ours = set[str]()
    for place in sorted(found, key=lambda place: not place.alone):
        for oid in sorted(place.folders - ours):
            if oid not in known and (listing := _read(place, oid)) is not None:
                ours |= {oid} if place.alone else set()
                soft = any(path.endswith(SOFT) for _, path in listing)
                yield place, Tracked((layout.ATTENTION if soft else layout.IMAGES).as_posix(), oid), listing


def _signed_before() -> Purged | None:
    """The list as it was, which has to be by the key that signs here: by what it names, objects are removed.

    What lies here may be of a purge that was killed before it had signed, and so before it removed anything.
    """
    key = _key()
    for revision in (None, "HEAD"):
        content, signature = (file_at(revision, path) for path in (layout.PURGED, layout.PURGED_SIGNATURE))
        if content and signature and signed_by(content.encode(), signature.encode(), WITHDRAWAL, key):
            return parse_purged(content.encode(), layout.PURGED)
    if file_at("HEAD", layout.PURGED) is None:
        return None
    raise VoxledgerError(
        f"{layout.PURGED} is not signed with {key}, which signs here, so nothing is removed by it",
        f"`git log -- {layout.PURGED}` says whose it is; to make it anew, under this key and from git's history alone, "
        f"`git rm {layout.PURGED} {layout.PURGED_SIGNATURE}`, commit, and purge again",
    )


def _list(
    owners: Mapping[str, str],
    known: set[str],
    mine: Mapping[str, set[str]],
    others: set[str],
    before: Purged | None,
) -> Purged:
    files: dict[str, set[str]] = {patient: set() for patient in owners.values()}
    for path, text in texts(lambda path: Path(path) == layout.MANIFEST):
        for name, sha256 in read_manifest(text.encode(), path).files.items():
            if patient := owners.get(case_of(name, known) or ""):
                files[patient].add(file_digest(name, sha256))
    earlier = before.patients if before is not None else {}
    return Purged(
        dataset=read_params().dataset,
        patients=dict(earlier)
        | {
            patient: Removed(
                date=earlier[patient].date if patient in earlier else now(),
                files=tuple(sorted(names)),
                objects=tuple(sorted((mine[patient] - others) | set(_objects(earlier.get(patient))))),
            )
            for patient, names in files.items()
        },
    )


def _objects(removed: Removed | None) -> tuple[str, ...]:
    return removed.objects if removed is not None else ()


def _key() -> str:
    """Path of the ssh key that git signs with here."""
    key = git("config", "user.signingkey", check=False).strip()
    if not key or git("config", "gpg.format", check=False).strip() != "ssh":
        raise Misuse(
            "no ssh key signs here, and without a signature nobody can tell what was withdrawn from what was lost",
            "`git config gpg.format ssh` and `git config user.signingkey ~/.ssh/id_ed25519`",
        )
    return str(Path(key).expanduser())


def _sign(purged: Purged) -> None:
    """Write the list, sign and commit it, unless that was done."""
    files = (layout.PURGED, layout.PURGED_SIGNATURE)
    before = layout.PURGED.read_bytes() if layout.PURGED.is_file() else b""
    write_purged(purged)
    content = layout.PURGED.read_bytes()
    signature = layout.PURGED_SIGNATURE.read_bytes() if layout.PURGED_SIGNATURE.is_file() else b""
    if content != before or not signed_by(content, signature, WITHDRAWAL, _key()):
        sign(layout.PURGED, _key(), WITHDRAWAL)
    git("add", "--", *files)
    if git("diff", "--cached", "--name-only", "--", *files):
        git("commit", "--quiet", "--message", "List what is removed of withdrawn patients", "--", *files)
