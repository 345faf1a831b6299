"""`voxledger verify`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import click

LISTED = 5
"""Missing files of one folder that are named one by one."""


@click.command()
@click.argument("tag")
@click.option(
    "--allowed-signers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that you trust, in ssh-keygen's format. Keep it outside the repository.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(tag: str, allowed_signers: Path | None, as_json: bool) -> None:
    """Check a fresh clone of version TAG: every file, every mask, the manifest, the tags and their signatures.

    \b
    Example:
      git clone --depth 1 --branch round-02 REPOSITORY check
      cd check && dvc pull && voxledger verify round-02 --allowed-signers ~/trusted_signers
    """
    from voxledger.release.verify import verify as check

    verdict = check(tag, allowed_signers)
    intact = not verdict.problems and not verdict.missing
    if as_json:
        click.echo(json.dumps({"intact": intact, **asdict(verdict)}, indent=1))
    else:
        for problem in verdict.problems:
            click.echo(f"problem: {problem}")
        for line in _by_folder(verdict.missing):
            click.echo(f"missing: {line}")
        for note in verdict.notes:
            click.echo(f"note: {note}")
        click.echo(f"{tag} ({verdict.version}): {verdict.files} files and {verdict.masks} masks checked")
        click.echo(f"manifest signed by {verdict.signer}; tag {verdict.tag_signature}")
        if verdict.missing:
            click.echo(f"{len(verdict.missing)} files are not here; to bring them: {verdict.command}")
        click.echo("intact" if intact else "DO NOT USE")
    sys.exit(0 if intact else 1)


def _by_folder(names: Sequence[str]) -> Iterator[str]:
    counts = Counter(PurePosixPath(name).parent for name in names)
    for folder, count in counts.items():
        if count > LISTED:
            yield f"{folder}: {count} files"
        else:
            yield from (name for name in names if PurePosixPath(name).parent == folder)
