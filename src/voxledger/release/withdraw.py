"""Withdrawing a patient: the next version does not have the patient; the versions so far are another matter.

What is about to be done is written down first, in the row of `data/withdrawn.csv`; the case table, by which a patient
is found, is written last. So a command that was killed is finished by the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.params import read_params
from voxledger.records.acquisition import read_acquisitions, write_acquisitions
from voxledger.records.card import (
    CARD,
    FORMAT,
    PREDICTIONS,
    list_models,
    parse_cards,
    predictions_sha256,
    read_card,
    to_json,
    write_card,
)
from voxledger.records.case_files import case_of, judged_case
from voxledger.records.cases import read_cases, write_cases
from voxledger.records.confirmed import read_confirmed, write_confirmed
from voxledger.records.drawn import read_drawn, write_drawn
from voxledger.records.errors import read_errors, write_errors
from voxledger.records.formats import numbered
from voxledger.records.key_check import note_key
from voxledger.records.ledger import Entry, read_ledger, write_ledger
from voxledger.records.mask_quality import read_judged, write_judged
from voxledger.records.pseudonyms import Pseudonyms
from voxledger.records.readings import joint_bundle, joint_bundles, read_readings, write_readings
from voxledger.records.sent import require_no_bundles
from voxledger.records.withdrawn import Withdrawn, cases_of, patients_of, read_withdrawn, write_withdrawn
from voxledger.release.all_versions import all_cases, learned_from, require_all_of_it
from voxledger.release.cut_returns import cut_all, cut_late, put_in_place
from voxledger.release.inbox import remove_at_once
from voxledger.release.leftovers import leftovers
from voxledger.release.state import require_open
from voxledger.release.times import now
from voxledger.repository import dvc_add, git, require_nobody_runs, require_pulled, require_root
from voxledger.schema import read_schema
from voxledger.textfile import read_text_if_there, replace_text

_TABLES = (
    *(layout.CASES, layout.ACQUISITION, layout.BASE_LEDGER, layout.BASE_READINGS, layout.BASE_ERRORS),
    *(layout.BASE_DRAWN, layout.BASE_JUDGED, layout.CONFIRMED, layout.BASE_CARDS, layout.WITHDRAWN),
    layout.KEY_CHECK,
)
_WORTH = (layout.WORTH, layout.WORTH_PAGE, layout.WORTH_PIPELINE.parent)


@dataclass(frozen=True)
class TakenOut:
    """What became of a withdrawal."""

    row: Withdrawn
    named: list[Path]
    """Files of the working tree that still name the patient."""


def withdraw(patient: str, reason: str, key: Pseudonyms) -> TakenOut:
    """Take a patient out of all that the next version is made from, and commit that.

    Raises
    ------
    Misuse
        There is no such patient, or no reason is given.
    VoxledgerError
        The round is closed or its bundles are out, this clone is shallow, or data is not here.
    """
    require_root()
    params = read_params()
    require_open(params)
    require_no_bundles(params, "what comes back would speak of cases that are gone")
    require_all_of_it()
    require_nobody_runs()
    if not reason.strip():
        raise Misuse("it needs a reason", "say with --reason why the patient is withdrawn; it is published")
    begun = {row.patient: row for row in read_withdrawn()}.get(patients_of(key)(patient))
    row = begun or Withdrawn(patients_of(key)(patient), (), params.round, _curator(), now(), reason.strip())
    today = {c.case_id: c.patient for c in read_cases()}
    ever = all_cases()
    gone = {c.case_id for c in ever if today.get(c.case_id, c.patient) == patient}
    _require_known(patient, gone, row, today)
    if begun is None:
        for folder in layout.INPUTS:
            require_pulled(folder)
    copies = cut_all(layout.BASE_REVISIONS, gone)
    row = replace(
        row,
        cases=tuple(sorted(map(cases_of(key), gone))),
        models=tuple(sorted({*row.models, *learned_from(gone), *_error_model(gone)})),
        returns=tuple(sorted((dict(row.returns) | _with_joint(copies)).items())),
    )
    note_key(key.key)
    write_withdrawn([*(one for one in read_withdrawn() if one.patient != row.patient), row])
    put_in_place(layout.BASE_REVISIONS, gone, copies)
    cut_late(layout.LATE, gone)
    _cut_tables(gone, dict(row.returns))
    _remove_files(gone)
    key.forget(patient, gone)
    dvc_add(*(folder for folder in layout.INPUTS if folder.exists()))
    cases = read_cases()
    write_cases(layout.CASES, (c for c in cases if c.case_id not in gone))
    _commit(len(gone))
    return TakenOut(row, leftovers({patient, *gone}, {name for c in ever for name in (c.case_id, c.patient)}))


def _curator() -> str:
    return git("var", "GIT_AUTHOR_IDENT").partition(" <")[0]


def _require_known(patient: str, gone: Collection[str], row: Withdrawn, today: Mapping[str, str]) -> None:
    if today.keys() & gone or (row.cases and git("status", "--porcelain", "--", str(layout.WITHDRAWN))):
        return
    if row.cases:
        raise Misuse(f"patient {patient} was withdrawn on {row.date}", "see `voxledger withdraw purge --dry-run`")
    if owner := today.get(patient):
        others = sorted(case for case, who in today.items() if who == owner and case != patient)
        raise Misuse(
            f"{patient} is a case, and its patient is {owner}"
            + (f", whose {', '.join(others)} would go, too" * bool(others)),
            f"`voxledger cases withdraw {owner} --reason …`",
        )
    raise Misuse(
        f"no case of a patient {patient} is in {layout.CASES}",
        "`voxledger cases list --json` names the patient of every case; a case without one is its own patient",
    )


def _with_joint(made: Mapping[str, str]) -> dict[str, str]:
    """Also what stands in the ledger for several returns of which one is another now."""
    joint = joint_bundles(read_readings(layout.BASE_READINGS))
    changed = {old: [made.get(one, one) for one in parts] for old, parts in joint.items() if parts & made.keys()}
    return dict(made) | {old: joint_bundle(parts) for old, parts in changed.items()}


def _cut_tables(gone: Collection[str], returns: Mapping[str, str]) -> None:
    """Rows of the patient go, and others name the returns that were cut as they are called now."""
    ledger, names = read_ledger(layout.BASE_LEDGER), read_schema(layout.SCHEMA).names
    kept = {key: _renamed(entry, returns) for key, entry in ledger.items() if key[0] not in gone}
    write_ledger(layout.BASE_LEDGER, kept, names)
    if readings := read_readings(layout.BASE_READINGS):
        mine = [replace(r, bundle=returns.get(r.bundle, r.bundle)) for r in readings if r.case_id not in gone]
        write_readings(layout.BASE_READINGS, mine)
    if confirmed := read_confirmed(layout.CONFIRMED):
        rows = [replace(c, bundle=returns.get(c.bundle, c.bundle)) for c in confirmed if c.case_id not in gone]
        write_confirmed(layout.CONFIRMED, rows)
    if layout.BASE_ERRORS.is_file() and (errors := read_errors(layout.BASE_ERRORS)):
        write_errors(layout.BASE_ERRORS, [e for e in errors if e.case_id not in gone])
    if drawn := read_drawn(layout.BASE_DRAWN):
        write_drawn(layout.BASE_DRAWN, [d for d in drawn if d.case_id not in gone])
    if judged := read_judged(layout.BASE_JUDGED):
        write_judged(layout.BASE_JUDGED, [j for j in judged if j.mask.case_id not in gone])
    if acquired := read_acquisitions():
        write_acquisitions(a for a in acquired if a.case_id not in gone)


def _renamed(entry: Entry, returns: Mapping[str, str]) -> Entry:
    """A row by today's names of returns; what was signed is not what is left of it."""
    neighbours = tuple(replace(n, bundle=returns.get(n.bundle, n.bundle)) for n in entry.changed_by)
    if entry.bundle not in returns:
        return replace(entry, changed_by=neighbours)
    return replace(entry, bundle=returns[entry.bundle], signatures=(), changed_by=neighbours)


def _error_model(gone: Collection[str]) -> set[str]:
    """The id of the model of errors that the round starts from, if judged voxels of these cases lie beside it."""
    if not (layout.BASE_ERROR_MODEL / CARD).is_file():
        return set()
    judged = {judged_case(path.name) for path in layout.BASE_JUDGED_CELLS.glob("*")}
    return {read_card(layout.BASE_ERROR_MODEL).id} if judged & set(gone) else set()


def _remove_files(gone: Collection[str]) -> None:
    """Remove the patient's files from the working tree, and all that is remembered of cases, predictions included.

    The model of errors goes, too, if it learned from the patient: the round makes another one of what is left.
    """
    if _error_model(gone):
        remove_at_once(layout.BASE_ERROR_MODEL)
    for path in [p for top in (layout.DATA, layout.MODELS) for p in top.rglob("*") if p.is_file() or p.is_symlink()]:
        if case_of(path.as_posix(), gone) is not None:
            path.unlink()
    for place in (*_WORTH, layout.MEMO, layout.PREDICTIONS):
        place.unlink() if place.is_file() else remove_at_once(place)
    _declare_predictions_anew()


def _declare_predictions_anew() -> None:
    """Models that are their predictions say of how many, and have their hash in the card."""
    cards = {}
    for card in list_models(layout.BASE_MODELS):
        files = layout.BASE_MODELS / card.name / PREDICTIONS
        if PREDICTIONS in card.params and card.params[PREDICTIONS] != (digest := predictions_sha256(files)):
            params = card.params | {"cases": len(list(files.iterdir())), PREDICTIONS: digest}
            cards[card.id] = card.model_copy(update={"params": params})
            (layout.BASE_MODELS / card.name / CARD).unlink()  # it may be a link into DVC's cache
            write_card(layout.BASE_MODELS / card.name, cards[card.id])
    text = read_text_if_there(layout.BASE_CARDS)
    if cards and text is not None:
        said = parse_cards(text, str(layout.BASE_CARDS))
        today = [cards[card["id"]].model_dump() if card["id"] in cards else card for card in said]
        replace_text(layout.BASE_CARDS, to_json([numbered(card, FORMAT) for card in today]))


def _commit(count: int) -> None:
    paths = [*_TABLES, *map(layout.dvc_file, layout.INPUTS), *_WORTH]
    known = git("ls-files", "--", *paths).splitlines()
    git("add", "--all", "--", *sorted({*known, *(str(p) for p in paths if p.is_file())}))
    staged = git("diff", "--cached", "--name-only", "HEAD", "--", *paths).splitlines()
    if staged:
        git("commit", "--quiet", "--message", f"Withdraw a patient: {count} cases", "--", *staged)
