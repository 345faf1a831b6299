"""Processes of this machine; on one with several GPUs each process has one."""

from __future__ import annotations

import atexit
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import wait
from typing import Any, TypeVar

from voxledger.casemap.worker import Worker, WorkerDied, like_this
from voxledger.errors import Misuse, ProcessDied
from voxledger.params import MachineParams

Item = TypeVar("Item")
Result = TypeVar("Result")

_idle: list[Worker] = []
DEATHS = 2
"""So often a process may die at an item before it is computed with nothing beside it, for the last time."""


def execute(
    work: Callable[[Item], Result], items: Sequence[Item], machine: MachineParams
) -> Iterator[tuple[int, Result | BaseException]]:
    """Call `work` for every item; gives the index of each with its result, or with what it raised, as they finish.

    Parameters
    ----------
    work
        Function of a module: it is sent to other processes by name, and the items and results by pickle.
    machine
        With one worker, or one item, it is computed in this process, whose death ends everything.

    Examples
    --------
    >>> list(execute(len, ["a", "bcd"], MachineParams(workers=1)))
    [(0, 1), (1, 3)]
    """
    count = min(machine.worker_count, len(items))
    if count > 1:
        yield from _in_processes(work, items, environments(machine, count))
        return
    for index, item in enumerate(items):
        try:
            yield index, work(item)
        except (Exception, SystemExit) as error:  # one bad item must not hide the others
            yield index, error


def environments(machine: MachineParams, count: int) -> list[dict[str, str]]:
    """Variables of each of some processes: of this one, and the GPU that it may use.

    Raises
    ------
    Misuse
        There are not as many GPUs as `machine.gpus` says.
    """
    if not machine.on_gpus or not machine.gpus:
        return [dict(os.environ)] * count
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(n) for n in range(machine.gpus)] if listed is None else [name for name in listed.split(",") if name]
    if len(gpus) < machine.gpus:
        raise Misuse(
            f"machine.gpus is {machine.gpus}, but CUDA_VISIBLE_DEVICES is “{listed}”",
            "lower machine.gpus, or give this process more GPUs",
        )
    return [{**os.environ, "CUDA_VISIBLE_DEVICES": gpus[n % machine.gpus]} for n in range(count)]


@contextmanager
def _workers(variables: Sequence[dict[str, str]], prepared: Mapping[str, Any]) -> Iterator[list[Worker]]:
    """One worker for each set of variables: an idle one where one fits, or a new one.

    Those in the list at the end are kept for the next time: what they imported, PyTorch for one, takes seconds.
    """
    found: list[Worker] = []
    for given in variables:
        worker = next((worker for worker in _idle if worker.fits(given, prepared)), None)
        if worker is not None:
            _idle.remove(worker)
        found.append(worker or Worker(given, prepared))
    _end_idle()
    in_use = list(found)
    try:
        yield found
    finally:
        for worker in in_use:
            if worker in found:
                _idle.append(worker)
            else:
                worker.close()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().close()


def _in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], variables: Sequence[dict[str, str]]
) -> Iterator[tuple[int, Result | BaseException]]:
    waiting, deaths = deque(range(len(items))), Counter[int]()
    alone: list[int] = []
    prepared = like_this()
    with _workers(variables, prepared) as idle:
        busy: dict[object, tuple[Worker, int]] = {}
        while waiting or busy:
            while idle and waiting:
                worker, index = idle.pop(), waiting.popleft()
                worker.give(work, items[index])
                busy[worker.connection] = worker, index
            finished = [busy.pop(connection) for connection in wait([worker.connection for worker, _ in busy.values()])]
            for worker, index in finished:
                idle.append(worker)
                try:
                    outcome = worker.result()
                except WorkerDied:
                    worker.restart()
                    deaths[index] += 1
                    (waiting if deaths[index] < DEATHS else alone).append(index)
                    continue
                except Exception as error:  # what it returned cannot be made again here
                    outcome = error
                yield index, outcome
    for index in sorted(alone):
        with closing(Worker(variables[0], prepared)) as worker:
            worker.give(work, items[index])
            try:
                yield index, worker.result()
            except WorkerDied as death:
                yield index, ProcessDied(f"its process {death.told}", "give it more memory")
