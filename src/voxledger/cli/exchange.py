"""`voxledger review send` and `voxledger review fetch`: bundles out and returns back, through a carrier."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.params import Params
    from voxledger.records.exchange import Sending
    from voxledger.review.carrier import Lines
    from voxledger.review.fetch import Fetched


@click.command()
@click.argument("reviewer")
@click.option(
    "--to", "where", default="", help=f"A DVC remote, or CARRIER:PLACE; by default `exchange` in {layout.PARAMS}."
)
@click.option("--json", "as_json", is_flag=True, help="For programs, as one that writes the mail.")
def send(reviewer: str, where: str, as_json: bool) -> None:
    """Put the bundle of REVIEWER where they get it, and print what to tell them: a line to get it, one to send it back.

    They need no git, no DVC, no Python. That the bundle lies there is committed, so that every curator can fetch. Links
    of s3 work for seven days and for one return; send again for new ones. They are printed here and nowhere else:
    whoever has them can use them.

    \b
    Examples:
      voxledger review send alice                          to the place that `exchange` names
      voxledger review send alice --to hospital            an s3 or ssh remote of DVC
      voxledger review send bob --to folder:/media/share   unpacked, in a folder that both reach
    """
    from voxledger.cli.review import bundle_of, freeze, is_closed
    from voxledger.errors import Misuse
    from voxledger.params import read_params
    from voxledger.release.times import now
    from voxledger.review.carrier import where_of
    from voxledger.review.send import send as put

    folder, params = bundle_of(reviewer), read_params()
    if is_closed(params):
        raise Misuse(
            f"round {params.round} is closed: nothing that comes back counts in it any more", "`voxledger round open`"
        )
    to = where_of(where or params.exchange)
    freeze()
    lines = put(folder, to, now())
    if as_json:
        click.echo(json.dumps(_values(reviewer, folder.name, to.text, lines), indent=1, ensure_ascii=False))
        return
    click.echo(f"{folder.name} lies at {to.text}. Tell {reviewer}:")
    click.echo(f"  get it:        {lines.get}")
    click.echo(f"  send it back:  {lines.give}")
    if lines.until:
        click.echo(
            f"The lines work until {lines.until:%Y-%m-%d %H:%M} UTC, the second for one return: "
            "send again for new ones."
        )
    if lines.by_page:
        click.echo("The page in the bundle sends it back, too, without the second line.")
    if lines.secret:
        click.echo(f"Whoever has them is taken for {reviewer}: they are written down nowhere else.")
    click.echo("Next: git push, so that other curators can fetch too; then voxledger review fetch")


def _values(reviewer: str, bundle: str, to: str, lines: Lines) -> dict[str, Any]:
    until = lines.until.isoformat(timespec="seconds") if lines.until else None
    return {"reviewer": reviewer, "bundle": bundle, "to": to, "get": lines.get, "give": lines.give, "until": until} | {
        "by_page": lines.by_page
    }


@click.command()
@click.argument("reviewer", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def fetch(reviewer: str | None, as_json: bool) -> None:
    """Bring what REVIEWER, or everybody, sent back into data/inbox, and say what is wrong with it or missing.

    It looks where bundles were sent to, by whichever curator, and takes in what is new as `voxledger review receive`
    does. Nothing is fetched twice, and nothing is removed there. An interrupted fetch goes on where it stopped. Exit
    code 3 while people are waited for, 1 if something was refused or could not be reached.

    \b
    Examples:
      voxledger review fetch
      voxledger review fetch alice --json
    """
    from voxledger.bundles.pulled import require_pulled
    from voxledger.cli.review import current_status, is_closed, show, take_in
    from voxledger.errors import Waiting
    from voxledger.params import read_params
    from voxledger.repository import require_root
    from voxledger.review.fetch import fetch as bring
    from voxledger.review.receive import most_bytes
    from voxledger.stage import require_scripts

    require_root()
    require_scripts()
    require_pulled(layout.INBOX)
    params = read_params()
    number = params.round + is_closed(params)
    sendings = _sent(reviewer, params)
    found = []
    for one in bring(
        sendings,
        lambda file, sender: take_in(file, sender=sender, quiet=as_json),
        most_bytes(layout.BUNDLES, number),
    ):
        found.append(one)
        if not as_json:
            _tell(one)
    after = current_status()
    if as_json:
        click.echo(json.dumps({"fetched": [_fetched(f) for f in found], **after.to_json()}, indent=1))
    else:
        for name in sorted({s.reviewer for s in sendings}):
            show(after, name)
        lacking = {b.bundle: b.reviewer for b in after.bundles if b.state in ("incomplete", "refused")}
        for bundle in sorted({f.received.manifest.name for f in found if f.received} & lacking.keys()):
            click.echo(
                f"  → ask {lacking[bundle]} to put this right and to send the folder again: what came now is kept "
                f"beside it. For a link of s3 that is used, `voxledger review send {lacking[bundle]}` prints a new one"
            )
        if not found:
            click.echo("nothing new")
    if after.problems or any(f.problem and not isinstance(f.problem, Waiting) for f in found):
        sys.exit(1)
    states = {b.state for b in after.bundles if reviewer in (None, b.reviewer)}
    sys.exit(1 if "refused" in states else 3 if states - {"complete"} or any(f.problem for f in found) else 0)


def _sent(reviewer: str | None, params: Params) -> list[Sending]:
    """What was sent of the bundles that are out, of which all that are asked for are here."""
    from voxledger.cli.review import is_closed
    from voxledger.errors import Misuse, VoxledgerError
    from voxledger.records.bundle import sent_bundles
    from voxledger.records.exchange import read_sendings
    from voxledger.records.sent import read_sent

    sent = read_sent()
    out = set(sent.bundles.values()) if sent else set()
    found = [s for s in read_sendings() if s.id in out and reviewer in (None, s.reviewer)]
    if not found:
        raise Misuse(
            f"no bundle{f' of {reviewer}' if reviewer else ''} that is out was sent by `voxledger review send`",
            "send it first; if another curator did, `git pull`. What came by mail: `voxledger review receive FILE.zip`",
        )
    if sent and sent.round == params.round and not is_closed(params):
        here = {manifest.id for manifest in sent_bundles(layout.BUNDLES, params.round).values()}
        if absent := sorted({s.bundle for s in found if s.id not in here}):
            raise VoxledgerError(
                f"{', '.join(absent)} is not here, so what comes back cannot be compared with it",
                "`dvc pull --allow-missing`, then fetch again",
            )
    return found


def _tell(one: Fetched) -> None:
    received, problem = one.received, one.problem
    if received is not None and received.late:
        click.echo(
            f"{received.manifest.name} is of round {received.manifest.round}, which is closed: kept as late, "
            f"{received.folder}"
        )
        click.echo(
            f"  → in a round with bundles out, `voxledger review receive {received.folder} --carry` takes it over"
        )
    elif problem is not None:
        name = f", {one.name!r}" if one.name else ""
        click.echo(f"{one.reviewer} at {one.to}{name}: {problem}")
    if one.kept is not None:
        click.echo(f"  what came is kept as {one.kept}")


def _fetched(one: Fetched) -> dict[str, Any]:
    received = one.received
    return {
        "to": one.to,
        "reviewer": one.reviewer,
        "name": one.name,
        "bundle": received.manifest.name if received else None,
        "new": bool(received and received.new),
        "late": bool(received and received.late),
        "problem": str(one.problem) if one.problem else None,
        "kept": str(one.kept) if one.kept else None,
    }
