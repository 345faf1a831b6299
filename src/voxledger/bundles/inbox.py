"""What lies in the inbox, against the bundles that went out: what is wrong, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from voxledger import layout
from voxledger.bundles.agreement import claimed_twice, decided_twice
from voxledger.bundles.case_return import Panel, read_by_readers
from voxledger.bundles.context import Context
from voxledger.bundles.disputes import AGAIN, changed_disputes, settled_cases
from voxledger.bundles.finding import Finding
from voxledger.bundles.pulled import require_pulled, why_not_as_received
from voxledger.bundles.returned import Return, read_return
from voxledger.bundles.untouched import in_words, remedy, touched
from voxledger.errors import BundleRefused, VoxledgerError, Waiting
from voxledger.params import MachineParams
from voxledger.records.bundle import (
    ARCHIVES,
    LABELS,
    MANIFEST,
    PREFIX,
    SUPERSEDED,
    Manifest,
    beside,
    content_sha256,
    expected_bundles,
    is_adjudication,
    is_junk,
    list_files,
    most_manifest_bytes,
    read_manifest,
    returned_files,
    sent_bundles,
    shows_readings,
)
from voxledger.records.received import read_received
from voxledger.records.sent import BRING_BACK, went_out_before

RECEIVING = f"{PREFIX}.receiving-"
"""Folders that are being unpacked just now."""
PART, EDITED = ".part-", ".edited-"
"""Part of the name of what is kept and not counted, besides `SUPERSEDED`: one that counts together with another; a
bundle that was changed where it lay."""
ASIDE = (SUPERSEDED, PART, EDITED)

_OURS = ("README.md", ".gitignore", ".gitkeep", ".keep")


@dataclass
class Inbox:
    """What lies in the inbox, bundle by bundle."""

    expected: dict[Path, Manifest]
    returned: dict[str, Return] = field(default_factory=dict)
    """By bundle id."""
    problems: list[Finding] = field(default_factory=list)
    """Of the inbox as a whole; those of a bundle are in `returned`."""
    unpacked: list[Finding] = field(default_factory=list)
    """What somebody still has to receive: archives, and returns of an adjudicator's bundle that was made anew."""
    readers_only: bool = False
    """Whether what is not of a reader is left to the gate: it may be of the adjudicator, who comes after them."""

    @property
    def all_problems(self) -> list[Finding]:
        return [*self.problems, *(p for c in self.returned.values() for p in c.problems)]

    @property
    def all_missing(self) -> list[Finding]:
        found = list(self.unpacked)
        for manifest in self.expected.values():
            checked = self.returned.get(manifest.id)
            if checked is not None:
                found.extend(checked.missing)
            elif manifest.id not in {_claimed(p) for p in self.problems}:
                problem = f"has not come back: {len(manifest.asked)} decisions on {len(manifest.cases)} cases"
                remedy = f"remind {manifest.reviewer}; then `voxledger review receive {manifest.name}.zip`"
                found.append(Finding(manifest.name, problem, remedy))
        return found


@dataclass(frozen=True)
class _Duplicate(Finding):
    """Two different returns of one bundle."""

    bundle_id: str = ""


def _claimed(finding: Finding) -> str:
    return finding.bundle_id if isinstance(finding, _Duplicate) else ""


def look_into(
    bundles: Path,
    inbox: Path,
    revisions: Path,
    round_number: int,
    context: Context = Context(),  # noqa: B008
    machine: MachineParams | None = None,
    *,
    readers_only: bool = False,
) -> Inbox:
    """Check everything in the inbox against the bundles that were exported for a round.

    Raises as `require_pulled` does where returns that git has are not here.

    Parameters
    ----------
    bundles
        `data/round/bundles`; that of the adjudicator lies beside. Bundles of other rounds are passed over.
    inbox
        `data/inbox`.
    revisions
        `data/base/revisions`: what earlier rounds imported is passed over.
    context
        What returns are judged by besides; that of a repository is `bundles.context.read_context`.
    readers_only
        Whether bundles of readers alone are looked at, whatever has become of the adjudicator's.
    """
    require_pulled(inbox)
    sent = expected_bundles if readers_only else sent_bundles
    found = Inbox(sent(bundles, round_number), readers_only=readers_only)
    context = _with_proposals(context, found.expected)
    by_id = {m.id: (folder, m) for folder, m in found.expected.items()}
    folders: dict[str, list[Path]] = {}
    for item in sorted(inbox.iterdir()) if inbox.is_dir() else []:
        if item.name in _OURS or item.suffix == ".dvc" or is_junk(item.name) or item.name.startswith(RECEIVING):
            continue
        if item.is_symlink() or not item.is_dir():
            _file(found, item)
        elif not any(mark in item.name for mark in ASIDE):
            _folder(found, item, by_id, folders, revisions, round_number)
    for place in (bundles, *([] if readers_only else [beside(bundles)])):
        found.problems.extend(_touched(place))
    _judge(found, folders, by_id, inbox, context, machine)
    found.problems.extend(_outdated(found, context))
    for one in found.returned.values():
        if told := why_not_as_received(one.folder, one.sha256):
            found.problems.append(Finding(one.folder.name, *told))
    several = read_by_readers(found.returned.values())
    found.problems.extend(decided_twice(found.returned.values(), several))
    found.problems.extend(claimed_twice(found.returned.values(), several))
    return found


def _judge(
    found: Inbox,
    folders: Mapping[str, list[Path]],
    by_id: Mapping[str, tuple[Path, Manifest]],
    inbox: Path,
    context: Context,
    machine: MachineParams | None,
) -> None:
    """Read the return of every bundle, by its id; an adjudicator's once those of the readers are read."""
    for bundle_id, returns in sorted(folders.items(), key=lambda one: is_adjudication(by_id[one[0]][0])):
        exported, manifest = by_id[bundle_id]
        if len(returns) > 1 and len({content_sha256(bundle_id, returned_files(f)) for f in returns}) > 1:
            names = ", ".join(f.name for f in returns)
            found.problems.append(
                _Duplicate(
                    manifest.name,
                    f"has come back twice with different content: {names}",
                    f"ask {manifest.reviewer} which one counts, and move the other out of {inbox}",
                    bundle_id=bundle_id,
                )
            )
            continue
        judged_by = _with_settled(context, manifest, exported, found.returned.values())
        found.returned[bundle_id] = read_return(manifest, exported, returns[0], judged_by, machine)


def _outdated(found: Inbox, context: Context) -> Iterator[Finding]:
    """What the bundle of an adjudicator shows and readers do not say any more, once all of them are back."""
    readers = [found.returned.get(m.id) for folder, m in found.expected.items() if not is_adjudication(folder)]
    returns = [one for one in readers if one is not None]
    for exported, manifest in found.expected.items():
        if is_adjudication(exported) and len(returns) == len(readers) and not touched(exported.parent):
            for one in changed_disputes(manifest, exported, returns, Panel.of(context.review)):
                problem = f"{one.what}; the bundle was made before that"
                yield Finding(manifest.name, problem, f"if that counts, {AGAIN}", one.case_id, one.class_name)


def _touched(bundles: Path) -> list[Finding]:
    """Bundles that somebody changed where they lie."""
    by_name = groupby(touched(bundles), lambda path: path.relative_to(bundles).parts[0])
    return [Finding(name, f"was {in_words(list(files))}", remedy(bundles, name)) for name, files in by_name]


def _with_proposals(context: Context, expected: Mapping[Path, Manifest]) -> Context:
    """The same with what was sent, so that a label that is like that of another case is noticed."""
    sent = {case: layout.label_map(folder / LABELS, case) for folder, m in expected.items() for case in m.cases}
    return replace(context, proposals=sent)


def _with_settled(context: Context, manifest: Manifest, exported: Path, returns: Iterable[Return]) -> Context:
    """The same, for an adjudicator, with what the readers agree on; their returns have been read before."""
    if not is_adjudication(exported):
        return context
    readers = [one for one in returns if not is_adjudication(one.exported)]
    settled = settled_cases(manifest.cases, manifest.label_schema, readers, Panel.of(context.review))
    return replace(context, settled=settled)


def untracked(inbox: Path) -> list[Path]:
    """Returned bundles that are not under DVC: somebody copied them here, past `voxledger review receive`."""
    folders = sorted(p for p in inbox.glob(f"{PREFIX}*") if p.is_dir() and not p.name.startswith(RECEIVING))
    return [p for p in folders if not p.with_name(f"{p.name}.dvc").is_file()]


def _file(found: Inbox, item: Path) -> None:
    if item.name.lower().endswith(ARCHIVES) and not item.is_symlink():
        found.unpacked.append(
            Finding(item.name, "has not been unpacked", f"`voxledger review receive {item.as_posix()}`")
        )
    else:
        found.problems.append(
            Finding(item.name, "is not a returned bundle", f"move it out of {item.parent}, or into its bundle's folder")
        )


def _folder(
    found: Inbox,
    item: Path,
    by_id: dict[str, tuple[Path, Manifest]],
    folders: dict[str, list[Path]],
    revisions: Path,
    round_number: int,
) -> None:
    manifest_file = item / MANIFEST
    if not manifest_file.is_file() or not item.name.startswith(PREFIX):
        if not any(path.endswith(f"/{MANIFEST}") for path in list_files(item)):
            remedy = f"if it is a bundle, put {MANIFEST} back into it; otherwise move it out of {item.parent}"
        else:
            remedy = f"move it out of {item.parent}, and run `voxledger review receive` on it"
        name = "" if item.name.startswith(PREFIX) else f"; names of bundles start with {PREFIX}"
        found.problems.append(Finding(item.name, f"is not a returned bundle{name}", remedy))
        return
    if manifest_file.stat().st_size > (most := most_manifest_bytes(found.expected.values())):
        problem = f"is {manifest_file.stat().st_size} bytes long, at most {most} are possible"
        remedy = f"put the original {MANIFEST} from the bundle that was sent back in its place"
        found.problems.append(Finding(item.name, problem, remedy, file=MANIFEST))
        return
    try:
        manifest = read_manifest(manifest_file.read_bytes(), manifest_file.as_posix())
    except BundleRefused as error:
        found.problems.append(Finding(item.name, error.problem, error.remedy, file=MANIFEST))
        return
    if manifest.id in by_id:
        folders.setdefault(manifest.id, []).append(item)
        return
    if found.readers_only or (revisions / content_sha256(manifest.id, returned_files(item))).is_dir():
        return
    if shows_readings(manifest) and went_out_before(manifest.id):
        _replaced(found, manifest, item)
        return
    problem, told = foreign(manifest, list(found.expected.values()), round_number)
    found.problems.append(Finding(item.name, problem, told))


def _replaced(found: Inbox, manifest: Manifest, item: Path) -> None:
    """A return of an adjudicator's bundle that was made anew: it stays until the next one takes its place."""
    problem = "is a return of the adjudicator's bundle as it was before readers sent something new"
    receive = f"`voxledger review receive {item.as_posix()} --carry`"
    if any(m.reviewer == manifest.reviewer for m in found.expected.values()):
        told = (
            f"{receive} takes over what was decided where nothing has changed; {manifest.reviewer} decides on the rest"
        )
        found.unpacked.append(Finding(item.name, problem, told))
        return
    told = (
        f"`voxledger round run` makes the bundle anew, and {receive} then takes over what was decided where nothing "
        f"has changed; if readers agree on everything now, keep it outside {layout.INBOX}"
    )
    found.problems.append(Finding(item.name, problem, told))


_KEEP = f"keep it outside {layout.INBOX}: it is somebody's work"


def foreign(manifest: Manifest, expected: Sequence[Manifest], round_number: int) -> tuple[str, str]:
    """Why a bundle is none of those that were exported for the open round, and what to do."""
    if manifest.round != round_number:
        problem = f"is of round {manifest.round}, not of round {round_number}, which is open"
        if manifest.round > round_number:
            return problem, f"{_KEEP}; if it was opened in another clone, `git pull` and `dvc pull`, then receive it"
        return problem, f"{_KEEP}, and a bundle of a later round that asks for the same cases may get its labels"
    if not expected:
        where = f"but no bundles of this round are in {layout.BUNDLES}"
        return f"is of round {manifest.round} of {manifest.dataset}, {where}", (
            f"bring back bundles that were removed with `{BRING_BACK}` (in a clone `dvc pull`); if the bundle is of "
            "another repository, keep it there: it is somebody's work"
        )
    if manifest.dataset != expected[0].dataset:
        problem = f"is of the dataset {manifest.dataset}, not of {expected[0].dataset}"
    elif all(manifest.reviewer != m.reviewer for m in expected):
        problem = f"is of {manifest.reviewer}, who was sent no bundle in this round"
    else:
        problem = "was exported from another repository, or before an export that replaced it: its id is unknown"
    return problem, (
        f"if {layout.BUNDLES} is not what went out, `dvc checkout {layout.BUNDLES}` brings it back (in a clone `dvc "
        f"pull`); otherwise {_KEEP}"
    )


def require_complete(
    bundles: Path,
    inbox: Path,
    revisions: Path,
    round_number: int,
    context: Context = Context(),  # noqa: B008
    machine: MachineParams | None = None,
    *,
    readers_only: bool = False,
) -> list[Return]:
    """The return of every bundle of a round, sorted by name, if all are back and in order.

    Parameters are those of `look_into`; with `readers_only` the adjudicator is not waited for.

    Raises
    ------
    BundleRefused
        Lists every problem of every bundle, and what is missing besides.
    Waiting
        Nothing is wrong, but not everything is there: lists what, by reviewer.
    """
    found = look_into(bundles, inbox, revisions, round_number, context, machine, readers_only=readers_only)
    missing = [f"  {m}" for m in found.all_missing]
    if problems := found.all_problems:
        listed = [f"  {p}" for p in problems]
        still = ["and these are still missing:", *missing] if missing else []
        raise BundleRefused(
            "\n".join([f"{len(problems)} problems in {inbox}:", *listed, *still]),
            "settle these with the reviewers; `voxledger review status` shows where it stands; then `dvc repro`",
        )
    if missing:
        raise Waiting(
            "\n".join(["the round waits for people:", *missing]),
            "`voxledger review receive FILE.zip` takes a bundle in; then `voxledger round run`, or `dvc repro`",
        )
    return sorted(found.returned.values(), key=lambda r: r.manifest.name)


def received_returns(
    received: Path,
    bundles: Path,
    inbox: Path,
    round_number: int,
    context: Context = Context(),  # noqa: B008
) -> list[Return]:
    """The returns that the gate let through, sorted by reviewer; nothing of them has changed since.

    Parameters
    ----------
    received
        `data/round/received.json`, which the gate wrote.
    bundles, inbox, round_number, context
        As in `look_into`.

    Raises
    ------
    BundleRefused
        A return or a bundle that was sent is not what the gate saw.
    """
    listed = read_received(received)
    expected = sent_bundles(bundles, round_number)
    context = _with_proposals(context, expected)
    exported = {manifest.id: (folder, manifest) for folder, manifest in expected.items()}
    if sorted(b.id for b in listed) != sorted(exported):
        raise VoxledgerError(f"{received} is of other bundles than {bundles}", "run `dvc repro gate`")
    found: list[Return] = []
    for entry in sorted(listed, key=lambda one: is_adjudication(exported[one.id][0])):
        source, manifest = exported[entry.id]
        folder = inbox / entry.folder
        one = read_return(manifest, source, folder, _with_settled(context, manifest, source, found))
        seen = one.sha256, dict(one.files), dict(one.kept), tuple(map(str, one.signatures))
        gate_saw = entry.sha256, entry.files, entry.kept, entry.signatures
        if seen != gate_saw or one.problems or one.missing:
            findings = "".join(f"\n  {finding}" for finding in (*one.problems, *one.missing))
            raise BundleRefused(f"{folder} has changed since the gate let it through{findings}", "run `dvc repro gate`")
        found.append(one)
    return sorted(found, key=lambda one: one.reviewer)
