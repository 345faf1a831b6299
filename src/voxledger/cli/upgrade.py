"""`voxledger upgrade`."""

from __future__ import annotations

import click


@click.command()
def upgrade() -> None:
    """Bring stages/ and dvc.yaml of this repository to those of the voxledger that is installed, and commit that.

    Nothing is computed. What the next round computes again is what changed. Old versions stay as they are.

    \b
    Example:
      voxledger upgrade
    """
    from voxledger.repository import require_root
    from voxledger.upgrade import upgrade as bring_up

    require_root()
    names = bring_up()
    click.echo(f"changed: {', '.join(names)}" if names else "nothing to change")
    if "dvc.yaml" in names:
        click.echo("changes of your own to stages of dvc.yaml are not in it any more: see `git show -- dvc.yaml`")
