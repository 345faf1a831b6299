"""Numbers of text tables, whose bytes repeat."""

from __future__ import annotations


def fixed(value: float, decimals: int) -> str:
    """A number with a fixed count of decimals, never a negative zero; `nan` and `inf` by name."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text
