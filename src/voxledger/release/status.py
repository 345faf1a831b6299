"""Where the round stands, and what to type next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voxledger import layout
from voxledger.bundles.context import read_context
from voxledger.bundles.inbox import look_into, untracked
from voxledger.knowledge import labelled
from voxledger.params import Params, read_params
from voxledger.records.cases import Split, in_split, read_cases
from voxledger.records.ledger import Ledger, Origin, last_reviewed, read_ledger
from voxledger.records.sent import BRING_BACK, is_out
from voxledger.release.state import evaluated_round, opening
from voxledger.repository import require_root, round_tag, tag_exists
from voxledger.schema import read_schema
from voxledger.textfile import read_json, read_json_if_there, read_text_if_there


class State(StrEnum):
    """How far a round is."""

    EMPTY = "empty"
    """There is no case."""
    READY = "ready"
    """Stages can run."""
    WAITING = "waiting"
    """People have bundles, or something is wrong with what came back."""
    FINISHED = "finished"
    """Evaluated, not closed."""
    CLOSED = "closed"
    OPENING = "opening"
    """`round open` was interrupted."""
    LOST = "lost"
    """What the stages wrote was removed."""


@dataclass(frozen=True)
class Status:
    """Where the current round stands."""

    dataset: str
    round: int
    state: State
    cases: dict[str, int]
    """By split."""
    labelled: dict[str, int]
    """Cases of the pool of which people stand behind every class, and those of which they stand behind some."""
    origins: dict[str, int]
    """Masks of the pool by origin."""
    waiting_for: list[str]
    advice: str
    """Whether another round is worth it, and why; empty before the worklist of this round is made."""
    next_step: str


def status() -> Status:
    """Look where the current round stands; changes nothing."""
    require_root()
    params, cases = read_params(), read_cases()
    current = evaluated_round() == params.round
    ledger = read_ledger(layout.RELEASE_LEDGER if current and layout.RELEASE_LEDGER.exists() else layout.BASE_LEDGER)
    pool = {c.case_id for c in in_split(cases, Split.POOL)}
    found = labelled(ledger, pool, read_schema(layout.SCHEMA).names)
    lost, begun = _is_lost(), opening()
    # Without the bundles that went out, what came back cannot be judged.
    judged = not lost and begun is None
    inbox = None
    if judged:
        context = read_context(params.review)
        inbox = look_into(layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round, context)
    waiting = [str(finding) for finding in (*inbox.all_problems, *inbox.all_missing)] if inbox else []
    state = _state(params, bool(cases), begun, lost, bool(waiting), current)
    return Status(
        params.dataset,
        params.round,
        state,
        {s.value: len(in_split(cases, s)) for s in Split},
        {"complete": found.complete, "partly": found.partly},
        {o.value: sum(e.origin is o for (c, _), e in ledger.items() if c in pool) for o in Origin},
        waiting,
        advice(params.round, ledger if current else {}, pool),
        _next_step(state, params, begun, lost),
    )


def _state(params: Params, cases: bool, begun: int | None, lost: bool, waiting: bool, evaluated: bool) -> State:
    if not cases:
        return State.EMPTY
    if begun is not None:
        return State.OPENING
    if tag_exists(round_tag(params.round)):
        return State.CLOSED
    if lost:
        return State.LOST
    if waiting:
        return State.WAITING
    return State.FINISHED if evaluated else State.READY


def _next_step(state: State, params: Params, begun: int | None, lost: bool) -> str:
    """What to type, and why where it is not plain."""
    match state:
        case State.EMPTY:
            return "voxledger cases add FOLDER --labels FOLDER"
        case State.OPENING:
            return f"voxledger round open (it was interrupted, and goes on to open round {begun})"
        case State.CLOSED:
            brought_back = f"git restore {layout.ROUND} && dvc checkout ({layout.ROUND} was removed), then "
            return f"{brought_back if lost else ''}voxledger round open"
        case State.LOST if is_out(params):
            return f"{BRING_BACK} ({layout.ROUND} was removed: this brings back what people were shown)"
        case State.LOST:
            return f"voxledger round run ({layout.ROUND} was removed, and is made again)"
        case State.WAITING:
            return "voxledger review receive FILE.zip, then voxledger round run"
        case State.FINISHED if untracked(layout.INBOX):
            return f"voxledger round run (puts what was copied into {layout.INBOX} under DVC)"
        case State.FINISHED:
            return "voxledger round close (after any change: voxledger round run)"
        case State.READY:
            return "voxledger round run"


def _is_lost() -> bool:
    """Whether what the stages wrote is not here, though dvc.lock says that it was made."""
    made = f"path: {layout.ROUND}/" in (read_text_if_there(layout.LOCK) or "")
    return made and not any(layout.ROUND.glob("*"))


def advice(number: int, ledger: Ledger, pool: set[str]) -> str:
    """Whether to go on: from the worklist, and, once people have looked, from what they found.

    Parameters
    ----------
    number
        The current round.
    ledger
        Its ledger; empty before it is evaluated.
    pool
        Ids of the cases that people can be asked for.
    """
    view = read_json_if_there(layout.OUTLOOK, "stop", "why")
    if view is None or read_json(layout.CASE_COUNTS, "round")["round"] != number:
        return ""
    said = f"{'stop' if view['stop'] else 'continue'}: {view['why']}"
    revised, reviewed = last_reviewed({key: e for key, e in ledger.items() if e.version == number}, pool)
    if reviewed:
        said = f"{'continue' if revised else 'stop'}: {revised} of {reviewed} reviewed cases needed revision"
    seen = read_json_if_there(layout.HINDSIGHT) or {}
    audit = seen.get("audit", {})
    if seen.get("round") == number and audit.get("cases"):
        pooled = audit.get("pooled", audit)
        said += f"; the blind audit found errors in {audit['with_errors']} of {audit['cases']} cases"
        if pooled["cases"] > audit["cases"]:
            said += f", since round {pooled['since_round']} in {pooled['with_errors']} of {pooled['cases']}"
        enough = "few enough" if audit["allows_to_stop"] else "too many"
        said += f" (at most {pooled['high']:.1%} of all, {enough} to stop)"
    return said
