"""The small cases of `tests/small_cases.py`; networks compute on one thread, as everywhere in voxledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_cases import schema, small, tiny

from voxledger.models.process import single_thread

__all__ = ["schema", "small", "tiny"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with single_thread("cpu"):
        yield
