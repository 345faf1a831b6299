"""The small cases."""

from __future__ import annotations

from small_cases import small

__all__ = ["small"]
