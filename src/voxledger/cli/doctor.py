"""`voxledger doctor`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from voxledger.progress import printable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Check this machine, and the curation repository here; every line that is not ok says what to do.

    Nothing is changed, and nothing but the remotes of the repository is asked over the network.

    \b
    Example:
      voxledger doctor
      voxledger doctor --json

    Exit codes: 0 nothing is wrong, 1 something is.
    """
    from voxledger.doctor.check import State
    from voxledger.doctor.run import examine

    lines = []
    for line in examine():
        lines.append(line)
        if not as_json:
            click.echo(printable(f"{line.state:5}  {line.check:10}  {line.said}"))
            if line.remedy:
                click.echo(printable(f"{'':5}  {'':10}  → {line.remedy}"))
    counts = {state: sum(line.state is state for line in lines) for state in State}
    if as_json:
        click.echo(json.dumps({"wrong": counts[State.WRONG], "lines": [asdict(line) for line in lines]}, indent=1))
    else:
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    sys.exit(1 if counts[State.WRONG] else 0)
