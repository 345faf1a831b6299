"""`voxledger models`: models and predictions from elsewhere, and models for others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.params import Params
    from voxledger.records.card import ModelCard


@click.group()
def models() -> None:
    """Take in, list, write out and remove models."""


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
    from voxledger.records.cases import read_cases
    from voxledger.repository import dvc_add
    from voxledger.schema import read_schema

    params = _params_while_models_may_change()
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


@models.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--name", required=True, help="What the model is called here.")
@click.option("--licence", default="", help="Licence of the weights, as an SPDX id; by default what the folder says.")
@click.option(
    "--map", "class_map", help=f"Which class of {layout.SCHEMA} each of its classes is: a file or a ready map."
)
@click.option("--folds", help="Folds of nnU-Net, with commas; by default all that are there.")
@click.option("--source", default="", help="What its makers call it; by default what the folder says.")
@click.option("--version", default="", help="Its version; by default what the folder says.")
@click.option("--training-set", default="", help="What it was trained on; by default what the folder says.")
def adopt(
    folder: Path,
    name: str,
    licence: str,
    class_map: str | None,
    folds: str | None,
    source: str,
    version: str,
    training_set: str,
) -> None:
    """Take in a model that was trained elsewhere; it predicts from now on, and may be fine-tuned.

    FOLDER holds results of nnU-Net (plans.json, dataset.json, fold_K/checkpoint_final.pth), a model of nnInteractive
    (the same with inference_info.json), which predicts what weak labels mark, a MONAI bundle, or weights of a MONAI
    network with their description (model.pt, network.yaml). Nothing in it is run.

    \b
    Example:
      voxledger models adopt nnUNetTrainer__nnUNetPlans__3d_fullres --name totalseg --licence Apache-2.0 \\
        --map totalsegmentator
    """
    from voxledger.models.adopt import Said, adopt_model
    from voxledger.repository import dvc_add
    from voxledger.schema import read_schema

    params = _params_while_models_may_change()
    said = Said(licence, source, version, training_set)
    chosen, schema = folds.split(",") if folds else [], read_schema(layout.SCHEMA)
    card = adopt_model(name, folder, said, class_map, chosen, schema, layout.BASE_MODELS, params.round)
    dvc_add(str(layout.BASE_MODELS))
    click.echo(f"adopted {card.name}: {card.architecture}, id {card.id[:16]}")
    for theirs, ours in card.source.classes.items() if card.source else ():
        click.echo(f"  {theirs} → {ours}")
    click.echo("Next: voxledger round run")


@models.command("train-interactive")
@click.option("--name", required=True, help="What the model is called here.")
@click.option("--iterations", default=640, show_default=True, type=click.IntRange(min=1), help="Steps of the training.")
@click.option(
    "--patch", nargs=3, type=click.IntRange(min=1), help="In voxels (z y x), multiples of 8.  [default: 40 56 40]"
)
@click.option("--classes", help="Classes to learn from, with commas; by default all.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def train_interactive(
    name: str, iterations: int, patch: tuple[int, int, int] | None, classes: str | None, as_json: bool
) -> None:
    """Train a small interactive model on the labelled cases; it predicts what weak labels mark, of any class.

    It learns from all classes of pool cases that people stand behind, in minutes on one CPU core. The patch should be
    half as large again as the objects that weak labels will mark.

    \b
    Example:
      voxledger models train-interactive --name interactive
    """
    from voxledger.params import ModelParams
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.repository import dvc_add
    from voxledger.retrain.interactive import train_interactive
    from voxledger.schema import read_schema

    params = _params_while_models_may_change()
    model = ModelParams(
        backend="nninteractive",
        iterations=iterations,
        patch=patch or None,
        classes=tuple(classes.split(",")) if classes else None,
    )
    schema, ledger = read_schema(layout.SCHEMA), read_ledger(layout.BASE_LEDGER)
    card = train_interactive(name, model, read_cases(), schema, ledger, params.round, params.retrain, params.machine)
    dvc_add(str(layout.BASE_MODELS))
    if as_json:
        click.echo(json.dumps(card.model_dump(), indent=1))
        return
    click.echo(f"trained {card.name}: {card.architecture}, id {card.id[:16]}")
    click.echo("Next: voxledger round run")


@models.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take model NAME out of this round and those to come; masks that it made, and its card, stay.

    \b
    Example:
      voxledger models remove totalseg
    """
    import shutil

    from voxledger.records.card import read_card
    from voxledger.repository import dvc_add

    params = _params_while_models_may_change()
    card = read_card(_model_folder(name, layout.BASE_MODELS))
    shutil.rmtree(layout.BASE_MODELS / name)
    dvc_add(str(layout.BASE_MODELS))
    click.echo(f"removed {name}, {card.id[:16]}")
    if name in params.retrain.models:
        click.echo(f"{layout.PARAMS} still names it in retrain.models: it will be trained from nothing")
    click.echo("Next: voxledger round run")


@models.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "format_name", required=True, help="nnunet or monai-bundle.")
@click.option("--next", "of_next", is_flag=True, help="The model that this round trained, not the one it began with.")
def export(name: str, folder: Path, format_name: str, of_next: bool) -> None:
    """Write model NAME into a new FOLDER that nnUNetv2_predict, or MONAI's bundle runner, runs with the same masks.

    A model of one organ predicts images that are cropped to the box around it, which README.md in FOLDER says.

    \b
    Example:
      voxledger models export nnunet out --format nnunet
    """
    from voxledger.models.export import export_model
    from voxledger.models.model import Model
    from voxledger.records.card import check_model
    from voxledger.release.marked import note_of
    from voxledger.repository import require_root
    from voxledger.schema import read_schema

    require_root()
    home = _model_folder(name, layout.NEXT_MODELS if of_next else layout.BASE_MODELS)
    card = check_model(home)
    export_model(Model(home, card, read_schema(layout.SCHEMA)), format_name, folder, note_of(card.id))
    click.echo(f"wrote {folder}")


@models.command()
@click.argument("name")
@click.option("--next", "of_next", is_flag=True, help="The model that this round trained, not the one it began with.")
def show(name: str, of_next: bool) -> None:
    """Print the card of model NAME: what it is, what it learned from, its classes, source and licence.

    \b
    Example:
      voxledger models show totalseg
    """
    from voxledger.models.card_page import card_page
    from voxledger.records.card import read_card
    from voxledger.release.marked import note_of
    from voxledger.repository import require_root

    require_root()
    card = read_card(_model_folder(name, layout.NEXT_MODELS if of_next else layout.BASE_MODELS))
    click.echo(card_page(card, note_of(card.id)))


@models.command()
@click.option("--next", "of_next", is_flag=True, help="The model that this round trained, not the one it began with.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def gate(of_next: bool, as_json: bool) -> None:
    """Say whether a round may use clicks: what three a class add to the model with `backend: clicks`.

    Measured on the calibration cases. Exit code 1 where they add less than 0.05 mean IoU, or might add nothing.

    \b
    Example:
      voxledger models gate --next
    """
    from voxledger.params import read_params
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.repository import require_root
    from voxledger.review.click_gate import measure_gate, require_gate
    from voxledger.review.clicks import interactive_model
    from voxledger.schema import read_schema

    require_root()
    model = interactive_model(layout.NEXT_MODELS if of_next else layout.BASE_MODELS, read_schema(layout.SCHEMA))
    measured = measure_gate(model, read_cases(), read_ledger(layout.BASE_LEDGER), read_params())
    if as_json:
        told = {"model": model.card.id, **measured.model_dump(mode="json"), "passed": measured.passed}
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(f"model {model.card.name}: {measured}")
    require_gate(model, measured)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """List the models of this round and, once they are trained, of the next.

    \b
    Example:
      voxledger models list
    """
    from voxledger.records.card import list_models
    from voxledger.release.marked import note_of
    from voxledger.repository import require_root

    require_root()
    folders = {"base": layout.BASE_MODELS, "next": layout.NEXT_MODELS}
    found = {which: list_models(folder) for which, folder in folders.items()}
    if as_json:
        values = {
            which: [c.model_dump() | ({"withdrawn": note} if (note := note_of(c.id)) else {}) for c in cards]
            for which, cards in found.items()
        }
        click.echo(json.dumps(values, indent=1))
        return
    for which, cards in found.items():
        for card in cards:
            click.echo(
                f"{which:5} {card.name:16} {card.id[:16]:16} {card.backend:11} {card.architecture} ({_origin(card)})"
            )
            if note := note_of(card.id):
                click.echo(f"{'':5} {note}")
    if not any(found.values()):
        click.echo("no models yet: `voxledger round run` trains the first ones from the labelled cases")


def _origin(card: ModelCard) -> str:
    """Where a model is from, in a few words."""
    if card.source:
        return f"{card.source.name} {card.source.version}".strip() + f", {card.licence}, adopted"
    if not card.strategy:
        return f"{card.params['cases']} cases"
    recipe = f"recipe {card.params['recipe']}, " if "recipe" in card.params else ""
    region = card.params.get("region")
    seen = f"{region['inside']} and {region['margin_mm']:g} mm around it, " if region else ""
    return f"{seen}{recipe}{card.strategy}, round {card.round}"


def _params_while_models_may_change() -> Params:
    """The parameters of the round; raises unless it is open, its models are here, and nobody saw what they say."""
    from voxledger.params import read_params
    from voxledger.records.sent import require_no_bundles
    from voxledger.release.state import require_open
    from voxledger.repository import require_pulled, require_root

    require_root()
    params = read_params()
    require_open(params)
    require_no_bundles(params, "people were shown what the models of this round say")
    require_pulled(layout.BASE_MODELS)
    return params


def _model_folder(name: str, models: Path) -> Path:
    """The folder of a model; raises where there is none of this name."""
    from voxledger.errors import Misuse

    if not (models / name).is_dir() or Path(name).name != name:
        raise Misuse(f"{models} has no model {name}", "see `voxledger models list`")
    return models / name
