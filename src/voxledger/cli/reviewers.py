"""`voxledger review sign` and `reviewers`: signatures of what comes back, and whose keys count."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--key", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your ssh key."
)
def sign(folder: Path, key: Path) -> None:
    """Sign FOLDER, the bundle that you send back, once it is finished: decisions and labels as they are now.

    Writes return.sha256 and return.sha256.sig into it. Whatever is changed afterwards has to be signed again.

    \b
    Example:
      voxledger review sign bundle-r01-alice --key ~/.ssh/id_ed25519
    """
    from voxledger.review.sign import sign_return

    count = sign_return(folder, key)
    click.echo(f"{folder}: {count} files signed; send it back as it is now")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--allowed-signers", is_flag=True, help="As a file for `ssh-keygen -Y verify`, for auditors.")
def reviewers(as_json: bool, allowed_signers: bool) -> None:
    """List the reviewers of params.yaml and reviewers.yaml with their keys, and what each key is worth today.

    \b
    Examples:
      voxledger review reviewers
      voxledger review reviewers --allowed-signers > reviewers_signers
    """
    from datetime import UTC, datetime

    from voxledger.errors import Misuse
    from voxledger.params import read_params
    from voxledger.records.reviewers import Reviewer, read_reviewers
    from voxledger.repository import require_root

    require_root()
    if as_json and allowed_signers:
        raise Misuse("--json and --allowed-signers are two forms of one list", "give one of them")
    now, listed_there = datetime.now(UTC), read_reviewers()
    asked = {name: Reviewer() for name in read_params().export.reviewers if name not in listed_there}
    found = {**listed_there, **asked}
    if as_json:
        listed = {
            name: {
                "affiliation": one.affiliation,
                "qualification": one.qualification,
                "keys": [
                    {"fingerprint": k.fingerprint, "state": k.state(now), **k.model_dump(mode="json", by_alias=True)}
                    for k in one.keys
                ],
            }
            for name, one in found.items()
        }
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for name, one in found.items():
        if allowed_signers:
            for key in one.keys:
                click.echo(key.allowed_signer(name))
            continue
        click.echo(f"{name}: {one.told or 'nothing is known of them'}")
        for key in one.keys:
            click.echo(f"  {key.fingerprint} {key.told(key.state(now))}")
        if not one.keys:
            click.echo("  no key: cannot sign")
