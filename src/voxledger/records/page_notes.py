"""What a bundle says of its cases beside the manifest, in `review.json`: for the page, and for emulated readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxledger.records.bundle import PAGE_NOTES
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import read_json_if_there, unreadable

UPGRADES: tuple[Upgrade, ...] = (lambda values: values,)
"""Format 2 says which classes the models of a case know."""
FORMAT = len(UPGRADES) + 1


@dataclass(frozen=True)
class CaseNotes:
    """What is said of one case."""

    modality: str
    known: frozenset[str] | None
    """Classes that its models know; None where the bundle does not say, as in format 1."""


def read_page_notes(bundle: Path) -> dict[str, CaseNotes]:
    """What is said of every case; nothing in a bundle from before there was a page.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    path = bundle / PAGE_NOTES
    values = upgraded(read_json_if_there(path, "cases") or {"cases": {}}, UPGRADES, str(path))
    try:
        return {
            case: CaseNotes(str(said["modality"]), frozenset(said["known"]) if "known" in said else None)
            for case, said in values["cases"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise unreadable(path, f"it says of a case what nobody knows: {error!r}") from None
