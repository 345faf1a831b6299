"""What every executor is: a function `execute` that calls another for every item, somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from voxledger.params import MachineParams

Execute = Callable[[Callable[[Any], Any], Sequence[Any], MachineParams], Iterator[tuple[int, Any]]]
"""The function `execute(work, items, machine)` of a file in `casemap/executors/`, whose name `machine.executor` gives.

It calls `work` for every item, at most as many at the same time as `machine` says, and gives the index of each item
with what `work` returned, or with the exception that it raised, as they finish: one bad item does not hide the others.
`work` is a function of a module, and items and results can be pickled, so that they may go to other processes and
machines; it reads and writes below the current folder.
"""
