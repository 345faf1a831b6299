"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from voxledger.errors import VoxledgerError
from voxledger.process import end_with

Item = TypeVar("Item")
Result = TypeVar("Result")


def execute(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result | BaseException]]:
    """Call `work` for every item; gives the index of each with its result, or with what it raised, as they finish.

    Parameters
    ----------
    work
        Function of a module: it is sent to other processes by name, and the items and results by pickle.
    workers
        Processes; 1 computes in this one, where a death of the process ends everything.

    Examples
    --------
    >>> list(execute(len, ["a", "bcd"], workers=1))
    [(0, 1), (1, 3)]
    """
    if workers <= 1 or len(items) <= 1:
        for index, item in enumerate(items):
            try:
                yield index, work(item)
            except Exception as error:  # one bad item must not hide the others
                yield index, error
        return
    broken = []
    with _pool(min(workers, len(items))) as pool:
        futures = {pool.submit(work, item): index for index, item in enumerate(items)}
        for future in as_completed(futures):
            failure = future.exception()
            if isinstance(failure, BrokenProcessPool):
                broken.append(futures[future])
            else:
                yield futures[future], failure if failure is not None else future.result()
    for index in sorted(broken):  # a process died and took the others with it: find out whose item it was
        with _pool(1) as pool:
            failure = (alone := pool.submit(work, items[index])).exception()
            if isinstance(failure, BrokenProcessPool):
                failure = VoxledgerError("its process was killed, as when memory runs out", "give it more memory")
            yield index, failure if failure is not None else alone.result()


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), end_with, (os.getpid(),))
