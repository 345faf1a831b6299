"""`voxledger trace`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from voxledger import layout
from voxledger.textfile import one_line


@click.command()
@click.argument("case")
@click.option("--class", "class_name", help="One class only.")
@click.option("--at", "tag", help="A version, such as round-01; by default the working tree.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def trace(case: str, class_name: str | None, tag: str | None, as_json: bool) -> None:
    """Print where the labels of CASE came from: reviewer, bundle, models, their cohorts, and sources.

    \b
    Example:
      voxledger trace site-a_0007 --class pancreas --at round-02
    """
    from voxledger.release.trace import trace as find
    from voxledger.repository import require_root

    require_root()
    chain = find(case, class_name, tag)
    if as_json:
        click.echo(json.dumps(chain, indent=1))
        return
    image = chain["case"]
    click.echo(f"{case} at {chain['version']}")
    click.echo(f"  image   {image.get('sha256', '?')[:12]}  source {image.get('source')} ({image.get('licence')})")
    for entry in chain["classes"]:
        _print_class(entry)
    names = {model["id"]: model["name"] for model in chain["models"] if "name" in model}
    for model in chain["models"]:
        _print_model(model, names)
    if chain["not_here"]:
        click.echo("\nnot here")
        for lacking in chain["not_here"]:
            click.echo(f"  {lacking}")
        if chain["brings_it"]:
            click.echo(f"  → {chain['brings_it']}")


def _print_class(entry: dict[str, Any]) -> None:
    who = f" by {entry['reviewer']}" if entry["reviewer"] else ""
    click.echo(f"\n{entry['class']}: {entry['origin']}{who}, {entry['ml']:.2f} ml, written in round {entry['version']}")
    click.echo(f"  mask    {entry['mask_sha256'][:12]}")
    if entry["model_ids"]:
        click.echo(f"  models  {', '.join(m[:12] for m in entry['model_ids'])}")
    for mark in entry["weak"]:
        click.echo(f"  weak    {mark['kind']} from {mark['source']}, {mark['sha256'][:12]}")
    if entry["bundle"]:
        click.echo(f"  bundle  {entry['bundle'][:12]}")
    for signature in entry["signatures"]:
        who = f" ({signature['reviewer']})" if signature["reviewer"] else ""
        listed = who if signature["listed"] else f", which {layout.REVIEWERS} does not list"
        revoked = f"; {signature['revoked']}" if signature["revoked"] else ""
        click.echo(f"  signed  {signature['key']}{listed}, received {signature['received']}{revoked}")
    if entry["decision"]:
        d = entry["decision"]
        comment = f", “{one_line(d['comment'])}”" if d.get("comment") else ""
        minutes = f"{d['minutes']} min" if d["minutes"] else "minutes not given"
        difficulty = f", {d['difficulty']}" if d.get("difficulty") else ""
        click.echo(f"  review  {d['decision']}, {minutes}{difficulty}, error {d['error_type']}{comment}")
    elif entry["bundle"]:
        click.echo("  review  not here")
    for said in entry["readings"]:
        if said["consensus"]:
            _print_reading(said)
    if entry["resampled"]:
        click.echo("  resampled: the label came back on other voxels, and every voxel has that of the nearest one")
    for row in entry["confirmed"]:
        click.echo(f"  looked wrong and was confirmed by {row['curator']}: {row['kind']}, “{one_line(row['reason'])}”")
    for neighbour in entry["changed_by"]:
        by = f"{neighbour['reviewer']}, bundle {neighbour['bundle'][:12]}" if neighbour["bundle"] else "source"
        click.echo(f"  changed by its neighbour {neighbour['class_name']} ({by})")
    for state in entry["history"]:
        who = state["reviewer"] or ", ".join(m[:12] for m in state["model_ids"]) or "source"
        called = f" as {state['class']}" if state["class"] != entry["class"] else ""
        click.echo(
            f"  before  {state['first_in']}: {state['origin']} ({who}){called}, mask {state['mask_sha256'][:12]}"
        )


def _print_reading(said: dict[str, Any]) -> None:
    """A line of what one of several readers said."""
    minutes = "minutes not given" if said["minutes"] is None else f"{said['minutes']:g} min"
    mask = f", mask {said['mask_sha256'][:12]}" if said["mask_sha256"] else ""
    click.echo(
        f"  reading {said['reader']}, round {said['version']}: {said['decision']}, {minutes}{mask}, bundle "
        f"{said['bundle'][:12]}; {said['consensus']}: {said['outcome']}"
    )


def _print_model(model: dict[str, Any], names: Mapping[str, str]) -> None:
    click.echo(f"\nmodel {model['id'][:12]}: {model.get('name')} ({model.get('backend', '?')})")
    if source := model.get("source"):
        version = f" {source['version']}" if source["version"] else ""
        click.echo(f"  adopted in round {model['round']} from {source['name']}{version}")
        click.echo(f"  learned from {source['training_set'] or 'what its makers do not say'}")
    elif "round" in model:
        called = names.get(model["parent"], model["name"])
        other = "" if called == model["name"] else f" ({called})"
        parent = f", parent {model['parent'][:12]}{other}" if model["parent"] else ""
        click.echo(f"  trained in round {model['round']}, strategy {model['strategy']}{parent}")
    if model.get("cohort"):
        cohort = model["cohort_cases"]
        sources = ", ".join(f"{n} from {name}" for name, n in cohort["sources"].items()) if cohort else ""
        known = f"{cohort['cases']} cases: {sources}" if cohort else "its table is not here"
        click.echo(f"  cohort  {model['cohort'][:12]}, {known}")
    if withdrawn := model.get("withdrawn"):
        click.echo(f"  {withdrawn}")
    click.echo(f"  licence {model.get('licence', '?')}")
