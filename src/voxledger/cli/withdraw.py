"""`voxledger withdraw`: what follows once a patient was withdrawn: older versions, and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.release.purge import Plan


@click.group()
def withdraw() -> None:
    """Remove what older versions hold of withdrawn patients; settle models that learned from them.

    `voxledger cases withdraw PATIENT --reason TEXT` comes first.

    \b
    Example:
      voxledger withdraw purge --dry-run
    """


@withdraw.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For programs; removes nothing without --yes.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    help="Folder of the key that patients were withdrawn with; by default ~/.voxledger/keys/DATASET.",
)
def purge(dry_run: bool, yes: bool, as_json: bool, keys: Path | None) -> None:
    """Remove files of withdrawn patients from DVC's cache and every remote, in all versions, and nobody else's.

    What goes is listed in data/purged.json, signed with the ssh key that git signs with. By it
    `voxledger verify TAG --withdrawn FILE` tells what was withdrawn from what was lost. Exit code 1 where a remote
    could not be reached, or did not let objects be removed: it is named, and the same command goes on.

    \b
    Example:
      voxledger withdraw purge --dry-run
      voxledger withdraw purge
    """
    from voxledger.errors import VoxledgerError
    from voxledger.params import read_params
    from voxledger.records.pseudonyms import default_folder, open_pseudonyms
    from voxledger.release.purge import carry_out, plan
    from voxledger.repository import require_root
    from voxledger.review.receive import remove_leftovers

    root, folder = require_root(), keys or default_folder(read_params().dataset)
    remove_leftovers(layout.INBOX)
    what = plan(open_pseudonyms(folder, root, in_use=layout.WITHDRAWN.is_file()))
    there = what.there()
    if not as_json:
        _say(what, there)
    go = not dry_run and (yes or (not as_json and click.confirm("remove them for good?")))
    done = carry_out(what) if go else None
    left = what.at.closed if done is None else done.left
    if as_json:
        lists = {
            "left": left,
            "unread": what.unread,
            "shared": sorted(what.shared),
            "elsewhere": what.elsewhere,
            "named": [path.as_posix() for path in what.named],
        }
        removed = None if done is None else done.removed
        lists["versions"] = {} if done is None else done.versions
        click.echo(json.dumps({"objects": len(what.objects), "there": there, "removed": removed, **lists}, indent=1))
    elif done is not None:
        gone = ", ".join(f"{count} from {name}" for name, count in done.removed.items())
        click.echo(f"removed {gone}")
        for name, commands in done.versions.items():
            click.echo(f"{name}: whoever may remove versions there (s3:DeleteObjectVersion) runs")
            click.echo("\n".join(commands))
    if left:
        raise VoxledgerError(
            "; ".join(f"{name}: {why}" for name, why in left.items()),
            "mend that, or let somebody do it who may remove there, and run `voxledger withdraw purge` again",
        )
    if done is not None and not as_json:
        click.echo("Next: git push, and tell whoever has a clone or a copy (docs/withdrawal.md)")


def _say(what: Plan, there: dict[str, int]) -> None:
    for patient, removed in what.purged.patients.items():
        click.echo(f"{patient}: {len(removed.files)} files of closed rounds, {len(removed.objects)} objects")
    for name, count in there.items():
        click.echo(f"{name}: {count} objects to remove")
    for name, why in what.at.closed.items():
        click.echo(f"{name}: cannot be looked at: {why}")
    if what.folders:
        click.echo(f"{len(what.folders)} listings of folders will no longer name them")
    if what.shared:
        click.echo(f"{len(what.shared)} objects are other cases', too, and stay")
    for folder in what.unread:
        click.echo(f"not listed anywhere, so what it holds is not known: {folder}")
    for said in what.elsewhere:
        click.echo(f"not looked at: {said}")
    for place in (one for one in what.at.found if what.folders and one.hashes_lists()):
        name = place.name.removeprefix("remote ")
        click.echo(
            f"{place.name}: in a clone of an older tag, `dvc remote modify --local {name} verify false` before pull"
        )
    for path in what.named:
        click.echo(f"still names a case or patient who was withdrawn: {path}")


@withdraw.command()
@click.argument("model")
@click.option("--reason", required=True, help="Why the model may go on although it learned from the patient.")
def keep(model: str, reason: str) -> None:
    """Keep MODEL, although it learned from a patient who was withdrawn; on record in git.

    \b
    Example:
      voxledger withdraw keep totalseg --reason "ethics board, its decision 17: weights may stay"
    """
    from voxledger.release.marked import keep as keep_model

    row = keep_model(model, reason)
    click.echo(f"kept by {row.curator}: {model}. Next: voxledger round close")
