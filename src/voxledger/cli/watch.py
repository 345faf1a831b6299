"""`voxledger round watch`: where the round stands, in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.records.worklist import WorkItem
    from voxledger.review.watch import Watched


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine.  [default: one that is free]")
def watch(port: int) -> None:
    """Show where the round stands to the browser of this machine, until Ctrl-C.

    Who has decided how much and in how many minutes, what is wrong or missing in what came back, the worklist with
    pictures, and the last report. The page looks again by itself, and can change nothing. Only this machine is listened
    to, and only who opens the address that is printed is answered: it holds a token. Elsewhere, make a tunnel.

    \b
    Examples:
      voxledger round watch
      ssh -t -L 8001:127.0.0.1:8001 server 'cd /srv/atlas && voxledger round watch --port 8001'
    """
    from voxledger.repository import require_root
    from voxledger.review.watch import Watch

    require_root()
    server = Watch(_look, port)
    click.echo(f"open {server.address}\nCtrl-C ends it")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("\nended")
    finally:
        server.server_close()


def _look() -> Watched:
    """What there is to see now."""
    from voxledger.cli.review import current_status
    from voxledger.release.status import State
    from voxledger.release.status import status as round_status
    from voxledger.release.times import times_of
    from voxledger.review.status import InboxStatus
    from voxledger.review.watch import Watched
    from voxledger.textfile import read_text_if_there

    now = round_status()
    judged = now.state not in (State.EMPTY, State.OPENING, State.LOST)
    times = times_of(now.round)
    worklist, pictures = _chosen(now.round)
    lines = [
        ("cases", ", ".join(f"{count} {name}" for name, count in now.cases.items())),
        ("labelled", f"{now.labelled['complete']} of the pool complete, {now.labelled['partly']} in part"),
        ("masks", ", ".join(f"{count} {name}" for name, count in now.origins.items() if count)),
        ("advice", now.advice),
        ("next", now.next_step),
    ]
    return Watched(
        f"{now.dataset}, round {now.round}: {now.state}",
        [(name, text) for name, text in lines if text],
        current_status() if judged else InboxStatus((), (), ()),
        times["first_export"] or "",
        {bundle: receipts[-1]["at"] for bundle, receipts in times["receipts"].items() if receipts},
        worklist,
        pictures,
        read_text_if_there(layout.ROUND_REPORT) or "",
    )


def _chosen(number: int) -> tuple[list[WorkItem], str]:
    """The worklist of a round and its pictures, as far as the round has them."""
    from voxledger.records.worklist import read_worklist
    from voxledger.textfile import read_json_if_there, read_text_if_there

    counted = read_json_if_there(layout.CASE_COUNTS, "round")
    if counted is None or counted["round"] != number or not layout.WORKLIST.is_file():
        return [], ""
    return read_worklist(), read_text_if_there(layout.SCORE_SECTION) or ""
