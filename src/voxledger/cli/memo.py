"""`voxledger memo`: what is remembered of cases, and what of it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voxledger.casemap.contents import Contents, Held


@click.group("memo", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def memo(context: click.Context, as_json: bool) -> None:
    """Say what is remembered of cases: how much, what outputs share with it, and what no open round needs.

    \b
    Example:
      voxledger memo
      voxledger memo prune --dry-run
    """
    if context.invoked_subcommand is None:
        from voxledger.casemap.contents import contents
        from voxledger.repository import require_root

        require_root()
        _say(contents(), as_json)


@memo.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def prune(dry_run: bool, as_json: bool) -> None:
    """Remove what no stage used when it ran last, and what killed runs left a week ago.

    Nothing is lost by it: what is asked for again is computed again. Outputs stay; what they share with the memo is
    freed when they go.

    \b
    Example:
      voxledger memo prune --dry-run
      voxledger memo prune
    """
    from voxledger.casemap.contents import contents
    from voxledger.casemap.contents import prune as remove
    from voxledger.repository import require_root

    require_root()
    found = contents() if dry_run else remove()
    if as_json:
        _say(found, as_json)
        return
    dropped = [held for held in (*found.stages, found.abandoned) if held.unneeded]
    for held in dropped:
        click.echo(
            f"{held.stage:12} {held.unneeded:6} entries {_mb(held.unneeded_bytes)}, frees {_mb(held.freed_bytes)}"
        )
    total = f"{sum(h.unneeded for h in dropped)} entries, {_mb(sum(h.freed_bytes for h in dropped)).strip()} freed"
    click.echo(f"would remove {total}" if dry_run else f"removed {total}")


def _say(found: Contents, as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(found), indent=1))
        return
    rows = [*found.stages, *([found.abandoned] if found.abandoned.entries else [])]
    click.echo(f"{'stage':12} {'entries':>7} {'size':>12} {'shared':>12} {'not needed':>11} {'frees':>12}")
    for held in (*rows, _total(rows)):
        click.echo(
            f"{held.stage:12} {held.entries:7} {_mb(held.bytes)} {_mb(held.shared_bytes)} {held.unneeded:11} "
            f"{_mb(held.freed_bytes)}"
        )


def _total(rows: list[Held]) -> Held:
    from dataclasses import fields

    from voxledger.casemap.contents import Held

    names = [f.name for f in fields(Held) if f.name != "stage"]
    return Held("all", **{name: sum(getattr(row, name) for row in rows) for name in names})


def _mb(count: int) -> str:
    return f"{count / 1e6:9.1f} MB"
