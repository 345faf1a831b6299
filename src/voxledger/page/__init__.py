"""The page on which people review a bundle in a browser: one file, built from `web/` by `make web`."""

from __future__ import annotations

from pathlib import Path

NAME = "review.html"
"""Of the page in a bundle."""


def page() -> bytes:
    """The page, as it lies in every bundle and is served by `voxledger review serve`."""
    return (Path(__file__).parent / NAME).read_bytes()


def sending_to(content: bytes, origin: str) -> bytes:
    """A page that may send to one other machine, `https://HOST` or `https://HOST:PORT`, and to no more."""
    allowed = b"connect-src 'self'"
    return content.replace(allowed, allowed + b" " + origin.encode(), 1)
