"""What jobs left: `.memo/<stage>/<key>/` holds the files of one job and `memo.json`: a line of SHA-256, one of facts.

It appears whole or not at all, is read-only, and may be deleted at any time. Outputs of stages are hard links of its
files, so whoever writes into an output where it lies writes into the memo: a file counts only while it has the size,
time and inode that it had when it was hashed, and otherwise only if it still has its SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxledger.casemap.hashes import JUST_NOW_NS, no_memo
from voxledger.casemap.job import Job
from voxledger.imaging.volume import file_sha256
from voxledger.layout import MEMO
from voxledger.process import alive, lock
from voxledger.textfile import replace_text

RECORD = "memo.json"
PARTIAL = ".partial-"
"""How the folder of a job at work begins, before machine, process and a number: nobody else removes it."""

Seal = tuple[int, int, int]
"""Size in bytes, time of the last change in nanoseconds, and inode of a file when it was hashed."""
_MEMO = str(MEMO)
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""What reading a record raises where there is none, or one that nobody wrote like this."""
_OCCUPIED = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True)
class Record:
    """What a job left: SHA-256 of its files by name, its facts as JSON text, and the seals of the files."""

    outputs: dict[str, str]
    facts: str
    seals: dict[str, Seal] = field(default_factory=dict, compare=False)


def folder_of(job: Job[Any]) -> str:
    """Where the files of a job lie."""
    return f"{_MEMO}/{job.stage}/{job.key}"


def seal(status: os.stat_result) -> Seal:
    """What a file of the memo is trusted by. Links and rights change other things about it, and may."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def read_record(folder: str, anew: bool = False) -> Record:
    """The record in a folder of the memo; one of `DAMAGED` where there is none, or one that is damaged.

    It is read `anew` either way; see `voxledger.casemap.records.Records.read`, which knows another.
    """
    with open(f"{folder}/{RECORD}", "rb", buffering=0, opener=_at_once) as stream:
        first, _, rest = stream.read().decode().partition("\n")
    values, facts = json.loads(first), rest.removesuffix("\n")
    if "facts" in values:  # of an older version
        facts = json.dumps(values["facts"], sort_keys=True)
    elif text_sha256(facts) != values["facts_sha256"]:
        raise ValueError(f"{folder} does not hold the facts that were returned")
    if values.get("key", key := folder.rpartition("/")[2]) != key:
        raise ValueError(f"{folder} holds what another job left")
    return Record(dict(values["outputs"]), facts, {n: as_seal(s) for n, s in values.get("seals", {}).items()})


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, as a named pipe would have one do."""
    return os.open(path, flags | os.O_NONBLOCK)


def as_seal(values: Sequence[int]) -> Seal:
    """A seal from JSON."""
    size, changed, inode = values
    return size, changed, inode


def remembered(
    job: Job[Any], every_byte: bool = False, read: Callable[[str, bool], Record] = read_record
) -> Record | None:
    """What the job left earlier; None where nothing whole is remembered, and what was altered is removed.

    Parameters
    ----------
    every_byte
        Whether to read files that look unchanged, too.
    read
        Gives the record in a folder, as `read_record` does; one of which the seals fit is not asked for anew.
    """
    folder = folder_of(job)
    try:
        record = read(folder, False)
        found = _found(folder, record)
        if found != record.seals:
            record = read(folder, True)
            found = _found(folder, record)
        outputs, seals = record.outputs, record.seals
        if found == seals and not every_byte:
            return record
        changed = [n for n in outputs if every_byte or found[n] != seals.get(n)]
        if altered := [n for n in changed if not _holds(f"{folder}/{n}", found[n], outputs[n])]:
            print(f"{job.stage}: {folder}/{altered[0]} was altered: {job.title} is computed again", file=sys.stderr)
            with suppress(OSError):  # where DVC's cache is a link of it, DVC believes it as long as it is read-only
                for name in altered:
                    os.chmod(f"{folder}/{name}", 0o644)
            forget(Path(folder))
            return None
        return record if found == seals else _sealed_anew(folder, replace(record, seals=found))
    except DAMAGED:
        return None


def _found(folder: str, record: Record) -> dict[str, Seal]:
    """The seals that the files of a record have now."""
    return {name: seal(os.stat(f"{folder}/{name}")) for name in record.outputs}


def compute(job: Job[Any], keep: bool) -> Record:
    """Compute a job.

    Parameters
    ----------
    keep
        Whether to remember the result. What somebody else remembered meanwhile stays and is returned; what is damaged
        makes room. Otherwise nothing stays of it.
    """
    folder = _new_partial(Path(MEMO, job.stage))
    try:
        facts = job.to_json(job.compute(folder))
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        for name in names:
            _detach(folder / name)
        outputs = {name: file_sha256(folder / name) for name in names}
        rights = folder.stat().st_mode  # some libraries write files that nobody else may read
        record = Record(outputs, facts, {name: _close(f"{folder}/{name}", rights) for name in names})
        if keep:
            _write_record(folder, record, job.key)
            return _keep(job, folder, record)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return record


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Wait for a stage process that a killed run left behind, and clear away what dead processes did not finish."""
    (MEMO / stage).mkdir(parents=True, exist_ok=True)
    with open(MEMO / stage / ".lock", "w") as held:
        lock(held.fileno(), stage)
        for leftover in partial_folders(MEMO / stage):
            if _is_dead(leftover.name):
                shutil.rmtree(leftover, ignore_errors=True)
        yield


def forget(entry: Path) -> None:
    """Remove what a job left, at once: nobody sees half of it."""
    away = _new_partial(entry.parent)
    try:
        with suppress(FileNotFoundError):  # somebody else may be doing the same
            os.rename(entry, away / entry.name)
    finally:
        shutil.rmtree(away, ignore_errors=True)


def partial_folders(folder: Path) -> list[Path]:
    """Folders of jobs that are at work, or that a killed process did not finish."""
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(PARTIAL)]


def _new_partial(stage: Path) -> Path:
    """An empty folder that names its process, with the rights that folders have here."""
    stage.mkdir(parents=True, exist_ok=True)
    folder = stage / f"{PARTIAL}{os.uname().nodename}.{os.getpid()}.{secrets.token_hex(4)}"
    folder.mkdir()
    return folder


def _is_dead(partial: str) -> bool:
    """Whether it is known that nobody works there: of processes of other machines that cannot be told.

    Older versions named no process, and worked on one machine, of which `alone` holds the lock.
    """
    machine, _, process = partial.removeprefix(PARTIAL).rpartition(".")[0].rpartition(".")
    return not process.isdigit() or (machine == os.uname().nodename and not alive(int(process)))


def _keep(job: Job[Any], folder: Path, record: Record) -> Record:
    """Put a finished folder in its place; returns what is remembered now: of two that computed the same, the first."""
    final = Path(folder_of(job))
    while True:
        try:
            os.rename(folder, final)
            return record
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        first = None if no_memo() else remembered(job)
        if first is not None:
            return first
        forget(final)


def _detach(path: Path) -> None:
    """Make a file that a job took in as a link one of its own: what else it belongs to must not be touched."""
    if path.is_symlink() or path.stat().st_nlink > 1:
        own = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        shutil.copyfile(path, own)
        os.replace(own, path)


def _close(path: str, rights: int) -> Seal:
    """Leave of some rights those to read, and set the time of a file back: whoever writes later leaves another one."""
    status, past = os.stat(path), time.time_ns() - JUST_NOW_NS
    os.chmod(path, rights & 0o444)
    if status.st_mtime_ns > past:
        os.utime(path, ns=(status.st_atime_ns, past))
    return seal(os.stat(path))


def _holds(path: str, found: Seal, digest: str) -> bool:
    """Whether a file has that SHA-256, and nobody wrote there while it was read."""
    return os.path.isfile(path) and file_sha256(path) == digest and seal(os.stat(path)) == found


def _sealed_anew(folder: str, record: Record) -> Record:
    """Note what files are trusted by whose bytes are right, but that were copied, touched, or made by an older version.

    Not if that was just now, since more may follow in the same moment: they are read again the next time.
    """
    past = time.time_ns() - JUST_NOW_NS
    if all(changed < past for _, changed, _ in record.seals.values()):
        with suppress(OSError):  # who may not write here reads them again each time
            for name in record.outputs:
                os.chmod(f"{folder}/{name}", os.stat(f"{folder}/{name}").st_mode & 0o444)
            _write_record(Path(folder), record, Path(folder).name)
    return record


def _write_record(folder: Path, record: Record, key: str) -> None:
    first = {"key": key, "outputs": record.outputs, "seals": record.seals, "facts_sha256": text_sha256(record.facts)}
    replace_text(folder / RECORD, f"{json.dumps(first)}\n{record.facts}\n")


def text_sha256(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
