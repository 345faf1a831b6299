"""`voxledger verify`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.argument("tag")
@click.option(
    "--allowed-signers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that you trust, in ssh-keygen's format. Keep it outside the repository.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(tag: str, allowed_signers: Path | None, as_json: bool) -> None:
    """Check a fresh clone of version TAG: every file, every mask, the manifest and its signature.

    \b
    Example:
      git clone --depth 1 --branch round-02 REPOSITORY check
      cd check && dvc pull && voxledger verify round-02 --allowed-signers ~/trusted_signers
    """
    from voxledger.release.verify import verify as check
    from voxledger.repository import require_root

    require_root()
    verdict = check(tag, allowed_signers)
    if as_json:
        click.echo(json.dumps({**asdict(verdict), "intact": not verdict.problems}, indent=1))
    else:
        for problem in verdict.problems:
            click.echo(f"problem: {problem}")
        click.echo(f"{tag}: {verdict.files} files and {verdict.masks} masks checked")
        click.echo(f"manifest signed by {verdict.signer}; tag {verdict.tag_signature}")
        click.echo("DO NOT USE" if verdict.problems else "intact")
    sys.exit(1 if verdict.problems else 0)
