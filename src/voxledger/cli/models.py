"""`voxledger models`: register predictions made elsewhere, list models."""

from __future__ import annotations

import json
from pathlib import Path

import click

from voxledger import layout


@click.group()
def models() -> None:
    """Register and list models."""


@models.command()
@click.argument("name")
@click.option("--predictions", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True)
@click.option("--id", "model_id", required=True, help="What ledgers will call it, such as totalsegmentator-2.4.0.")
@click.option("--licence", required=True, help="Licence of the model, as an SPDX id.")
@click.option("--classes", help="Classes that the model looks for, with commas; by default those that occur.")
def add(name: str, predictions: Path, model_id: str, licence: str, classes: str | None) -> None:
    """Register the predictions in a folder as model NAME of this round.

    The folder holds CASE.nii.gz label maps with the ids of labels.yaml, or CASE.b2nd soft predictions, for some or
    all cases. They are checked and written anew; a later version of the same model gets another name and id. The
    model has a say in its classes alone: name those that it looks for and happens to find nowhere.

    \b
    Example:
      voxledger models add totalseg --predictions ts-out --id totalsegmentator-2.4.0 --licence Apache-2.0
    """
    from voxledger.models.precomputed.adopt import add_precomputed
    from voxledger.params import read_params
    from voxledger.records.cases import read_cases
    from voxledger.records.sent import require_no_bundles
    from voxledger.release.state import require_open
    from voxledger.repository import dvc_add, require_root
    from voxledger.schema import read_schema

    require_root()
    params = read_params()
    require_open(params)
    require_no_bundles(params, "people were shown what the models of this round say")
    card = add_precomputed(
        name,
        predictions,
        model_id,
        licence,
        read_cases(),
        read_schema(layout.SCHEMA),
        layout.BASE_MODELS,
        params.round,
        classes.split(",") if classes else None,
    )
    dvc_add(str(layout.BASE_MODELS))
    click.echo(f"added {card.name}: {card.params['cases']} cases, classes {', '.join(card.params['classes'])}.")
    click.echo("Next: voxledger round run")


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """List the models of this round and, once they are trained, of the next.

    \b
    Example:
      voxledger models list
    """
    from voxledger.records.card import list_models
    from voxledger.repository import require_root

    require_root()
    folders = {"base": layout.BASE_MODELS, "next": layout.NEXT_MODELS}
    found = {which: list_models(folder) for which, folder in folders.items()}
    if as_json:
        click.echo(json.dumps({which: [c.model_dump() for c in cards] for which, cards in found.items()}, indent=1))
        return
    for which, cards in found.items():
        for card in cards:
            recipe = f"recipe {card.params['recipe']}, " if "recipe" in card.params else ""
            origin = (
                f"{recipe}{card.strategy}, round {card.round}" if card.strategy else f"{card.params['cases']} cases"
            )
            region = card.params.get("region")
            seen = f", {region['inside']} and {region['margin_mm']:g} mm around it" if region else ""
            told = f"{card.architecture}{seen} ({origin})"
            click.echo(f"{which:5} {card.name:16} {card.id[:16]:16} {card.backend:11} {told}")
    if not any(found.values()):
        click.echo("no models yet: `voxledger round run` trains the first ones from the labelled cases")
