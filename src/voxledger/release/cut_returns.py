"""Returned bundles without some of their cases: what is left is a return of its own, under the hash of what is left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from voxledger.bundles.counted import all_labels, data_files, tables
from voxledger.records.bundle import (
    CLICKS,
    EMULATED,
    MANIFEST,
    PAGE_NOTES,
    PARTS,
    RECEIPT,
    RESAMPLE,
    SIGNATURE,
    SIGNED,
    Manifest,
    add_resample,
    content_sha256,
    is_decisions,
    list_files,
    read_manifest,
    read_resample,
    remade,
    returned_files,
)
from voxledger.records.case_files import case_of
from voxledger.records.clicks import parse_clicks, write_clicks
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import read_decisions, to_csv
from voxledger.records.emulated import read_emulated, write_emulated
from voxledger.release.inbox import remove_at_once
from voxledger.textfile import replace_text

_CUT = ".cut-"


def cut_all(revisions: Path, cases: Collection[str]) -> dict[str, str]:
    """Make a copy without some cases of every return that has one of them, beside it under a hidden name.

    A signature is of the whole return: none is left on a copy. Returns the hash of each copy by that of its return.
    """
    for leftover in revisions.glob(f"{_CUT}*"):
        shutil.rmtree(leftover)
    found = {}
    for folder, sent in _with_some_of(revisions, cases):
        if set(sent.cases) - set(cases):
            found[folder.name] = _cut(folder, sent, cases, revisions / f"{_CUT}{folder.name}")
    return found


def put_in_place(revisions: Path, cases: Collection[str], made: dict[str, str]) -> None:
    """Put the copies that `cut_all` made in the place of their returns; those of which nothing is left go.

    At every moment a return is here whole, or its copy is.
    """
    for folder, _ in list(_with_some_of(revisions, cases)):
        if (new := made.get(folder.name)) is not None:
            remove_at_once(revisions / new)  # a call that was killed may have put it there
            (revisions / f"{_CUT}{folder.name}").rename(revisions / new)
        remove_at_once(folder)


def cut_late(late: Path, cases: Collection[str]) -> dict[str, str]:
    """Cut returns that came after their round was closed, which are called after their hash.

    Returns the name of each that something is left of by its former one. Killed, it is finished by the next call.
    """
    names = {folder.name: sent.name for folder, sent in _with_some_of(late, cases)}
    made = {old: f"{names[old]}-{new[:12]}" for old, new in cut_all(late, cases).items()}
    put_in_place(late, cases, made)
    return made


def cut_where_it_lies(folder: Path, cases: Collection[str]) -> Manifest:
    """Cut a return that was not kept yet, so that nobody misses it if this is killed; what is left says of itself.

    Others of its cases have to be left. The copy lies beside it, under a name that begins as its own does.
    """
    sent = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as temporary:
        copy = Path(temporary) / folder.name
        _cut(folder, sent, cases, copy)
        shutil.rmtree(folder)
        copy.rename(folder)
    return read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))


def _with_some_of(revisions: Path, cases: Collection[str]) -> Iterator[tuple[Path, Manifest]]:
    for folder in [path.parent for path in sorted(revisions.glob(f"[!.]*/{MANIFEST}"))]:
        sent = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        if set(sent.cases) & set(cases):
            yield folder, sent


def _cut(folder: Path, sent: Manifest, cases: Collection[str], target: Path) -> str:
    """Copy a return without some of its cases; returns the hash of the copy."""
    files = returned_files(folder)
    headers = [path for case, paths in all_labels(files, sent).items() if case in cases for path in paths]
    gone = {*headers, *data_files(folder, headers, files), SIGNED, SIGNATURE, RECEIPT, RESAMPLE, CLICKS, EMULATED}
    gone |= {PAGE_NOTES, *(path for path in list_files(folder) if case_of(path, sent.voxels) in cases)}
    for path in list_files(folder):
        if path not in gone and not path.startswith(f"{PARTS}/") and not is_decisions(path):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, target / path)
    said = [row for path in tables(files, sent) for row in read_decisions(folder / path).rows.values()]
    replace_text(target / DECISIONS, to_csv(row for row in said if row.case_id not in cases))
    _cut_notes(folder, cases, target)
    left = remade(
        sent,
        asked=tuple(a for a in sent.asked if a.case_id not in cases),
        voxels={case: count for case, count in sent.voxels.items() if case not in cases},
        files={path: file for path, file in sent.files.items() if case_of(path, sent.voxels) not in cases},
        masks={case: masks for case, masks in sent.masks.items() if case not in cases},
    )
    (target / MANIFEST).write_bytes(left.to_bytes())
    return content_sha256(left.id, returned_files(target))


def _cut_notes(folder: Path, cases: Collection[str], target: Path) -> None:
    """What a return notes of its cases, of those that stay."""
    if (folder / RESAMPLE).is_file():
        noted = read_resample(folder)
        add_resample(target, *({c for c in names if c not in cases} for names in (noted.cases, noted.drawn)))
    if (folder / CLICKS).is_file():
        clicks = parse_clicks((folder / CLICKS).read_bytes(), folder / CLICKS)
        kept = tuple(c for c in clicks.clicks if c.case_id not in cases)
        left = tuple(c for c in clicks.cases if c not in cases)
        write_clicks(target, clicks.model_copy(update={"cases": left, "clicks": kept}))
    if (emulated := read_emulated(folder)) is not None:
        masks = tuple(m for m in emulated.masks if m.case_id not in cases)
        write_emulated(target, emulated.model_copy(update={"masks": masks}))
