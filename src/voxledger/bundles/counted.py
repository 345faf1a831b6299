"""Which files of a return count: one table of decisions, and one label of a case.

What is as it was sent does not count beside another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.imaging.format import format_of
from voxledger.records.bundle import LABELS, Manifest, is_class_file, is_decisions, label_case
from voxledger.records.decisions import FILE as DECISIONS


@dataclass(frozen=True)
class CaseLabel:
    """The files of the label of one case."""

    path: str
    """What it is called: its file, or the folder of one file a class."""
    files: tuple[str, ...]
    """All that belongs to it, by path in the bundle."""
    headers: Sequence[str]
    """Those of the files that are read by name; the others hold their voxels."""

    @classmethod
    def of(cls, folder: Path, headers: Sequence[str], there: Collection[str]) -> CaseLabel:
        """With the files among those that are `there` in which the voxels of `headers` lie."""
        shown = f"{'/'.join(headers[0].split('/')[:2])}/" if is_class_file(headers[0]) else headers[0]
        return cls(shown, (*headers, *data_files(folder, headers, there)), headers)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(path for path in self.files if path not in self.headers)


def data_files(folder: Path, headers: Sequence[str], there: Collection[str]) -> list[str]:
    """The files in which the voxels of labels lie, where those are other ones."""
    found = []
    for path in headers:
        try:
            data_file = format_of(folder / path).data_file
            part = data_file(folder / path).relative_to(folder).as_posix() if data_file is not None else None
        except (VoxledgerError, ValueError):
            continue  # said when it is read
        if part is not None and part in there:
            found.append(part)
    return found


def tables(sha256: Mapping[str, str], manifest: Manifest) -> list[str]:
    """The tables of decisions that count, of files by path: more than one is one too many."""
    paths = [path for path in sha256 if is_decisions(path)]
    if len(paths) > 1 and sha256.get(DECISIONS) == manifest.files[DECISIONS].sha256:
        paths.remove(DECISIONS)
    return paths


def all_labels(sha256: Mapping[str, str], manifest: Manifest) -> dict[str, list[str]]:
    """All labels by case, of files by path."""
    found: dict[str, list[str]] = {}
    for path in sha256:
        case = label_case(path, manifest.cases) if path.startswith(f"{LABELS}/") else None
        if case is not None:
            found.setdefault(case, []).append(path)
    return found


def counting(case_id: str, paths: Sequence[str], sha256: Mapping[str, str], manifest: Manifest) -> list[str]:
    """Those of the labels of a case that count: one, or one a class; otherwise nobody knows which one does."""
    if len(paths) < 2:
        return list(paths)
    sent = f"{LABELS}/{case_id}.nii.gz"
    as_sent = {path for path in paths if path in manifest.files and sha256[path] == manifest.files[path].sha256}
    return [path for path in paths if path not in as_sent] or [sent if sent in paths else paths[0]]


def is_one(headers: Sequence[str]) -> bool:
    """Whether labels of a case are one label of it."""
    return len(headers) == 1 or (len(headers) > 1 and all(map(is_class_file, headers)))
