"""`voxledger filter`: explain and fit the rules that remove false findings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voxledger import layout

if TYPE_CHECKING:
    from voxledger.filter.proposal import Reference
    from voxledger.schema import LabelSchema


@click.group(name="filter")
def filter_() -> None:
    """Explain and fit the rules that remove false findings."""


@filter_.command()
@click.argument("case_id", metavar="CASE")
@click.option("--class", "class_name", help="Only this class.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the components (PNG).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def explain(case_id: str, class_name: str | None, picture: Path | None, as_json: bool) -> None:
    """Say what each rule measured on every component of a case, and what became of it.

    \b
    Example:
      voxledger filter explain case-0007 --class pdac --picture case-0007.png
    """
    from voxledger.errors import Misuse, VoxledgerError
    from voxledger.filter import explain as explanation
    from voxledger.filter.chain import read_rules
    from voxledger.filter.decisions import to_row
    from voxledger.filter.run import open_case, thresholds_of
    from voxledger.infer.predict import require_predictions
    from voxledger.params import read_params
    from voxledger.records.calibration import read_calibration
    from voxledger.records.cases import read_cases
    from voxledger.repository import require_root
    from voxledger.schema import read_schema

    require_root()
    parameters, schema = read_params(), read_schema(layout.SCHEMA)
    params = parameters.filter
    case = next((c for c in read_cases() if c.case_id == case_id), None)
    if case is None:
        raise Misuse(f"there is no case {case_id}", f"see {layout.CASES}")
    if class_name is not None:
        schema[class_name]
    require_predictions([case], schema, parameters.infer, parameters.machine)
    files = sorted(str(f) for f in layout.PREDICTIONS.glob(f"*/{case_id}.b2nd"))
    if not files:
        raise VoxledgerError(f"{case_id} has no predictions in {layout.PREDICTED}", "run `dvc repro infer`")
    thresholds = thresholds_of(schema, params, read_calibration().thresholds)
    proposal = open_case(case_id, case.image, case.sha256, case.modality, files, schema, thresholds)
    told = explanation.stories(proposal, read_rules(params.rules, schema), case_id)
    told = [s for s in told if class_name in (None, s.end.class_name)]
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(explanation.picture(proposal, told))
    if as_json:
        click.echo(json.dumps([to_row(d) for s in told for d in s.decisions], indent=1))
    else:
        click.echo(explanation.describe(told))


@filter_.command()
@click.option("--keep", default=0.99, show_default=True, type=click.FloatRange(0.5, 1), help="Share of true lesions.")
@click.option("--write", is_flag=True, help=f"Write the fitted bounds into {layout.PARAMS}.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def fit(keep: float, write: bool, as_json: bool) -> None:
    """Derive volume ratios and HU ranges from trusted labels of the pool and calibration cases.

    \b
    Example:
      voxledger filter fit
      voxledger filter fit --keep 1 --write
    """
    from voxledger.filter import fit as fitting
    from voxledger.params import read_params
    from voxledger.records.sent import require_no_bundles
    from voxledger.repository import require_root
    from voxledger.schema import read_schema

    require_root()
    params = read_params()
    if write:
        require_no_bundles(params, "people were shown what the rules of this round left")
    entries, schema = params.filter.rules, read_schema(layout.SCHEMA)
    fits = fitting.fit(fitting.measure(_references(schema), entries, schema), entries, keep)
    if as_json:
        click.echo(json.dumps([asdict(f) for f in fits], indent=1))
    else:
        click.echo(f"{'rule':<14}{'class':<16}{'cases':>6}{'lesions':>9}{'fitted':>16}{'now':>16}{'lost now':>10}")
        for f in fits:
            shown = f"{_text(f.fitted):>16}{_text(f.current):>16}{f.outside:>10}"
            click.echo(f"{f.rule:<14}{f.class_name:<16}{f.cases:>6}{f.lesions:>9}{shown}")
    if write:
        written = fitting.write_fits(layout.PARAMS, fits)
        click.echo(f"{written} bounds written to {layout.PARAMS}", err=True)


def _references(schema: LabelSchema) -> Iterator[tuple[str, list[str], Reference]]:
    from voxledger.filter.proposal import Reference
    from voxledger.filter.run import is_ct
    from voxledger.imaging.volume import read, read_label
    from voxledger.knowledge import trusted
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.ledger import read_ledger

    ledger = read_ledger(layout.BASE_LEDGER)
    for case in in_split(read_cases(), Split.POOL, Split.CALIBRATION):
        known = [c.name for c in schema.classes if trusted(ledger, case.case_id, c.name)]
        label = layout.label_map(layout.BASE_LABELS, case.case_id)
        if known and label.is_file():
            image = read(case.image)
            labels = read_label(label, image.grid)
            yield case.case_id, known, Reference(labels, image.array, image.grid, is_ct(case.modality), schema)


def _text(bound: Any) -> str:
    if bound is None:
        return "–"
    return f"{bound[0]:g}…{bound[1]:g} HU" if isinstance(bound, list) else f"{bound:g} %"
