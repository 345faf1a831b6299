"""`voxledger round`: where the round stands, run it, close it, open the next."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass

import click

from voxledger import layout
from voxledger.records.ledger import Ledger


@dataclass(frozen=True)
class Status:
    """Where the current round stands."""

    dataset: str
    round: int
    state: str
    """`empty`, `ready`, `waiting`, `finished`, `closed`, `opening` (`round open` was interrupted), or `lost` (data/
    round was removed)."""
    cases: dict[str, int]
    labelled: dict[str, int]
    """Cases of the pool of which people stand behind every class, and those of which they stand behind some."""
    origins: dict[str, int]
    """Masks of the pool by origin."""
    waiting_for: list[str]
    advice: str
    """Whether another round is worth it, and why; empty before the worklist of this round is made."""
    next_step: str


@click.group("round")
def round_() -> None:
    """Run, close and open rounds; see where one stands."""


@round_.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Say where the round stands and what to type next.

    \b
    Example:
      voxledger round status
    """
    now = _status()
    if as_json:
        click.echo(json.dumps(asdict(now), indent=1))
        return
    click.echo(f"{now.dataset}, round {now.round}: {now.state}")
    click.echo("cases    " + ", ".join(f"{n} {name}" for name, n in now.cases.items()))
    click.echo(f"labelled {now.labelled['complete']} of the pool complete, {now.labelled['partly']} in part")
    click.echo("masks    " + ", ".join(f"{n} {name}" for name, n in now.origins.items() if n))
    for line in now.waiting_for:
        click.echo(f"waiting  {line}")
    if now.advice:
        click.echo(f"advice   {now.advice}")
    click.echo(f"next     {now.next_step}")


@round_.command()
@click.option("--no-memo", is_flag=True, help="Compute every case again, remembered or not.")
def run(no_memo: bool) -> None:
    """Run the round as far as it goes: to the bundles, and, once they are back, to the end.

    Exit code 3 says that people have to act first; what is missing is listed.

    \b
    Example:
      voxledger round run
    """
    from voxledger.bundles.inbox import require_complete
    from voxledger.bundles.untouched import require_untouched
    from voxledger.cases.intake import take_back_interrupted
    from voxledger.errors import VoxledgerError
    from voxledger.params import read_params
    from voxledger.records.bundle import expected_bundles
    from voxledger.records.cases import read_cases
    from voxledger.records.sent import is_out
    from voxledger.release.round import (
        require_bundles_fit,
        require_open,
        require_whole_dvc_files,
        send_out,
        track_inbox,
    )
    from voxledger.release.times import note_run
    from voxledger.repository import dvc, require_root
    from voxledger.schema import read_schema
    from voxledger.stage import require_pipeline

    require_root()
    require_pipeline()
    params = read_params()
    require_open(params)
    require_whole_dvc_files()
    take_back_interrupted(read_cases(), read_schema(layout.SCHEMA))
    require_untouched(layout.BUNDLES)
    require_bundles_fit()
    if no_memo:
        os.environ["VOXLEDGER_NO_MEMO"] = "1"
    # What people were shown is not computed again.
    again = ["--force"] if no_memo and not is_out(params) else []
    if dvc("repro", *again, "export") != 0:
        raise VoxledgerError("a stage before the review failed", "read its message above; finished cases are kept")
    if bundles := expected_bundles(layout.BUNDLES, params.round):
        send_out({folder.name: manifest.id for folder, manifest in bundles.items()})
    require_complete(layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round)
    track_inbox()
    if dvc("repro", *(["--force", "--downstream", "gate"] if no_memo else [])) != 0:
        raise VoxledgerError("a stage after the review failed", "read its message above; nothing that came in is lost")
    note_run(params.round)
    click.echo(f"round {params.round} is finished: {layout.ROUND_REPORT}. Next: voxledger round close")


@round_.command()
@click.option("--no-push", is_flag=True, help="Keep the data here, even where a remote is configured.")
def close(no_push: bool) -> None:
    """Freeze the round: manifest, signature (if git signs with an ssh key), commit, tags, push of the data.

    \b
    Example:
      voxledger round close
    """
    from voxledger.bundles.inbox import untracked
    from voxledger.errors import VoxledgerError
    from voxledger.release.round import close as freeze
    from voxledger.repository import require_root
    from voxledger.review.receive import remove_leftovers

    require_root()
    remove_leftovers(layout.INBOX)
    if copied := untracked(layout.INBOX):
        raise VoxledgerError(
            f"{', '.join(p.as_posix() for p in copied)} is not under DVC, where `voxledger review receive` would have "
            "put it, so the round cannot be frozen with it",
            "run `voxledger round run`: it puts this under DVC and repeats gate and import alone; then "
            "`voxledger round close`",
        )
    release = freeze(push=not no_push)
    click.echo(f"closed as {release}. Next: git push --follow-tags, then voxledger round open")


@round_.command("recall")
def recall_() -> None:
    """Take the bundles of this round back, as long as nothing has come in, so that they can be made anew.

    \b
    Example:
      voxledger round recall
    """
    from voxledger.bundles.untouched import require_untouched
    from voxledger.release.round import recall
    from voxledger.repository import require_root

    require_root()
    require_untouched(layout.BUNDLES, every_byte=True)
    recall()
    shutil.rmtree(layout.BUNDLES, ignore_errors=True)
    click.echo("nobody's review of these bundles will fit any more: tell the reviewers. Next: voxledger round run")


@round_.command("open")
def open_() -> None:
    """Make the closed round's outputs the inputs of the next.

    \b
    Example:
      voxledger round open
    """
    from voxledger.release.round import open_next
    from voxledger.repository import git

    click.echo(f"round {open_next()} is open. Next: voxledger round run")
    if not git("symbolic-ref", "--quiet", "HEAD", check=False):
        click.echo("this clone is on no branch: keep the new commit with `git switch -c NAME`")


def _status() -> Status:
    from voxledger.bundles.inbox import look_into, untracked
    from voxledger.knowledge import labelled
    from voxledger.params import read_params
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.ledger import Origin, read_ledger
    from voxledger.records.sent import BRING_BACK, is_out
    from voxledger.release.round import evaluated_round, opening
    from voxledger.repository import require_root, round_tag, tag_exists
    from voxledger.schema import read_schema

    require_root()
    params, cases = read_params(), read_cases()
    released = layout.RELEASE_LEDGER
    current = evaluated_round() == params.round
    ledger = read_ledger(released if current and released.exists() else layout.BASE_LEDGER)
    pool = {c.case_id for c in in_split(cases, Split.POOL)}
    found = labelled(ledger, pool, read_schema(layout.SCHEMA).names)
    origins = {o.value: sum(e.origin is o for (c, _), e in ledger.items() if c in pool) for o in Origin}
    lost, begun = _is_lost(), opening()
    # Without the bundles that went out, what came back cannot be judged.
    inbox = (
        None
        if lost or begun is not None
        else look_into(layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round)
    )
    waiting = [str(finding) for finding in (*inbox.all_problems, *inbox.all_missing)] if inbox else []
    if not cases:
        state, following = "empty", "voxledger cases add FOLDER --labels FOLDER"
    elif begun is not None:
        state = "opening"
        following = f"voxledger round open (it was interrupted, and goes on to open round {begun})"
    elif tag_exists(round_tag(params.round)):
        brought_back = f"git restore {layout.ROUND} && dvc checkout ({layout.ROUND} was removed), then " if lost else ""
        state, following = "closed", f"{brought_back}voxledger round open"
    elif lost:
        state = "lost"
        following = (
            f"{BRING_BACK} ({layout.ROUND} was removed: this brings back what people were shown)"
            if is_out(params)
            else f"voxledger round run ({layout.ROUND} was removed, and is made again)"
        )
    elif waiting:
        state, following = "waiting", "voxledger review receive FILE.zip, then voxledger round run"
    elif current and untracked(layout.INBOX):
        state, following = "finished", f"voxledger round run (puts what was copied into {layout.INBOX} under DVC)"
    elif current:
        state, following = "finished", "voxledger round close (after any change: voxledger round run)"
    else:
        state, following = "ready", "voxledger round run"
    counts = {s.value: len(in_split(cases, s)) for s in Split}
    return Status(
        params.dataset,
        params.round,
        state,
        counts,
        {"complete": found.complete, "partly": found.partly},
        origins,
        waiting,
        _advice(params.round, ledger if current else {}, pool),
        following,
    )


def _is_lost() -> bool:
    """Whether data/round is not here, though dvc.lock says that it was made."""
    from voxledger.textfile import read_text_if_there

    return f"path: {layout.ROUND}/" in (read_text_if_there(layout.LOCK) or "") and not any(layout.ROUND.glob("*"))


def _advice(number: int, ledger: Ledger, pool: set[str]) -> str:
    """Whether to go on: from the worklist, and, once people have looked, from what they found."""
    from voxledger.score.stopping import last_reviewed
    from voxledger.textfile import read_json, read_json_if_there

    view = read_json_if_there(layout.OUTLOOK, "stop", "why")
    if view is None or read_json(layout.CASE_COUNTS, "round")["round"] != number:
        return ""
    said = f"{'stop' if view['stop'] else 'continue'}: {view['why']}"
    now = {key: entry for key, entry in ledger.items() if entry.version == number}
    revised, reviewed = last_reviewed(now, pool)
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
