"""Pieces of the HTML report: tables and pictures. All text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts.

    >>> print(table(["class"], [["<b>"]]))
    <table>
    <thead><tr><th>class</th></tr></thead>
    <tbody>
    <tr><td>&lt;b&gt;</td></tr>
    </tbody></table>
    """
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def image(content: bytes, alt: str, kind: str) -> str:
    """A picture that needs no other file; `kind` as in its media type: `png`, `svg+xml`."""
    return f'<img alt="{escape(alt, quote=True)}" src="{data_url(content, kind)}">'


def data_url(content: bytes, kind: str) -> str:
    """A picture as a URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
