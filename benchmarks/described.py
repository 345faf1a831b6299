"""What the tools of others say of the release in a repository, and of its exports.

    python benchmarks/described.py REPOSITORY

REPOSITORY is one whose round is closed, such as `demo/repository` of `make demo`, or that of
`benchmarks/hippocampus_rounds.py --work DIR`. mlcroissant reads every image and label map and hashes them, also where a
hash is wrong; roc-validator, the schemas of in-toto and of Citation File Format, Hugging Face's readers and the
validator of BIDS say what they find; Python with nothing but gzip and numpy counts every mask of an export. Prints a
table; exit code 1 if anything is wrong.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.release.handover import hand_over
from voxledger.schema import read_schema

ROOT = Path(__file__).parents[1]


@click.command()
@click.argument("repository", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(repository: Path) -> None:
    """Check a release, and print what was found."""
    sys.path.insert(0, str(ROOT / "tests"))
    os.chdir(repository)
    print("| what | was read | wrong |\n| --- | --- | --- |")
    failed = False
    for what, read, problems in checks():
        print(f"| {what} | {read} | {len(problems) or 'nothing'} |", flush=True)
        for problem in problems:
            print(problem, file=sys.stderr)
        failed |= bool(problems)
    sys.exit(int(failed))


def checks() -> Iterator[tuple[str, str, list[str]]]:
    """What was looked at, what was read of it, and what is wrong, for the release in the current folder."""
    from release.validators import bids_errors, check_folder, count_masks

    schema = read_schema(layout.SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        nifti, bids = Path(folder, "nifti"), Path(folder, "bids")
        hand_over(nifti, "nifti")
        for place in (layout.RELEASE, nifti):
            found = check_folder(place, layout.CASES, schema)
            name = "export as `nifti`" if place == nifti else f"`{place}`"
            yield f"descriptions, {name}", f"{found.images} images, {found.masks} masks", list(found.problems)
        masks, wrong = count_masks(nifti, schema)
        yield "plain Python, export as `nifti`", f"{masks} masks", wrong
        try:
            hand_over(bids, "bids")
        except Misuse as refused:
            yield "export as `bids`", f"refused: {refused.problem}", []
            return
        derived = bids / "derivatives" / "voxledger"
        files = len(list(bids.rglob("*.nii.gz")))
        yield "`bids-validator-deno`, export as `bids`", f"{files} volumes", [*bids_errors(bids), *bids_errors(derived)]


if __name__ == "__main__":
    main()
