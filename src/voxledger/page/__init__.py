"""The page on which people review a bundle in a browser: one file, built from `web/` by `make web`."""

from __future__ import annotations

from pathlib import Path

NAME = "review.html"
"""Of the page in a bundle."""


def page() -> bytes:
    """The page, as it lies in every bundle and is served by `voxledger review serve`."""
    return (Path(__file__).parent / NAME).read_bytes()


def page_that_sends(origin: str) -> bytes:
    """The page where its browser may send to one other machine, and to no more: `https://HOST` or `https://HOST:PORT`."""
    allowed = b"connect-src 'self'"
    assert page().count(allowed) == 1
    return page().replace(allowed, allowed + b" " + origin.encode())
