"""What a worker of dask does: it gives work to a process of its own that is like those of the client's machine.

Such a process works in the same folder, with the same variables that results can depend on, and with the same
software; otherwise nothing is computed. dask's own process only passes bytes on, so that neither its threads nor its
environment touch a result, and a case that takes all memory ends the process and not the worker.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger.casemap.worker import Worker, WorkerDied
from voxledger.errors import VoxledgerError
from voxledger.portable import PINNED
from voxledger.software import MATHEMATICS, THREADS, Software, software

SHARED_SECONDS = 20.0
"""How long a file that another machine wrote may stay unseen, as on NFS."""


@dataclass(frozen=True)
class Session:
    """What the processes of all workers have in common with the client."""

    folder: str
    """The root of the curation repository."""
    token: str
    """Name of a file there, which tells the folder from another of the same name."""
    variables: Mapping[str, str | None]
    """What results can depend on; None where the client has none."""
    software: Software
    gpu: bool
    """Whether every process needs a GPU of its own."""


@dataclass(frozen=True)
class Death:
    """In the place of an answer: the process died, and how."""

    told: str


@dataclass(frozen=True)
class Answer:
    """What a process answered, pickled, and where it ran."""

    content: bytes
    host: str
    cpu: tuple[str, ...]


def variables() -> dict[str, str | None]:
    """Variables of this process that results can depend on."""
    own = (name for name in os.environ if name.startswith("VOXLEDGER_"))
    return {name: os.environ.get(name) for name in sorted({*own, *THREADS, *MATHEMATICS, *PINNED})}


_processes: dict[int, tuple[str, Worker, Software]] = {}
"""By thread of dask's process, and for one session at a time."""


def compute(session: Session, request: bytes) -> Answer | Death:
    """Pass a pickled work and item on to the process of this thread, and back what came of it.

    Raises
    ------
    VoxledgerError
        This worker cannot compute as the client would; says why, and what to do.
    """
    worker, found = _process_for(session)
    try:
        worker.send(request)
        return Answer(worker.receive(), platform.node(), found.cpu)
    except WorkerDied as death:
        return Death(death.told)


def close(token: str) -> None:
    """End the processes of this worker that a session used; others may be computing for somebody else."""
    for thread, (used_by, worker, _) in list(_processes.items()):
        if used_by == token:
            del _processes[thread]
            worker.close()


def _process_for(session: Session) -> tuple[Worker, Software]:
    thread = threading.get_ident()
    if thread in _processes:
        token, worker, found = _processes[thread]
        if token == session.token:
            return worker, found
        _processes.pop(thread)[1].close()
    _require_folder(session)
    given = {name: value for name, value in session.variables.items() if value is not None}
    worker = Worker({n: v for n, v in os.environ.items() if not _ours(n)} | given, {"dir": session.folder})
    try:
        worker.give(_describe, None)
        found = worker.result()
        if not isinstance(found, Software):
            raise VoxledgerError(f"{_where()} cannot begin: {type(found).__name__}: {found}", "mend that there")
        _require_alike(session, found)
        if session.gpu:
            _require_gpu()
    except WorkerDied as death:
        told = f"voxledger cannot be started on {_where()}: its process {death.told}"
        raise VoxledgerError(told, "start the worker with the Python of the environment that voxledger is in") from None
    except BaseException:
        worker.close()
        raise
    _processes[thread] = session.token, worker, found
    return worker, found


def _describe(_: None) -> Software:
    return software()


def _ours(name: str) -> bool:
    return name.startswith("VOXLEDGER_") or name in {*THREADS, *MATHEMATICS, *PINNED}


def _where() -> str:
    return f"the worker on {platform.node()} (process {os.getpid()})"


def _require_folder(session: Session) -> None:
    """Raise unless the folder is here, and is the same one."""
    deadline = time.monotonic() + SHARED_SECONDS
    folder, token = Path(session.folder), Path(session.folder, session.token)
    while not token.is_file():
        if not folder.is_dir():
            raise VoxledgerError(
                f"{_where()} has no folder {folder}",
                "workers need the file system that the repository lies on, at the same place",
            )
        if time.monotonic() > deadline:
            raise VoxledgerError(
                f"{folder} of {_where()} is another folder than the repository here: {token} is not in it",
                "share the repository's file system with the workers, and mount it at the same place",
            )
        with os.scandir(token.parent if token.parent.is_dir() else folder):  # NFS looks again
            time.sleep(0.2)


def _require_alike(session: Session, found: Software) -> None:
    ours, theirs = session.software.versions, found.versions
    differ = [
        f"{name} {theirs.get(name, 'not installed')} (here {ours.get(name, 'not installed')})"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if differ:
        raise VoxledgerError(
            f"{_where()} computes with other software, and may come to other results: {', '.join(differ)}",
            "start the workers from the same environment, after every update of voxledger anew",
        )


def _require_gpu() -> None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if len([name for name in visible.split(",") if name]) != 1:
        raise VoxledgerError(
            f"{_where()} has no GPU of its own: CUDA_VISIBLE_DEVICES is “{visible}”",
            "start one worker a GPU: `CUDA_VISIBLE_DEVICES=0 dask worker ADDRESS --nthreads 1 --resources GPU=1`",
        )
