"""`voxledger cohort`: what the cases of a source are worth as training data."""

from __future__ import annotations

from pathlib import Path

import click

from voxledger import layout

_REFERENCES = click.option(
    "--references",
    type=click.Path(path_type=Path),
    help="Folder of reference labels of the cohort, CASE.nii.gz: what its images could be worth at most.",
)


@click.group()
def cohort() -> None:
    """What the cases of a source are worth as training data."""


@cohort.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--seeds", default=3, show_default=True, help="Trainings of each arm, at least three.")
@_REFERENCES
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def worth(names: tuple[str, ...], seeds: int, references: Path | None, as_json: bool) -> None:
    """Say whether models get better or worse by the cases of each source in NAMES.

    Trains the models of `retrain.models` from nothing, without these cases, with all that models and people drew in
    them, and with what people stand behind alone, and judges them on the test split and every external source. Runs
    as a DVC pipeline of its own (pipelines/worth); run it again to go on where it was interrupted. `voxledger round
    close` warns of a cohort that hurts.

    \b
    Example:
      voxledger cohort worth site-b
      voxledger cohort worth site-b site-c --references drawn-by-hand
    """
    import json

    from voxledger.errors import VoxledgerError
    from voxledger.records.cases import read_cases
    from voxledger.records.worth import read_worth, sentence
    from voxledger.repository import dvc, git, require_root
    from voxledger.stage import require_pipeline
    from voxledger.worth.arms import require_cohort
    from voxledger.worth.pipeline import write_pipeline

    require_root()
    require_pipeline()
    cases = read_cases()
    for name in names:
        require_cohort(cases, name)
    read_worth()  # raises now, not after all trainings, where it cannot be added to
    write_pipeline(names, seeds, references)
    if dvc("repro", str(layout.WORTH_PIPELINE)) != 0:
        raise VoxledgerError("a training of the comparison failed, see above", "mend that, and run the command again")
    git("add", str(layout.WORTH_PIPELINE.parent), str(layout.WORTH), str(layout.WORTH_PAGE))
    all_of_them = read_worth()
    assert all_of_them is not None  # the pipeline has just written it
    found = all_of_them.of(names)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
        return
    for verdict in found.verdicts:
        click.echo(sentence(verdict))
    click.echo(f"tables: {layout.WORTH_PAGE}")


@cohort.command(hidden=True)
@click.argument("name")
@click.argument("arm")
@click.argument("seed", type=int)
@_REFERENCES
def measure(name: str, arm: str, seed: int, references: Path | None) -> None:
    """Train one arm with one seed, and write its Dice: a stage of `cohort worth`."""
    import shutil

    from voxledger.evaluate.case_metrics import Generation
    from voxledger.evaluate.round import measure_models
    from voxledger.evaluate.round import references as judged_cases
    from voxledger.infer.predict import predict_cases
    from voxledger.params import read_params
    from voxledger.portable import pin_instruction_set
    from voxledger.process import end_with_dvc
    from voxledger.records.card import ENSEMBLE
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.worth import Judged, write_judged
    from voxledger.retrain.run import train_from_nothing
    from voxledger.schema import read_schema
    from voxledger.worth.arms import Arm, learned_from, sha256_of
    from voxledger.worth.pipeline import dice_table

    end_with_dvc()
    params, schema, cases = read_params(), read_schema(layout.SCHEMA), read_cases()
    if params.machine.portable:
        pin_instruction_set()
    ledger = read_ledger(layout.BASE_LEDGER)
    learned = learned_from(Arm(arm), name, cases, ledger, schema, references=references)
    judged = judged_cases(cases, schema, ledger)
    settings = params.retrain.model_copy(update={"seed": seed})
    table = dice_table(name, Arm(arm), seed)
    folder = layout.MEMO / f".worth-{table.stem}"
    shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
    models, predicted = folder / "models", folder / "predictions"
    models.mkdir(parents=True)
    try:
        train_from_nothing(learned, sha256_of(learned), schema, params.round, settings, params.machine, models)
        predict_cases(list(judged.cases.values()), models, predicted, schema, params.infer, params.machine)
        rows, _ = measure_models(judged, schema, params, {Generation.NEXT: [predicted]})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    patients = {case_id: case.patient for case_id, case in judged.cases.items()}
    several = any(r.model == ENSEMBLE for r in rows)
    dice = [
        Judged(r.set_name, r.case_id, patients[r.case_id], r.class_name, r.reference_ml, r.values["dice"])
        for r in rows
        if (r.model == ENSEMBLE) is several
    ]
    write_judged(table, dice)


@cohort.command(hidden=True)
@click.argument("names", nargs=-1, required=True)
@click.option("--seeds", type=int, required=True)
@_REFERENCES
def verdict(names: tuple[str, ...], seeds: int, references: Path | None) -> None:
    """Compare what the trainings wrote: the last stage of `cohort worth`. Verdicts of other cohorts stay."""
    from voxledger.params import read_params
    from voxledger.records.worth import joined, read_judged, read_worth, write_worth
    from voxledger.schema import read_schema
    from voxledger.textfile import replace_text
    from voxledger.worth.arms import Arm
    from voxledger.worth.page import page
    from voxledger.worth.pipeline import arms, dice_table
    from voxledger.worth.verdict import judge

    params, schema = read_params(), read_schema(layout.SCHEMA)
    verdicts = []
    for name in names:
        found = {arm: [read_judged(dice_table(name, arm, k)) for k in range(seeds)] for arm in arms(references)}
        for arm in [arm for arm in found if arm is not Arm.WITHOUT]:
            resampling = params.evaluate.bootstrap, params.evaluate.seed
            verdicts += judge(name, arm.value, found[Arm.WITHOUT], found[arm], schema.names, params.round, *resampling)
    worth = joined(read_worth(), verdicts)
    write_worth(layout.WORTH, worth)
    replace_text(layout.WORTH_PAGE, page(worth))
