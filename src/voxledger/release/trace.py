"""Where a mask came from: label → reviewer and bundle → models → cohort → parent models → sources."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.records.card import parse_cards
from voxledger.records.cases import Case, parse_cases
from voxledger.records.decisions import TABLE as DECISIONS
from voxledger.records.ledger import Entry, Ledger, Signature, parse_ledger
from voxledger.records.readings import JOINT, Reading, parse_readings
from voxledger.records.reviewers import KeyState, Reviewer, Reviewers, parse_reviewers
from voxledger.records.withdrawn import names_of_return, parse_withdrawn
from voxledger.release.marked import note_of
from voxledger.repository import commit_of, cut_history, file_at, git, is_ancestor, is_shallow, round_tag, tag_exists
from voxledger.schema import LabelSchema, parse_schema
from voxledger.textfile import parse_yaml, table, unreadable


@dataclass
class Earlier:
    """What this clone knows of the versions that came before one."""

    schema: LabelSchema
    """Of that one: it knows what its classes were called before."""
    versions: list[tuple[str, Ledger]] = field(default_factory=list)
    """Newest first."""
    absent: list[str] = field(default_factory=list)
    """Tags that are not in this clone."""
    foreign: list[str] = field(default_factory=list)
    """Tags that are here, but that this version did not go on from."""

    @property
    def known(self) -> list[str]:
        return [tag for tag, _ in self.versions]

    def row(self, ledger: Ledger, entry: Entry) -> Entry | None:
        """What an older ledger says of the same mask, whatever its class was called there."""
        names = self.schema.names_of(entry.class_name)
        return next((ledger[entry.case_id, n] for n in names if (entry.case_id, n) in ledger), None)


def trace(case_id: str, class_name: str | None = None, tag: str | None = None) -> dict[str, Any]:
    """The chain from the labels of a case back to people, models and sources, from git alone.

    What the chain needs and this clone does not hold is listed under `not_here`; `brings_it` is the command that
    fetches it.

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
    ledger, schema = ledger_at(tag), schema_at(tag)
    # What a class was called before or is called today does not matter.
    asked = {*schema.names_of(class_name), *schema_at(None).names_of(class_name)} if class_name else None
    entries = [e for (c, k), e in ledger.items() if c == case_id and (asked is None or k in asked)]
    if not entries:
        known = {c for c, _ in ledger}
        what = f"class {class_name} of case {case_id}" if case_id in known else f"case {case_id}"
        said = [r for r in readings_at(tag) if r.case_id == case_id and (asked is None or r.class_name in asked)]
        if said:
            what += f", of which {len(said)} readings are pending in {layout.RELEASE_READINGS},"
        told = schema.told_of(class_name or "") or f"name a class of {layout.SCHEMA}"
        raise Misuse(
            f"{what} is not in the ledger of {tag or 'the working tree'}",
            "see `voxledger cases list`" if case_id not in known else told,
        )
    cards = _cards(tag)
    wanted = sorted({m for e in entries for m in e.model_ids})
    earlier, reviewers = _earlier(tag, schema), _reviewers(tag)
    models = [_model(m, cards, tag) for m in _with_ancestors(wanted, cards)]
    classes = [
        {
            "class": e.class_name,
            **{k: v for k, v in asdict(e).items() if k not in ("case_id", "class_name")},
            "signatures": [_signature(signature, _owner(signature, e, reviewers)) for signature in e.signatures],
            "decision": _decision(e, tag, earlier),
            "confirmed": _confirmed(e, tag),
            "history": _history(e, earlier),
            "readings": _readings(e, tag, schema),
        }
        for e in entries
    ]
    return {
        "version": tag or "working tree",
        "case": _case(case_id, tag),
        "classes": classes,
        "models": models,
        "not_here": [*_lacking_history(entries, earlier), *_lacking_decisions(classes), *_lacking_cohorts(models)],
        "brings_it": _fetch_command(entries, earlier, classes, models),
    }


def ledger_at(tag: str | None) -> Ledger:
    """The ledger of a version; of the working tree, the released one if it is of this round, or else the base."""
    paths = [layout.RELEASE_LEDGER, layout.BASE_LEDGER]
    before = round_tag(_round_at(None) - 1) if tag is None else ""
    if tag is None and file_at(None, layout.RELEASE_LEDGER) == file_at(before, layout.RELEASE_LEDGER):
        # What the round before released; cases may have been added and classes renamed since.
        paths.reverse()
    for path in paths:
        text = file_at(tag, path)
        if text is not None:
            return parse_ledger(text, _named(path, tag))
    raise Misuse(f"there is no ledger at {tag or 'the working tree'}", "name a version, such as round-01")


def schema_at(tag: str | None) -> LabelSchema:
    """The classes of a version, or of the working tree."""
    text = file_at(tag, layout.SCHEMA)
    if text is None:
        raise Misuse(f"there is no {layout.SCHEMA} at {tag or 'the working tree'}", "name a version, such as round-01")
    return parse_schema(text, _named(layout.SCHEMA, tag))


def _case(case_id: str, tag: str | None) -> dict[str, str]:
    return next((asdict(case) for case in _cases(tag) if case.case_id == case_id), {"case_id": case_id})


def _cases(tag: str | None) -> list[Case]:
    """The cases of a version; none where it has no case table."""
    text = file_at(tag, layout.CASES)
    return [] if text is None else parse_cases(text, _named(layout.CASES, tag))


def _cards(tag: str | None) -> dict[str, dict[str, Any]]:
    cards = {}
    for path in (layout.BASE_CARDS, layout.NEXT_CARDS):
        text = file_at(tag, path)
        for card in parse_cards(text, _named(path, tag)) if text is not None else []:
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


def _model(model_id: str, cards: dict[str, dict[str, Any]], tag: str | None) -> dict[str, Any]:
    card = dict(cards.get(model_id, {"id": model_id, "name": "unknown to this version"}))
    if card.get("cohort"):
        card["cohort_cases"] = _cohort(card, tag)
    if note := note_of(model_id):
        card["withdrawn"] = note
    return card


def _cohort(card: dict[str, Any], tag: str | None) -> dict[str, Any] | None:
    """The cases that a model learned from; None unless a table here has the hash that its card names."""
    for revision in (round_tag(card["round"]), tag):
        text = file_at(revision, layout.COHORT)
        if text is None or hashlib.sha256(text.encode()).hexdigest() != card["cohort"]:
            continue
        sources = {case.case_id: f"{case.source} ({case.licence})" for case in _cases(revision)}
        members = {row["case_id"] for row in _rows(revision, layout.COHORT, "case_id")}
        return {
            "at": revision or "working tree",
            "cases": len(members),
            "sources": dict(sorted(Counter(sources.get(m, "unknown") for m in members).items())),
        }
    return None


def _decision(entry: Entry, tag: str | None, earlier: Earlier) -> dict[str, str] | None:
    """The row that a reviewer wrote, from the round in which it was imported."""
    if not entry.bundle:
        return None
    names = earlier.schema.names_of(entry.class_name)
    withdrawn = file_at(tag, layout.WITHDRAWN)
    cut = parse_withdrawn(withdrawn, _named(layout.WITHDRAWN, tag)) if withdrawn else []
    bundles = names_of_return(entry.bundle, cut)
    # A neighbour that trimmed the mask later gave its row a newer version than its decision has.
    for revision in (tag, round_tag(entry.version), *earlier.known):
        text = file_at(revision, layout.DECISIONS)
        if text is None:
            continue
        with DECISIONS.rows(text, _named(layout.DECISIONS, revision)) as rows:
            for row in rows:
                if row["case_id"] == entry.case_id and row["bundle"] in bundles and row["class_name"] in names:
                    return row
    return None


def _confirmed(entry: Entry, tag: str | None) -> list[dict[str, str]]:
    """What a curator confirmed of the return that a mask is from: of its class, and of the label map as a whole."""
    rows = _rows(tag, layout.CONFIRMED) if entry.bundle else []
    mine = [row for row in rows if (row["bundle"], row["case_id"]) == (entry.bundle, entry.case_id)]
    return [row for row in mine if row["class_name"] in ("", entry.class_name)]


def _reviewers(tag: str | None) -> Reviewers:
    """Those of a version; none before there was such a file."""
    text = file_at(tag, layout.REVIEWERS)
    return {} if text is None else parse_reviewers(text, _named(layout.REVIEWERS, tag))


def _owner(signature: Signature, entry: Entry, reviewers: Reviewers) -> Reviewer | None:
    """Which of those that the ledger names has the key."""
    named = (reviewers.get(name) for name in entry.reviewer.split(JOINT))
    return next((one for one in named if one is not None and one.key(signature.key) is not None), None)


def _signature(signature: Signature, reviewer: Reviewer | None) -> dict[str, Any]:
    """A signature, and what `reviewers.yaml` says of its reviewer, if it lists the key."""
    key = reviewer.key(signature.key) if reviewer is not None else None
    return {
        **asdict(signature),
        "listed": key is not None,
        "reviewer": reviewer.told if reviewer is not None and key is not None else "",
        "revoked": key.told(KeyState.REVOKED) if key is not None and key.revoked is not None else "",
    }


def _readings(entry: Entry, tag: str | None, schema: LabelSchema) -> list[dict[str, Any]]:
    """What every reader said of a class, in all rounds, the oldest first; none in versions before that was kept."""
    names = schema.names_of(entry.class_name)
    return [asdict(r) for r in readings_at(tag) if r.case_id == entry.case_id and r.class_name in names]


def readings_at(tag: str | None) -> list[Reading]:
    """The readings of a version; of the working tree, those that were released last, or else those of the base."""
    for path in (layout.RELEASE_READINGS, layout.BASE_READINGS):
        if text := file_at(tag, path):
            return parse_readings(text, _named(path, tag))
    return []


def _rows(revision: str | None, path: Path, *columns: str) -> list[dict[str, str]]:
    """Rows of a table with these columns, at a revision or in the working tree; none where there is no such file."""
    text = file_at(revision, path)
    if text is None:
        return []
    with table(text, _named(path, revision), columns) as rows:
        return list(rows)


def _named(path: Path, revision: str | None) -> str:
    return f"{path} at {revision}" if revision else str(path)


def _round_at(tag: str | None) -> int:
    text = file_at(tag, layout.PARAMS)
    if text is None:
        raise Misuse(f"there is no {layout.PARAMS} at {tag or 'the working tree'}", "name a version, such as round-01")
    what = _named(layout.PARAMS, tag)
    number = parse_yaml(text, what).get("round", 0)
    if not isinstance(number, int):
        raise unreadable(what, f"round is {number!r}")
    return number


def _earlier(tag: str | None, schema: LabelSchema) -> Earlier:
    """The versions of the rounds before, as far as this clone can know them.

    Behind the cut of a shallow clone git cannot say what came from what. There the ledger that a round started from
    tells which version it continues.
    """
    revision = tag or "HEAD"
    whole = not cut_history(revision)
    closings = set(git("log", "--format=%s", revision, check=False).splitlines())
    earlier, newer = Earlier(schema), tag
    unbroken = True
    for number in reversed(range(_round_at(tag))):
        name = round_tag(number)
        if not tag_exists(name):
            # Where all commits are here, a number that no commit closed was skipped.
            if not whole or any(line.startswith(f"Close round {number}:") for line in closings):
                earlier.absent.append(name)
                unbroken = False
            continue
        text = file_at(name, layout.RELEASE_LEDGER)
        ledger = None if text is None else parse_ledger(text, f"{layout.RELEASE_LEDGER} at {name}")
        ours = is_ancestor(name, revision) or (
            not whole and ledger is not None and (not unbroken or _continues(newer, ledger))
        )
        if not ours:
            earlier.foreign.append(name)
            unbroken = False
        elif ledger is not None:
            earlier.versions.append((name, ledger))
            newer, unbroken = name, True
    return earlier


def _continues(newer: str | None, older: Ledger) -> bool:
    """Whether a round started from this ledger; since then, cases may have been added and classes renamed."""
    text = file_at(newer, layout.BASE_LEDGER)
    base = {} if text is None else parse_ledger(text, _named(layout.BASE_LEDGER, newer))
    schema = schema_at(newer)
    for (case_id, name), entry in older.items():
        today = schema.renamed(name) or name
        found = base.get((case_id, today))
        if found is None and schema.told_of(name):
            continue
        if found is None or replace(found, class_name=name, changed_by=()) != replace(entry, changed_by=()):
            return False
    return True


def _history(entry: Entry, earlier: Earlier) -> list[dict[str, Any]]:
    """Older states of a mask, newest first, each named by the first version that held it."""
    states: list[dict[str, Any]] = []
    current = (entry.mask_sha256, entry.origin, entry.class_name)
    for tag, ledger in earlier.versions:
        old = earlier.row(ledger, entry)
        if old is None:
            break
        state = {
            "first_in": tag,
            "class": old.class_name,
            "origin": old.origin.value,
            "mask_sha256": old.mask_sha256,
            "reviewer": old.reviewer,
            "model_ids": list(old.model_ids),
            "ml": old.ml,
        }
        if (old.mask_sha256, old.origin, old.class_name) != current:
            states.append(state)
            current = (old.mask_sha256, old.origin, old.class_name)
        elif states:
            states[-1]["first_in"] = tag
    return states


def _lacks(entry: Entry, earlier: Earlier, tags: Iterable[str]) -> list[str]:
    """Those of `tags` that may hold an older state of a mask, from what its rows say of what came before them."""
    lacking = []
    for tag in tags:
        row = entry
        for name, ledger in earlier.versions:
            if _number(name) > _number(tag):
                row = earlier.row(ledger, entry) or row
        if row.version > _number(tag) and row.previous_mask_sha256:
            lacking.append(tag)
    return lacking


def _number(tag: str) -> int:
    return int(tag.removeprefix("round-"))


def _lacking_history(entries: Sequence[Entry], earlier: Earlier) -> list[str]:
    lines = []
    for tags, why in (
        (earlier.absent, ""),
        (earlier.foreign, ", which this clone has of another line of history"),
    ):
        lacking = {e.class_name: found for e in entries if (found := _lacks(e, earlier, tags))}
        if lacking:
            versions = sorted({tag for found in lacking.values() for tag in found}, key=_number)
            lines.append(f"older states of {', '.join(lacking)}, in {', '.join(versions)}{why}")
    return lines


def _lacking_decisions(classes: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"decision of {c['reviewer']} on {c['class']}, in bundle {c['bundle'][:12]}"
        for c in classes
        if c["bundle"] and c["decision"] is None
    ]


def _lacking_cohorts(models: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for model in models:
        if model.get("cohort") and model["cohort_cases"] is None:
            tag = round_tag(model["round"])
            differs = file_at(tag, layout.COHORT)
            other = f": {layout.COHORT} at {tag} is not the one that the card names" if differs else ""
            lines.append(
                f"cohort of model {model['id'][:12]} ({model['name']}), trained in round {model['round']}{other}"
            )
    return lines


def _fetch_command(
    entries: Sequence[Entry], earlier: Earlier, classes: Sequence[dict[str, Any]], models: Sequence[dict[str, Any]]
) -> str | None:
    """The command that brings what is not here; None where nothing is lacking that a fetch could bring."""
    needed = any(_lacks(e, earlier, earlier.absent) for e in entries)
    needed |= bool(earlier.absent) and bool(_lacking_decisions(classes))
    needed |= any(
        m.get("cohort") and m["cohort_cases"] is None and not tag_exists(round_tag(m["round"])) for m in models
    )
    if not needed:
        return None
    return "git fetch --unshallow --tags" if is_shallow() else "git fetch --tags"
