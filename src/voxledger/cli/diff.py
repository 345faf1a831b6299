"""`voxledger diff`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

import click


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def diff(old: str, new: str, as_json: bool) -> None:
    """Say per case and class what changed from version OLD to version NEW, and who or what changed it.

    \b
    Example:
      voxledger diff round-01 round-02
    """
    from voxledger.release.diff import diff as compare
    from voxledger.release.diff import renamings
    from voxledger.repository import require_root

    require_root()
    changes = compare(old, new)
    if as_json:
        click.echo(json.dumps([asdict(c) for c in changes], indent=1))
        return
    if changes:
        click.echo(
            f"{'case':24} {'class':18} {'what':8} {'+voxels':>8} {'-voxels':>8} {'ml':>16} {'Dice':>6}  origin, by"
        )
    for c in changes:
        dice = "" if c.dice is None else f"{c.dice:.3f}"
        ml = f"{c.ml_before:.2f}→{c.ml_after:.2f}"
        origin = (
            c.origin_after if c.origin_before == c.origin_after else f"{c.origin_before or '–'}→{c.origin_after or '–'}"
        )
        click.echo(
            f"{c.case_id:24} {c.class_name:18} {c.kind:8} {c.voxels_added:8d} {c.voxels_removed:8d} {ml:>16} {dice:>6}"
            f"  {origin}, {c.by}"
        )
        for said in c.readings:
            minutes = "" if said.minutes is None else f", {said.minutes:g} min"
            click.echo(f"{'':24} {said.reader}: {said.decision}{minutes}; {said.consensus}: {said.outcome}")
    for line in renamings(old, new):
        click.echo(line)
    kinds = Counter(c.kind for c in changes)
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "nothing changed"
    click.echo(f"{old} → {new}: {told}")
