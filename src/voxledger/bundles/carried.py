"""Decisions that a return takes over from one of an earlier bundle: on which classes, and what their label becomes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from voxledger.bundles.merge import LabelMap, paint
from voxledger.bundles.part import Part
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import read_label
from voxledger.records.bundle import LABELS, MANIFEST, Manifest, read_manifest
from voxledger.records.decisions import Decision


def carried_from(folder: Path, sent: Manifest) -> Manifest | None:
    """The earlier bundle of the same reviewer that a return is of; None where it is of none, or of what was sent.

    Parameters
    ----------
    folder
        A part of a return of `sent`, see `records.signature`.
    """
    try:
        found = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
    except (OSError, VoxledgerError):
        return None
    same = (found.reviewer, found.dataset) == (sent.reviewer, sent.dataset)
    return found if same and found.id != sent.id and found.round <= sent.round else None


def why_not_now(key: tuple[str, str], then: Manifest, now: Manifest) -> str:
    """Why what was decided on a class of a case, as it was sent then, says nothing of it now; empty where it does."""
    case, name = key
    if case not in now.voxels:
        return f"{now.name} does not ask for this case"
    if name not in now.label_schema.names or name not in then.label_schema.names:
        return "there is no such class any more"
    if now.label_schema[name].id != then.label_schema[name].id:
        return "the class has another number now"
    if not then.masks:
        return "its bundle went out before proposals were on record by class"
    if then.masks.get(case, {}).get(name) != now.masks.get(case, {}).get(name):
        return "another mask is proposed now"
    return ""


def redrawn(case: str, old: Part, revised: Collection[str], sent: Path) -> tuple[LabelMap, bool] | None:
    """What is proposed now with revised classes as they were drawn, and whether they were drawn on other voxels.

    None where what was drawn cannot be read. The label map is (z, y, x).

    Parameters
    ----------
    old
        The return in which they were drawn.
    sent
        Folder of the bundle as it is now.
    """
    drawn = old.read(case, sent) if old.counting.get(case) else None
    if drawn is None:
        return None
    now = read_manifest((sent / MANIFEST).read_bytes(), str(sent / MANIFEST))
    labels, schema = read_label(sent / LABELS / f"{case}.nii.gz"), old.manifest.label_schema
    others = [n for n in schema.names if n not in revised and _is_left(case, n, old, now)]
    for name in sorted(revised, key=lambda n: len(schema.chain(n))):
        labels = paint(schema, labels, drawn.labels, name, others)
    return labels, drawn.resampled or case in old.noted.drawn


def _is_left(case: str, name: str, old: Part, now: Manifest) -> bool:
    """Whether what a class that is not redrawn looks like is up to what is proposed now."""
    row = old.decided(case).get(name)
    return row is None or row.decision is Decision.REVISE or bool(why_not_now((case, name), old.manifest, now))
