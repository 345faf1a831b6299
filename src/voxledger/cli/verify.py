"""`voxledger verify`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from voxledger import layout
from voxledger.progress import printable

if TYPE_CHECKING:
    from voxledger.release.verify import Verdict

LISTED = 5
"""Missing files of one folder that are named one by one."""

INTACT, ALTERED, INCOMPLETE = 0, 1, 4
"""Exit codes; 2 is misuse and 3 waiting for people, as everywhere."""


@click.command()
@click.argument("tag")
@click.option(
    "--allowed-signers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that you trust, in ssh-keygen's format. Keep it outside the repository.",
)
@click.option(
    "--withdrawn",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"List of what was withdrawn since, {layout.PURGED} of a later version, with its signature beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(tag: str, allowed_signers: Path | None, withdrawn: Path | None, as_json: bool) -> None:
    """Check a fresh clone of version TAG: every file, every mask, the manifest, the tags and their signatures.

    \b
    Example:
      git clone --depth 1 --branch round-02 REPOSITORY check
      cd check && dvc pull && voxledger verify round-02 --allowed-signers ~/trusted_signers

    Exit codes: 0 intact (but for what was withdrawn), 1 altered, 2 misuse, 4 incomplete: nothing is altered, but files
    are not here, or not as released since git wrote them with other line ends.
    """
    from voxledger.errors import Misuse
    from voxledger.release.verify import verify as check

    if withdrawn is not None and allowed_signers is None:
        raise Misuse("anybody may have made a list of withdrawn files", "give --allowed-signers FILE, too")
    verdict = check(tag, allowed_signers, withdrawn)
    code = ALTERED if verdict.problems else INCOMPLETE if verdict.missing or verdict.converted else INTACT
    if as_json:
        said = {INTACT: _intact(verdict), ALTERED: "altered", INCOMPLETE: "incomplete"}[code]
        click.echo(json.dumps({"verdict": said, "intact": code == INTACT, **asdict(verdict)}, indent=1))
    else:
        for problem in verdict.problems:
            _say(f"problem: {problem}")
        for line in _by_folder(verdict.missing):
            _say(f"missing: {line}")
        for line in _by_folder(list(verdict.withdrawn)):
            _say(f"withdrawn: {line}")
        for line in _by_folder(verdict.converted):
            _say(f"other line ends: {line}")
        for note in verdict.notes:
            _say(f"note: {note}")
        _say(f"{tag} ({verdict.version}): {verdict.files} files and {verdict.masks} masks checked")
        _say(f"manifest signed by {verdict.signer}; tag {verdict.tag_signature}")
        if line := _of_reviews(verdict):
            _say(line)
        if verdict.missing:
            _say(f"files that are not here: {len(verdict.missing)}; to bring them: {verdict.command}")
            if not verdict.withdrawn:
                _say("if they were withdrawn, --withdrawn FILE says so (docs/withdrawal.md)")
        if verdict.converted:
            _say(f"files that git wrote with other line ends, as core.autocrlf asks: {len(verdict.converted)}")
            clone = f"git clone -c core.autocrlf=false --depth 1 --branch {tag} REPOSITORY check"
            _say(f"to have them as released: {clone} && cd check && dvc pull")
        if verdict.problems:
            _say(
                "altered; to see whether only here: "
                f"git clone --depth 1 --branch {tag} REPOSITORY check && cd check && dvc pull && voxledger verify {tag}"
            )
        _say({INTACT: _intact(verdict), ALTERED: "DO NOT USE", INCOMPLETE: "INCOMPLETE"}[code])
    sys.exit(code)


def _intact(verdict: Verdict) -> str:
    count = len(set(verdict.withdrawn.values()))
    return f"intact but for {count} withdrawn objects" if count else "intact"


def _of_reviews(verdict: Verdict) -> str:
    """How many reviews are signed, by whom, and whose keys said so; empty where none is."""
    signed = [review for review in verdict.reviews if review.signatures]
    if not signed:
        return ""
    names = ", ".join(sorted({review.reviewer for review in signed}))
    if verdict.review_keys == layout.REVIEWERS.as_posix():
        keys = f"by the version's own {layout.REVIEWERS}, which proves nothing: give --allowed-signers FILE"
    else:
        keys = f"by the keys in {verdict.review_keys}" if verdict.review_keys else "keys not checked"
    return f"reviews signed: {len(signed)} of {len(verdict.reviews)}, by {names}; {keys}"


def _say(line: str) -> None:
    click.echo(printable(line))


def _by_folder(names: Sequence[str]) -> Iterator[str]:
    counts = Counter(PurePosixPath(name).parent for name in names)
    for folder, count in counts.items():
        if count > LISTED:
            yield f"{folder}: {count} files"
        else:
            yield from (name for name in names if PurePosixPath(name).parent == folder)
