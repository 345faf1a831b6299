"""`voxledger upgrade`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.upgrade import Upgrade


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change and what would be computed again.")
@click.option("--json", "as_json", is_flag=True, help="Print that as JSON.")
def upgrade(dry_run: bool, as_json: bool) -> None:
    """Bring stages/, dvc.yaml and algorithms.yaml to those of the voxledger that is installed, and commit that.

    First it shows which versions of algorithms change and which stages DVC will run again. Nothing is computed until
    the next `voxledger round run`. Old versions stay as they are.

    \b
    Example:
      voxledger upgrade --dry-run
      voxledger upgrade
    """
    from voxledger.repository import require_root
    from voxledger.upgrade import plan_upgrade
    from voxledger.upgrade import upgrade as carry_out

    require_root()
    plan = plan_upgrade()
    if as_json:
        import json

        click.echo(json.dumps(_values(plan), indent=2))
    else:
        _show(plan)
    if dry_run or not plan.files:
        return
    carry_out(plan)
    if not as_json and layout.PIPELINE in plan.files:
        click.echo(
            f"changes of your own to stages of {layout.PIPELINE} are not in it any more: see "
            f"`git show -- {layout.PIPELINE}`"
        )


def _show(plan: Upgrade) -> None:
    if not plan.files:
        click.echo("nothing to change")
        return
    click.echo(f"files that change: {', '.join(map(str, plan.files))}")
    if plan.versions:
        click.echo("versions of algorithms:")
        for name, (old, new) in plan.versions.items():
            click.echo(f"  {name:<12} {old or '–'} → {new or '–'}")
    if not plan.again:
        click.echo("no stage runs again")
        return
    click.echo("stages that DVC runs again:")
    for name, reasons in plan.again.items():
        click.echo(f"  {name:<12} {'; '.join(reasons)}")
    if plan.follow:
        click.echo(f"and after them, where their inputs come out differently: {', '.join(plan.follow)}")


def _values(plan: Upgrade) -> dict[str, object]:
    return {
        "files": [path.as_posix() for path in plan.files],
        "versions": {name: {"old": old, "new": new} for name, (old, new) in plan.versions.items()},
        "run_again": plan.again,
        "follow": plan.follow,
    }
