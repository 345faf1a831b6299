"""`voxledger init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from voxledger import layout


@click.command(short_help="Make a new curation repository.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Of the dataset, in its tags and manifest; by default the folder's name.")
@click.option("--remote", default="", help="Where data is pushed to, as `dvc remote add` takes it; it is verified.")
def init(folder: Path, name: str | None, remote: str) -> None:
    """Make a new curation repository in FOLDER.

    \b
    Examples:
      voxledger init liver-atlas && cd liver-atlas
      voxledger init liver-atlas --remote s3://hospital/liver-atlas
    """
    from voxledger.init import init as make

    make(folder, name or Path(os.path.realpath(folder)).name, remote)
    click.echo(f"{folder} is ready. Next:")
    click.echo(f"  cd {folder}")
    click.echo(f"  edit {layout.SCHEMA} (the classes) and {layout.PARAMS} (dataset, reviewers, models)")
    click.echo("  voxledger cases add FOLDER --labels FOLDER --source NAME --licence ID")
