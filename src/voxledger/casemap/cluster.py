"""Work on a cluster of dask: what its workers compute, and what its end means."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from voxledger.casemap.remote import Answer, Death, Session, close, compute, variables
from voxledger.errors import ClusterFailed, Misuse, ProcessDied, VoxledgerError
from voxledger.layout import MEMO
from voxledger.params import MachineParams
from voxledger.software import software

INSTALL = "`pip install 'voxledger[hpc]'`"
DEATHS = 2
"""So often a process may die at an item before it is computed with nothing beside it, for the last time."""
SAY_SECONDS = 10.0
"""After which it is said that workers are waited for."""
LOOK_SECONDS = 2.0
"""How often to look whether there are workers, where nothing finishes."""


def require_dask() -> None:
    """Raise `Misuse` with the way to install them unless the packages of clusters are here."""
    for name in ("distributed", "dask_jobqueue"):
        if find_spec(name) is None:
            raise Misuse(f"machine.executor needs the package {name}, which is not installed", INSTALL)


class Cluster:
    """A client of dask, and the items that its workers compute.

    Parameters
    ----------
    client
        `distributed.Client`.
    called
        The cluster in errors.
    how
        What brings workers, for a remedy.
    machine
        How long to wait for workers, and whether each needs a GPU.
    """

    def __init__(self, client: Any, called: str, how: str, machine: MachineParams) -> None:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it says is raised here, in words
        self._client, self._called, self._how = client, called, how
        self._machine = machine

    def execute(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Call `work` for every item; gives the index of each with its result, or what it raised, as they finish.

        Raises
        ------
        ClusterFailed
            The scheduler or all workers are gone, or a worker cannot compute as this process would.
        """
        with _session(self._machine) as session:
            self._require_workers()
            deaths: Counter[int] = Counter()
            alone = yield from self._all(session, work, items, range(len(items)), deaths)
            for index in sorted(alone):
                yield from self._all(session, work, items, [index], deaths)
            with suppress(Exception):
                self._client.run(close, session.token, on_error="ignore")
            _look_again()

    def _all(
        self,
        session: Session,
        work: Callable[[Any], Any],
        items: Sequence[Any],
        indices: Sequence[int],
        deaths: Counter[int],
    ) -> Any:
        """Compute some items at the same time; returns those at which processes died too often for that."""
        finished: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        pending: dict[int, Any] = {}
        alone: list[int] = []

        def submit(index: int) -> None:
            future = self._submit(session, pickle.dumps((work, items[index])))
            pending[index] = future
            future.add_done_callback(lambda done: finished.put((index, done)))

        try:
            for index in indices:
                submit(index)
            while pending:
                index, future = self._next(finished, len(pending))
                del pending[index]
                answer = self._answer(future, len(pending) + 1)
                if isinstance(answer, Answer):
                    _note_cpu(session, answer)
                    yield index, pickle.loads(answer.content)
                    continue
                deaths[index] += 1
                if deaths[index] < DEATHS:
                    submit(index)
                elif deaths[index] == DEATHS:
                    alone.append(index)
                else:
                    yield index, ProcessDied(f"its process {answer.told}", "give it more memory")
        finally:
            with suppress(Exception):
                self._client.cancel(list(pending.values()), force=True)
        return alone

    def _submit(self, session: Session, request: bytes) -> Any:
        resources = {"GPU": 1} if session.gpu else None
        try:
            return self._client.submit(compute, session, request, pure=False, resources=resources)
        except Exception as error:
            raise self._lost(f"{type(error).__name__}: {error}") from None

    def _next(self, finished: SimpleQueue[tuple[int, Any]], pending: int) -> tuple[int, Any]:
        """The next that is finished; raises if nobody is there any more who could finish it."""
        waited = 0.0
        while True:
            try:
                return finished.get(timeout=LOOK_SECONDS)
            except Empty:
                waited = 0.0 if self._workers() else waited + LOOK_SECONDS
            if waited > 60 * self._machine.wait_minutes:
                raise ClusterFailed(
                    f"{self._called} has had no worker for {self._machine.wait_minutes:g} minutes, and {pending} cases "
                    "wait",
                    f"{self._how}; then run the same command again: what is finished is kept",
                )

    def _answer(self, future: Any, pending: int) -> Answer | Death:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            answer: Answer | Death = future.result()
            return answer
        except KilledWorker:
            return Death("was killed with the worker that it ran on, several times")
        except FutureCancelledError:
            raise self._lost(f"{pending} cases were not finished") from None
        except VoxledgerError as error:
            raise ClusterFailed(error.problem, error.remedy) from None
        except Exception as error:
            if future.status != "error":  # the worker is not to blame, but the way to what it returned
                raise self._lost(f"{type(error).__name__}: {error}") from None
            raise ClusterFailed(
                f"a worker of {self._called} cannot begin: {type(error).__name__}: {error}",
                "start the workers from the environment that voxledger is installed in here",
            ) from None

    def _workers(self) -> int:
        """How many workers there are that could do the work."""
        try:
            found = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except Exception:
            return 0
        return sum(not self._machine.on_gpus or worker["resources"].get("GPU", 0) >= 1 for worker in found)

    def _require_workers(self) -> None:
        began = time.monotonic()
        deadline, said = began + 60 * self._machine.wait_minutes, False
        while not self._workers():
            if not said and time.monotonic() > began + SAY_SECONDS:
                said = True
                print(f"waiting for workers of {self._called}", file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                kind = " that offers a GPU" if self._machine.on_gpus else ""
                raise ClusterFailed(
                    f"no worker{kind} has come to {self._called} within {self._machine.wait_minutes:g} minutes "
                    "(machine.wait_minutes)",
                    self._how,
                )
            time.sleep(0.1)

    def _lost(self, why: str) -> ClusterFailed:
        return ClusterFailed(
            f"{self._called} was lost: {why}",
            "once it runs again, run the same command again: what is finished is kept",
        )


@contextmanager
def _session(machine: MachineParams) -> Iterator[Session]:
    """What workers have to have in common with this process, and the file that shows them that the folder is shared."""
    MEMO.mkdir(exist_ok=True)
    handle, token = tempfile.mkstemp(prefix=".session-", dir=MEMO)
    os.close(handle)
    try:
        yield Session(str(Path.cwd()), token, variables(), software(), machine.on_gpus)
    finally:
        Path(token).unlink(missing_ok=True)


_noted: set[str] = set()


def _note_cpu(session: Session, answer: Answer) -> None:
    if answer.cpu != session.software.cpu and answer.host not in _noted:
        _noted.add(answer.host)
        print(
            f"{answer.host} has another kind of processor than this machine: networks may come to other last bits "
            "there (with machine.portable: true they do not)",
            file=sys.stderr,
            flush=True,
        )


def _look_again() -> None:
    """See what other machines have put into the memo: NFS may show an older list of a folder that nobody opens."""
    for folder in (MEMO, *MEMO.iterdir()):
        if folder.is_dir():
            os.scandir(folder).close()
