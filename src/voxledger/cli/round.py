"""`voxledger round`: where the round stands, run it, close it, open the next."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxledger import layout
from voxledger.cli.watch import watch

if TYPE_CHECKING:
    from voxledger.params import Params


@click.group("round")
def round_() -> None:
    """Run, close and open rounds; see where one stands."""


round_.add_command(watch)


@round_.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Say where the round stands and what to type next.

    \b
    Example:
      voxledger round status
    """
    from voxledger.release.status import status as look

    now = look()
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
    from voxledger.bundles.pulled import require_pulled
    from voxledger.cases.interrupted import take_back_interrupted
    from voxledger.records.cases import read_cases
    from voxledger.release.run import require_runnable, run_round
    from voxledger.schema import read_schema

    params = require_runnable()
    require_pulled(layout.INBOX)
    take_back_interrupted(read_cases(), read_schema(layout.SCHEMA))
    _take_in_edits(params)
    run_round(params, no_memo)
    click.echo(f"round {params.round} is finished: {layout.ROUND_REPORT}. Next: voxledger round close")


def _take_in_edits(params: Params) -> None:
    """Keep what somebody did in the bundles that went out, and say so."""
    from voxledger.bundles.untouched import touched
    from voxledger.errors import VoxledgerError
    from voxledger.release.inbox import track_inbox
    from voxledger.release.times import note_receipt
    from voxledger.repository import dvc
    from voxledger.review.rescue import rescue

    def bring_back(place: Path) -> None:
        if dvc("checkout", "--force", place, quiet=True) != 0:
            raise VoxledgerError(
                f"{place} was changed where it lies, and DVC cannot bring back what went out",
                f"what was changed is kept in {layout.INBOX}; see DVC's message above, or `dvc pull`",
            )

    for place in (layout.BUNDLES, layout.ADJUDICATION):
        if not touched(place):
            continue
        for one in rescue(place, layout.INBOX, params.round, partial(bring_back, place), params.review.outside):
            click.echo(f"{one.name} was changed where it lay in {place}: kept as {one.kept}")
            if one.counts is not None:
                note_receipt(one.counts.name, one.sha256)
                click.echo(f"  it counts as the return {one.counts}, or as a part of it")
            elif one.why:
                click.echo(f"  it counts as no return: {one.why}")
        track_inbox()


@round_.command()
@click.option("--no-push", is_flag=True, help="Keep the data here, even where a remote is configured.")
def close(no_push: bool) -> None:
    """Freeze the round: manifest, signature (if git signs with an ssh key), commit, tags, push of the data.

    \b
    Example:
      voxledger round close
    """
    from voxledger.release.close import close as freeze
    from voxledger.release.facts import read_facts
    from voxledger.release.inbox import require_all_tracked
    from voxledger.repository import require_root
    from voxledger.review.receive import remove_leftovers

    require_root()
    remove_leftovers(layout.INBOX)
    require_all_tracked()
    release = freeze(push=not no_push)
    if missing := read_facts().missing():
        click.echo(f"its descriptions lack answers, see `voxledger release describe`: {', '.join(missing)}")
    click.echo(f"closed as {release}. Next: git push --follow-tags, then voxledger round open")


@round_.command("licence")
@click.argument("name")
@click.option("--reason", required=True, help="Why the release may have its licence all the same.")
def licence(name: str, reason: str) -> None:
    """Allow the licence that params.yaml declares, although that of the model or source NAME asks for more; on record.

    \b
    Example:
      voxledger round licence nninteractive --reason "written permission of its makers, 2026-03-01"
    """
    from voxledger.release.licence import allow
    from voxledger.repository import require_root

    require_root()
    row = allow(name, reason)
    click.echo(f"allowed by {row.curator}: {row.declared} beside {row.licence} of {name}. Next: voxledger round close")


@round_.command("recall")
def recall_() -> None:
    """Take the bundles of this round back, as long as nothing has come in, so that they can be made anew.

    \b
    Example:
      voxledger round recall
    """
    from voxledger.bundles.untouched import require_untouched
    from voxledger.release.send import recall
    from voxledger.repository import require_root

    require_root()
    for place in (layout.BUNDLES, layout.ADJUDICATION):
        require_untouched(place, every_byte=True)
    recall()
    click.echo("nobody's review of these bundles will fit any more: tell the reviewers. Next: voxledger round run")


@round_.command("open")
def open_() -> None:
    """Make the closed round's outputs the inputs of the next.

    \b
    Example:
      voxledger round open
    """
    from voxledger.params import read_params
    from voxledger.release.open import open_next
    from voxledger.repository import git, require_root
    from voxledger.review.receive import remove_leftovers
    from voxledger.score.no_audit import without_audit

    require_root()
    remove_leftovers(layout.INBOX)
    click.echo(f"round {open_next()} is open. Next: voxledger round run")
    for warning in without_audit(read_params().score):
        click.echo(f"warning: {warning}", err=True)
    if not git("symbolic-ref", "--quiet", "HEAD", check=False):
        click.echo("this clone is on no branch: keep the new commit with `git switch -c NAME`")
