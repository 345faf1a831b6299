"""`voxledger score`: look into attention and worklist."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from voxledger import layout


@click.group()
def score() -> None:
    """Look into attention and worklist; tune the thresholds of the attention."""


@score.command()
@click.option("--top", default=10, show_default=True, help="Cases of the worklist to show.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(top: int, as_json: bool) -> None:
    """Say how much attention is left, what to expect, and who looks at what first.

    \b
    Example:
      voxledger score show --top 5
    """
    from voxledger.errors import VoxledgerError
    from voxledger.records.worklist import read_worklist
    from voxledger.repository import require_root
    from voxledger.score.section import where_from
    from voxledger.textfile import read_json_if_there

    require_root()
    outlook = read_json_if_there(layout.OUTLOOK, "open_cases", "attention_ml", "above_knee", "stop", "why")
    if outlook is None:
        raise VoxledgerError("this round has no worklist yet", "run `dvc repro score`")
    rows = [r for r in read_worklist(layout.WORKLIST) if r.rank <= top]
    if as_json:
        click.echo(json.dumps({"outlook": outlook, "worklist": [asdict(r) for r in rows]}, indent=1))
        return
    click.echo(f"{outlook['open_cases']} cases open, {outlook['attention_ml']:.1f} ml of attention")
    click.echo(f"{outlook['above_knee']} cases above the knee of the curve")
    if expected := outlook.get("expected_revisions"):
        click.echo(
            f"expected to need revision: {expected['estimate']:.1f} of {outlook['chosen']} chosen cases "
            f"({expected['low']:.0f} to {expected['high']:.0f})"
        )
    if "attention" in outlook:
        click.echo(where_from(outlook["attention"]))
    if left := outlook.get("left"):
        ml, dice = left["error_ml"], left["dice"]
        click.echo(
            f"predicted for labels that nobody looked at: {ml['estimate']:.4g} ml of error ({ml['low']:.4g} to "
            f"{ml['high']:.4g}), mean Dice {dice['estimate']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})"
        )
    click.echo(f"{'stop' if outlook['stop'] else 'continue'}: {outlook['why']}")
    for case_id in dict.fromkeys(r.case_id for r in rows):
        of_case = [r for r in rows if r.case_id == case_id]
        classes = ", ".join(
            f"{r.class_name} {r.attention_ml:.2f}" + (f" (Dice {r.quality.predicted_dice:.2f})" if r.quality else "")
            for r in of_case
        )
        click.echo(f"{of_case[0].rank:4d}  {case_id}  {of_case[0].reviewer}  {of_case[0].reason}  ml: {classes}")


@score.command()
@click.option("--all", "everything", is_flag=True, help="Every threshold tried, not only the best.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def tune(everything: bool, as_json: bool) -> None:
    """Find the thresholds that fit best what reviewers changed in this round. Test cases are never looked at.

    Prints what to write into params.yaml; changes nothing. `score.entropy` and `score.opening` stay as they are there.
    "all" are the classes without a threshold of their own under `score.classes`.

    \b
    Example:
      voxledger score tune
    """
    from voxledger.infer.predict import require_predictions
    from voxledger.params import read_params
    from voxledger.records.cases import read_cases
    from voxledger.records.worklist import on_worklist
    from voxledger.repository import require_root
    from voxledger.schema import read_schema
    from voxledger.score.tune import best
    from voxledger.score.tune import tune as try_thresholds

    require_root()
    params, cases, schema = read_params(), read_cases(), read_schema(layout.SCHEMA)
    require_predictions(on_worklist(cases), schema, params.infer, params.machine)
    trials = try_thresholds(cases, schema, params.score, params.machine)
    shown = trials if everything else best(trials)
    if as_json:
        click.echo(json.dumps([asdict(t) for t in shown], indent=1))
        return
    click.echo(f"{'class':20} {'parameter':14} threshold  sensitivity  precision    F1  errors  regions")
    for t in shown:
        click.echo(
            f"{t.class_name or 'all':20} {t.parameter:14} {t.threshold:9.3f}  {t.sensitivity:11.2f}  "
            f"{t.precision:9.2f}  {t.f1:4.2f}  {t.errors:6d}  {t.regions:7d}"
        )
    chosen = {t.parameter: t.threshold for t in best(trials) if not t.class_name}
    if chosen:
        numbers = ", ".join(f"{name}: {value}" for name, value in sorted(chosen.items()))
        click.echo(f"{layout.PARAMS}: score: {{{numbers}}}")
