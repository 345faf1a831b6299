"""What jobs left: `.memo/<stage>/<key>/` holds the files of one job and `memo.json`, their SHA-256 and the facts.

It appears whole or not at all, counts only while its files have their SHA-256, and may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger.casemap.job import Job
from voxledger.disk import naming
from voxledger.imaging.volume import file_sha256
from voxledger.layout import MEMO
from voxledger.process import lock
from voxledger.textfile import replace_text

_RECORD = "memo.json"


@dataclass(frozen=True)
class Record:
    """What a job left: SHA-256 of its files by name, and its facts as JSON text."""

    outputs: dict[str, str]
    facts: str


def remembered(job: Job[Any]) -> Record | None:
    """What the job left earlier; None where nothing whole is remembered."""
    folder = MEMO / job.stage / job.key
    try:
        values = json.loads((folder / _RECORD).read_text("utf-8"))
        record = Record(values["outputs"], json.dumps(values["facts"], sort_keys=True))
        if all(file_sha256(folder / name) == digest for name, digest in record.outputs.items()):
            return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def compute(job: Job[Any], keep: bool) -> Record:
    """Compute a job.

    Parameters
    ----------
    keep
        Whether to remember the result, in place of what was remembered before; otherwise nothing stays of it.
    """
    final = MEMO / job.stage / job.key
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=final.parent))
    try:
        facts = job.to_json(job.compute(folder))
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        record = Record({name: file_sha256(folder / name) for name in files}, facts)
        if keep:
            replace_text(folder / _RECORD, f'{{"facts": {facts}, "outputs": {json.dumps(record.outputs)}}}')
            if final.exists():
                shutil.rmtree(final)
            os.replace(folder, final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def copy_outputs(job: Job[Any], record: Record, out: Path) -> None:
    """Copy the remembered files of a job into a folder."""
    for name in record.outputs:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with naming(target):
            try:
                shutil.copyfile(MEMO / job.stage / job.key / name, target)
            except OSError:
                target.unlink(missing_ok=True)
                raise


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Wait for a stage process that a killed run left behind, and clear away what it did not finish."""
    (MEMO / stage).mkdir(parents=True, exist_ok=True)
    with open(MEMO / stage / ".lock", "w") as held:
        lock(held.fileno(), stage)
        for leftover in (MEMO / stage).glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
