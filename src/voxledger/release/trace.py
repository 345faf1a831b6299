"""Where a mask came from: label → reviewer and bundle → models → cohort → parent models → sources."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from voxledger.errors import Misuse
from voxledger.ledger import Entry, Ledger, parse_ledger
from voxledger.repository import commit_of, file_at, git, round_tag, round_tags

LEDGER = "data/release/ledger.csv"
BASE_LEDGER = "data/base/ledger.csv"


def trace(case_id: str, class_name: str | None = None, tag: str | None = None) -> dict[str, Any]:
    """The chain from the labels of a case back to people, models and sources, from git alone.

    Parameters
    ----------
    tag
        Version to ask; None asks the working tree.

    Raises
    ------
    Misuse
        The case or class is not in the ledger of that version.
    """
    if tag is not None:
        commit_of(tag)
    ledger = ledger_at(tag)
    entries = [e for (c, k), e in ledger.items() if c == case_id and class_name in (None, k)]
    if not entries:
        known = {c for c, _ in ledger}
        what = f"class {class_name} of case {case_id}" if case_id in known else f"case {case_id}"
        raise Misuse(
            f"{what} is not in the ledger of {tag or 'the working tree'}",
            "see `voxledger cases list`" if case_id not in known else "name a class of labels.yaml",
        )
    cards = _cards(tag)
    wanted = sorted({m for e in entries for m in e.model_ids})
    earlier = _earlier(tag)
    return {
        "version": tag or "working tree",
        "case": _case(case_id, tag),
        "classes": [
            {
                "class": e.class_name,
                **{k: v for k, v in asdict(e).items() if k not in ("case_id", "class_name")},
                "decision": _decision(e, tag),
                "history": _history(e, earlier),
            }
            for e in entries
        ],
        "models": [_model(m, cards) for m in _with_ancestors(wanted, cards)],
    }


def ledger_at(tag: str | None) -> Ledger:
    """The ledger of a version; of the working tree, the released one or else the base."""
    for path in (LEDGER, BASE_LEDGER):
        text = file_at(tag, path)
        if text is not None:
            return parse_ledger(text.splitlines(), f"{path} at {tag}" if tag else path)
    raise Misuse(f"there is no ledger at {tag or 'the working tree'}", "name a version, such as round-01")


def _case(case_id: str, tag: str | None) -> dict[str, str]:
    rows = csv.DictReader((file_at(tag, "data/cases.csv") or "").splitlines())
    return next((row for row in rows if row["case_id"] == case_id), {"case_id": case_id})


def _cards(tag: str | None) -> dict[str, dict[str, Any]]:
    cards = {}
    for path in ("models/base.json", "models/next.json"):
        for card in json.loads(file_at(tag, path) or "[]"):
            cards[card["id"]] = card
    return cards


def _with_ancestors(model_ids: list[str], cards: dict[str, dict[str, Any]]) -> list[str]:
    ordered: list[str] = []
    waiting = list(model_ids)
    while waiting:
        model_id = waiting.pop(0)
        if model_id and model_id not in ordered:
            ordered.append(model_id)
            waiting.append(cards.get(model_id, {}).get("parent", ""))
    return ordered


def _model(model_id: str, cards: dict[str, dict[str, Any]]) -> dict[str, Any]:
    card = dict(cards.get(model_id, {"id": model_id, "name": "unknown to this version"}))
    if card.get("cohort"):
        card["cohort_cases"] = _cohort(card)
    return card


def _cohort(card: dict[str, Any]) -> dict[str, Any]:
    tag = round_tag(card["round"])
    text = file_at(tag, "data/round/cohort.csv") or file_at(None, "data/round/cohort.csv")
    cases = csv.DictReader((file_at(tag, "data/cases.csv") or file_at(None, "data/cases.csv") or "").splitlines())
    sources = {row["case_id"]: f"{row['source']} ({row['licence']})" for row in cases}
    members = {row["case_id"] for row in csv.DictReader((text or "").splitlines())}
    return {
        "at": tag,
        "cases": len(members),
        "sources": dict(sorted(Counter(sources.get(m, "unknown") for m in members).items())),
    }


def _decision(entry: Entry, tag: str | None) -> dict[str, str] | None:
    """The row that a reviewer wrote, from the round in which it was imported."""
    if not entry.bundle:
        return None
    for revision in (tag, round_tag(entry.version)):
        rows = csv.DictReader((file_at(revision, "data/round/decisions.csv") or "").splitlines())
        for row in rows:
            if (row["case_id"], row["class_name"], row["bundle"]) == (entry.case_id, entry.class_name, entry.bundle):
                return row
    return None


def _earlier(tag: str | None) -> list[tuple[str, Ledger]]:
    """Ledgers of the versions that came before, newest first."""
    tags = round_tags()
    if tag is not None:
        reachable = set(git("tag", "--list", "round-*", "--merged", tag, check=False).split())
        tags = [t for t in tags if t in reachable and t != tag]
    found = []
    for name in reversed(tags):
        text = file_at(name, LEDGER)
        if text is not None:
            found.append((name, parse_ledger(text.splitlines(), f"{LEDGER} at {name}")))
    return found


def _history(entry: Entry, earlier: list[tuple[str, Ledger]]) -> list[dict[str, Any]]:
    """Older states of a mask, newest first, each named by the first version that held it."""
    states: list[dict[str, Any]] = []
    current = (entry.mask_sha256, entry.origin)
    for tag, ledger in earlier:
        old = ledger.get((entry.case_id, entry.class_name))
        if old is None:
            break
        state = {
            "first_in": tag,
            "origin": old.origin.value,
            "mask_sha256": old.mask_sha256,
            "reviewer": old.reviewer,
            "model_ids": list(old.model_ids),
            "ml": old.ml,
        }
        if (old.mask_sha256, old.origin) != current:
            states.append(state)
            current = (old.mask_sha256, old.origin)
        elif states:
            states[-1]["first_in"] = tag
    return states
