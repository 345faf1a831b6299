"""`voxledger schema`: rename and retire classes between rounds."""

from __future__ import annotations

import click

from voxledger import layout


@click.group()
def schema() -> None:
    """Rename and retire classes between rounds, on record."""


@schema.command()
@click.argument("old")
@click.argument("new")
def rename(old: str, new: str) -> None:
    """Call the class OLD by the name NEW from this round on.

    Its masks, their hashes and who made them stay as they are. labels.yaml keeps the old name under `formerly`, so that
    older versions and models that know the class under it are still understood.

    \b
    Example:
      voxledger schema rename tumour pdac
    """
    from voxledger.release.classes import rename as change

    left = change(old, new)
    click.echo(f"{old} is called {new} from now on")
    _show(left, old)


@schema.command()
@click.argument("name")
@click.option("--reason", required=True, help=f"Why it is no longer used; {layout.SCHEMA} keeps it.")
def retire(name: str, reason: str) -> None:
    """Take the class NAME out of the working set, from this round on.

    Its voxels go to the class it lies in, or to the background; older versions keep it. labels.yaml says under
    `retired` when and why.

    \b
    Example:
      voxledger schema retire cyst --reason "three cases in two years"
    """
    from voxledger.release.classes import retire as take_out

    masks, left = take_out(name, reason)
    click.echo(f"{name} is retired: {masks} masks were taken out of {layout.BASE}")
    _show(left, name)


def _show(references: list[str], name: str) -> None:
    for where in references:
        click.echo(f"  {layout.PARAMS} still names {name} in {where}: change it by hand")
    click.echo("Next: voxledger round run")
