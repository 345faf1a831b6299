"""The small cases of `tests/small_cases.py`."""

from small_cases import schema, small, tiny

__all__ = ["schema", "small", "tiny"]
