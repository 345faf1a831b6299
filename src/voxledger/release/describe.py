"""Descriptions of a release, made from its records: writing all of them, and saying what only people can add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from voxledger import layout
from voxledger.registry import DESCRIPTIONS
from voxledger.release.facts import Facts, read_facts
from voxledger.textfile import replace_text

Describe = Callable[[Facts], dict[str, str]]
"""What a member of the family is: texts by the name of their file, seen from the folder of the release."""


def described(facts: Facts) -> dict[Path, str]:
    """All descriptions by their path."""
    folder = facts.exported or layout.RELEASE
    found: dict[Path, str] = {}
    for describe in DESCRIPTIONS.all().values():
        found |= {folder / name: text for name, text in describe(facts).items()}
    return found


def write_statement() -> None:
    """Write what is made of the manifest, once it is there."""
    for name, text in DESCRIPTIONS.get("statement")(read_facts()).items():
        replace_text(layout.RELEASE / name, text)


def write_descriptions(exported: Path | None = None) -> list[Path]:
    """Write all descriptions into the release in the working tree, or into the folder that it was handed over into."""
    texts = described(read_facts(exported))
    for path, text in texts.items():
        replace_text(path, text)
    return sorted(texts)
