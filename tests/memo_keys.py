"""What a stage remembers its cases by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest

from voxledger.casemap.job import Job


class _Asked(Exception):
    """The stage has said which cases it wants computed."""


def keys_of(module: ModuleType, call: Callable[[], Any]) -> dict[str, str]:
    """Memo keys by case of a call that comes to the `casemap` of a module; nothing is computed."""
    asked: dict[str, str] = {}

    def record(jobs: Sequence[Job[Any]], *_: Any, **__: Any) -> None:
        asked.update((job.title, job.key) for job in jobs)
        raise _Asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "casemap", record)
        with pytest.raises(_Asked):
            call()
    return asked
