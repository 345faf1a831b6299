"""One job, computed the first time that somebody asks for it: what commands look at as well as stages.

Who may look at a repository but not write there gets the same; it is then remembered for the process alone.
"""

from __future__ import annotations

import atexit
import errno
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from voxledger.casemap.hashes import no_memo, note_sha256
from voxledger.casemap.job import Facts, Job
from voxledger.casemap.memo import alone, compute, folder_of, remembered
from voxledger.casemap.used import note_used

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)


def once(job: Job[Facts]) -> Facts:
    """The facts of one job, computed unless they are remembered; errors are those of the job, and not remembered."""
    use = not no_memo()
    note_used(job.stage, (job.key,))
    if (record := remembered(job) if use else None) is not None:
        return job.from_json(record.facts)
    try:
        with alone(job.stage):  # somebody may be computing it just now
            return job.from_json(((remembered(job) if use else None) or compute(job, keep=True)).facts)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
    folder = _own(job)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        return job.compute(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def files_of(job: Job[Any]) -> Path:
    """Where the files of a job lie, whole; it is computed again where they are gone."""
    folder = Path(folder_of(job))
    if (record := remembered(job)) is not None:
        for name, digest in record.outputs.items():
            note_sha256(folder / name, (folder / name).stat(), digest)
        return folder
    if not _own(job).is_dir():
        once(job)
    return _own(job) if _own(job).is_dir() else folder


def _own(job: Job[Any]) -> Path:
    return _folder_of_process() / job.key


@cache
def _folder_of_process() -> Path:
    folder = tempfile.mkdtemp(prefix="voxledger-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
