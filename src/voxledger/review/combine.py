"""Several returns of one bundle: what they say together, class by class; of two that decide on one, the newer."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from voxledger.bundles.merge import LabelMap, paint
from voxledger.bundles.part import Part
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256, read_grid, read_label, write
from voxledger.params import Outside
from voxledger.records.bundle import (
    CLICKS,
    EMULATED,
    LABELS,
    PARTS,
    RECEIPT,
    RESAMPLE,
    SIGNATURE,
    SIGNED,
    add_resample,
    is_decisions,
    list_files,
)
from voxledger.records.clicks import read_clicks, write_clicks
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, to_csv
from voxledger.records.emulated import read_emulated, write_emulated
from voxledger.records.signature import is_kept, is_signed, is_signed_content
from voxledger.textfile import replace_text


def says_all(newer: Part, older: Part) -> bool:
    """Whether a return decides on all that an older one decided on, with the labels that this needs."""
    return older.rows.keys() <= newer.rows.keys() and all(
        newer.counting.get(case) or not older.counting.get(case) or not _revises(newer, case)
        for case in newer.manifest.cases
    )


def combine(newer: Part, older: Part, sent: Path, out: Path) -> None:
    """Write a return that says what two say together.

    Where both drew in the label of one case, a class that only the older one decided on is taken from it. Clicks of a
    person at one model are those of both; else the record of clicks is the newer one's, or else the older one's. Of
    masks that an emulated reader drew, every one is noted that still counts: what a person decided on since is a
    person's.

    Parameters
    ----------
    sent
        The bundle that both are returns of.
    out
        A folder that is not there yet.
    """
    out.mkdir()
    labels = {path for case in newer.manifest.cases for path in newer.labels(case)}
    for path in list_files(newer.folder):
        if path not in labels and path != RESAMPLE and not is_decisions(path) and not is_kept(path):
            _copy(newer.folder / path, out / path)
    _keep_clicks(newer, older, out)
    if not (out / EMULATED).exists() and (older.folder / EMULATED).is_file():
        _keep_emulated(newer, older, out)
    for case in newer.manifest.cases:
        _combine_label(case, newer, older, sent, out)
    rows = {(a.case_id, a.class_name): Row(a.case_id, a.class_name) for a in newer.manifest.asked}
    replace_text(out / DECISIONS, to_csv({**rows, **older.rows, **newer.rows}.values()))


def _keep_clicks(newer: Part, older: Part, out: Path) -> None:
    """Note clicks of the older return, too: what of its labels counts may be an answer to them."""
    if not (out / CLICKS).exists():
        if (older.folder / CLICKS).is_file():
            _copy(older.folder / CLICKS, out / CLICKS)
        return
    try:
        now, before = read_clicks(newer.folder), read_clicks(older.folder)
    except VoxledgerError:
        return  # the gate says what is wrong with the newer one
    if now is None or before is None or (now.model, now.gate) != (before.model, None):
        return
    clicks = [click for click in before.clicks if click not in now.clicks] + list(now.clicks)
    cases = tuple(sorted({*before.cases, *now.cases}))
    ordered = tuple(sorted(clicks, key=lambda click: click.case_id))
    write_clicks(out, now.model_copy(update={"cases": cases, "clicks": ordered}))


def _keep_emulated(newer: Part, older: Part, out: Path) -> None:
    """Note of the older return what an emulated reader drew, without masks that the newer one decides on."""
    try:
        noted = read_emulated(older.folder)
    except VoxledgerError:
        _copy(older.folder / EMULATED, out / EMULATED)  # the gate says what is wrong with it
        return
    masks = noted.masks if noted is not None else ()
    left = tuple(mask for mask in masks if (mask.case_id, mask.class_name) not in newer.rows)
    if noted is not None and left:
        write_emulated(out, noted.model_copy(update={"masks": left}))


def keep_parts(newer: Part, older: Part, outside: Outside, out: Path) -> None:
    """Keep what was signed beside what was put together of it, unless nothing was, or a newer return says all of it.

    Labels as they were sent are left out, as a signature allows.
    """
    sent = {path: file.sha256 for path, file in newer.manifest.files.items() if path.startswith(f"{LABELS}/")}
    before = sorted((older.folder / PARTS).glob("*")) or [older.folder]
    parts = [(folder, Part.of(newer.manifest, folder, outside)) for folder in before]
    folders = [folder for folder, part in parts if part is None or not says_all(newer, part)]
    folders += sorted((newer.folder / PARTS).glob("*")) or [newer.folder]
    if not any(map(is_signed, folders)):
        return
    for number, folder in enumerate(folders, 1):
        own = [path for path in list_files(folder) if is_signed_content(path) or path in (SIGNED, SIGNATURE, RECEIPT)]
        for path in own:
            if path not in sent or file_sha256(folder / path) != sent[path]:
                _copy(folder / path, out / PARTS / f"{number:04d}" / path)


def keep_carried(late: Path, out: Path) -> None:
    """Keep in a return what it takes over decisions from, as it was signed; nothing where that was not signed."""
    if is_signed(late):
        for number, folder in enumerate(sorted((late / PARTS).glob("*")) or [late], 1):
            for path in list_files(folder):
                if is_signed_content(path) or path in (SIGNED, SIGNATURE, RECEIPT, RESAMPLE):
                    _copy(folder / path, out / PARTS / f"{number:04d}" / path)


def adds_signature(folder: Path, other: Path) -> bool:
    """Whether a return is signed otherwise than another one of the same content."""
    return is_signed(folder) and _signing(folder) != _signing(other)


def _signing(folder: Path) -> dict[str, str]:
    """SHA-256 of what was signed and its signature, by path in a return or its parts."""
    paths = [path for path in list_files(folder) if is_kept(path) and path.endswith((f"/{SIGNED}", f"/{SIGNATURE}"))]
    paths += [name for name in (SIGNED, SIGNATURE) if (folder / name).is_file()]
    return {path: file_sha256(folder / path) for path in paths}


def _combine_label(case: str, newer: Part, older: Part, sent: Path, out: Path) -> None:
    now, before = newer.decided(case), older.decided(case)
    only_before = [name for name, row in before.items() if name not in now and row.decision is Decision.REVISE]
    left_out = not newer.counting.get(case) and _revises(newer, case)
    source = older if left_out or not now else newer
    if only_before and now and not left_out:
        drawn, base = older.read(case, sent), newer.read(case, sent)
        if drawn is not None and base is not None:
            shown = sent / LABELS / f"{case}.nii.gz"
            labels = _drawn_together(newer, case, base.labels, drawn.labels, read_label(shown), only_before)
            write(out / LABELS / shown.name, labels, read_grid(shown))
            if base.resampled or drawn.resampled or case in (*newer.noted.drawn, *older.noted.drawn):
                add_resample(out, [], [case])
            return
    for path in source.labels(case):
        _copy(source.folder / path, out / path)
    add_resample(out, {case} & {*source.noted.cases}, {case} & {*source.noted.drawn})


def _drawn_together(
    newer: Part, case: str, labels: LabelMap, older: LabelMap, proposal: LabelMap, names: Sequence[str]
) -> LabelMap:
    """What a newer return drew, with classes that only the older one revised; all label maps are (z, y, x).

    What the newer one drew of its own classes stays, also inside the others and where both claim a voxel.
    """
    schema, now, both = newer.manifest.label_schema, newer.decided(case), labels
    revised = [name for name, row in now.items() if row.decision is Decision.REVISE]
    for name in sorted(names, key=lambda n: len(schema.chain(n))):
        both = paint(schema, both, older, name, now)
        for other in revised:
            here = schema.mask(labels, other)
            says = ~here & schema.mask(proposal, other) if other in schema.chain(name) else here
            drawn = says & (labels != proposal)
            both[drawn] = labels[drawn]
    return both


def _revises(part: Part, case: str) -> bool:
    return any(row.decision is Decision.REVISE for row in part.decided(case).values())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
