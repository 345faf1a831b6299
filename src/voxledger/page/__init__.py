"""The page on which people review a bundle in a browser: one file, built from `web/` by `make web`."""

from __future__ import annotations

from pathlib import Path

NAME = "review.html"
"""Of the page in a bundle."""


def page() -> bytes:
    """The page, as it lies in every bundle and is served by `voxledger review serve`."""
    return (Path(__file__).parent / NAME).read_bytes()
