"""`voxledger upgrade`."""

from __future__ import annotations

import click

from voxledger import layout


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
    if str(layout.PIPELINE) in names:
        click.echo(
            f"changes of your own to stages of {layout.PIPELINE} are not in it any more: see "
            f"`git show -- {layout.PIPELINE}`"
        )
