"""One function for many items on the processes of this machine, with nothing remembered: what checks and compares.

Whoever checks a version neither believes what its clone remembers nor computes where its `params.yaml` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from voxledger.casemap.executors.local import execute
from voxledger.errors import Misuse, ProcessDied
from voxledger.params import MachineParams
from voxledger.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_BYTES = 1 << 28
"""Of files to read, from which several processes end earlier than one that need not be started."""


def each(
    what: str, work: Callable[[Item], Result], items: Sequence[Item], note: Callable[[Item], str], size: int
) -> list[Result]:
    """What a function of a module returns for every item, in their order; raises the first thing that it raises.

    Parameters
    ----------
    what, note
        How progress calls the whole, and an item.
    size
        Bytes of the files that are read. Only from `WORTH_BYTES` on there are several processes, as many as cores or
        VOXLEDGER_WORKERS.

    Examples
    --------
    >>> each("lengths", len, ["a", "bcd"], note=str, size=0)
    [1, 3]
    """
    machine = _processes() if size >= WORTH_BYTES else MachineParams(workers=1)
    bar, found = progress(what, len(items)), {}
    for index, outcome in execute(work, items, machine):
        if isinstance(outcome, ProcessDied):
            raise ProcessDied(f"{what}, {note(items[index])}: {outcome.problem}", outcome.remedy)
        if isinstance(outcome, BaseException):
            raise outcome
        found[index] = outcome
        bar.step(note(items[index]))
    bar.close()
    return [found[index] for index in range(len(items))]


def bytes_of(files: Iterable[str]) -> int:
    """Size of the files that are here, together."""
    return sum(os.path.getsize(path) for path in files if os.path.isfile(path))  # noqa: PTH113, PTH202 (many files)


def _processes() -> MachineParams:
    given = os.environ.get("VOXLEDGER_WORKERS") or 0
    try:
        return MachineParams.model_validate({"workers": given})
    except ValidationError:
        raise Misuse(f"VOXLEDGER_WORKERS is {given}", "give it the number of processes") from None
