"""The filter stage: every case with predictions gets a pseudo-label, and every decision is written down."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import VoxledgerError
from voxledger.filter.decisions import from_row, to_row, write_decisions
from voxledger.imaging.detection import Step, step_from_row, step_to_row, write_steps
from voxledger.imaging.volume import file_sha256
from voxledger.params import FilterParams, MachineParams
from voxledger.records.cases import Case, Split, in_split, require_image
from voxledger.records.ledger import Ledger, trusted
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json, restoring

if TYPE_CHECKING:
    from voxledger.filter.proposal import Proposal

ALGORITHM_VERSION = 4


def thresholds_of(schema: LabelSchema, params: FilterParams, calibrated: Mapping[str, float]) -> dict[str, float]:
    """Threshold of every class: that in `filter.thresholds`, else the lower of the calibrated one and the common one.

    A calibrated threshold above the common one says that lesions are found even there, but as their brightest voxels
    alone; the common one finds them too, and draws them whole.
    """
    for name in params.thresholds:
        schema[name]
    lowered = {name: min(calibrated.get(name, params.threshold), params.threshold) for name in schema.names}
    return lowered | dict(params.thresholds)


def read_calibrated(path: Path) -> dict[str, float]:
    """Calibrated threshold by class; empty where nothing was calibrated."""
    try:
        return {n: float(c["threshold"]) for n, c in read_json(path, "classes")["classes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoxledgerError(f"{path} is not a calibration: {error}", restoring(path)) from None


def filter_round(
    cases: Sequence[Case],
    predictions: Path,
    out: Path,
    schema: LabelSchema,
    params: FilterParams,
    calibrated: Mapping[str, float],
    machine: MachineParams,
    labels: Path,
    ledger: Ledger,
) -> list[Step]:
    """Write `out/pseudo/<case>.nii.gz`, `out/filter.csv`, `out/detection.csv` and `out/filter.jsonl`.

    Returns what is found of the true lesions of labelled cases after each rule, as in `out/detection.csv`.

    Parameters
    ----------
    cases
        The case table; cases of the pool, calibration and test split that have predictions are filtered.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`.
    calibrated
        Thresholds of lesion classes from the calibrate stage.
    labels, ledger
        Labels of the last version. Those that the ledger trusts say what each rule does to true lesions; they change
        nothing in the outcome.
    """
    from voxledger.filter.chain import origins, read_rules

    rules = [rule.model_dump(mode="json") for rule in read_rules(params.rules, schema)]
    thresholds = thresholds_of(schema, params, calibrated)
    tasks = []
    for case in in_split(cases, Split.POOL, Split.CALIBRATION, Split.TEST):
        files = sorted(predictions.glob(f"*/{case.case_id}.b2nd"))
        if not files:
            continue
        label = labels / f"{case.case_id}.nii.gz"
        known = [c.name for c in schema.classes if c.lesion and trusted(ledger, case.case_id, c.name)]
        known = known if label.is_file() else []
        payload = {
            "case_id": case.case_id,
            "split": case.split.value,
            "label": str(label),
            "known": known,
            "image": case.image,
            "image_sha256": case.sha256,
            "modality": case.modality,
            "predictions": [str(f) for f in files],
            "schema": schema.model_dump(mode="json"),
            "rules": rules,
            "thresholds": thresholds,
        }
        depends_on = {
            "case": [case.case_id, case.split.value],
            "label": [known, file_sha256(label) if known else ""],
            "image": case.sha256,
            "modality": case.modality,
            "predictions": [file_sha256(f) for f in files],
            "schema": payload["schema"],
            "rules": [rules, origins(params.rules)],
            "thresholds": thresholds,
        }
        tasks.append(Task(case.case_id, key_of("filter", ALGORITHM_VERSION, **depends_on), payload))
    shutil.rmtree(out / "pseudo", ignore_errors=True)
    found = casemap(
        "filter",
        _filter_case,
        tasks,
        out / "pseudo",
        workers=machine.worker_count,
        recheck=machine.recheck,
        manifest=out / "filter.jsonl",
    )
    write_decisions(out / "filter.csv", [from_row(row) for info in found for row in info["decisions"]])
    steps = [step_from_row(row) for info in found for row in info["steps"]]
    write_steps(out / "detection.csv", steps)
    return steps


def open_case(
    case_id: str,
    image: str,
    image_sha256: str,
    modality: str,
    predictions: Sequence[str],
    schema: LabelSchema,
    thresholds: Mapping[str, float],
) -> Proposal:
    """Read the image and the predictions of a case, and propose masks."""
    from voxledger.filter.proposal import Proposal
    from voxledger.imaging import volume
    from voxledger.imaging.soft import open_soft

    require_image(image, image_sha256)
    opened = [open_soft(path) for path in predictions]
    voxels = volume.read(image)
    for path, prediction in zip(predictions, opened, strict=True):
        volume.require_same_grid(prediction.grid, voxels.grid, path)
        if prediction.image_sha256 != image_sha256:
            raise VoxledgerError(
                f"{case_id}: {path} was predicted from another image than {image}", "run `dvc repro -f infer`"
            )
    return Proposal(opened, voxels.array, is_ct(modality), schema, thresholds, voxels.grid)


def is_ct(modality: str) -> bool:
    """Whether intensities are Hounsfield units."""
    return modality.upper() == "CT"


def _filter_case(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    from voxledger.filter.apply import apply_rules
    from voxledger.filter.chain import read_rules
    from voxledger.filter.harm import detect_lesions
    from voxledger.imaging import volume

    case_id = payload["case_id"]
    schema = LabelSchema.model_validate(payload["schema"])
    proposal = open_case(
        case_id,
        payload["image"],
        payload["image_sha256"],
        payload["modality"],
        payload["predictions"],
        schema,
        payload["thresholds"],
    )
    known = payload["known"]
    truth = volume.read_label(payload["label"], proposal.grid) if known else None
    steps = [] if truth is None else detect_lesions(proposal, truth, known, case_id, payload["split"], 0, "threshold")
    decisions = []
    for number, rule in enumerate(read_rules(payload["rules"], schema), start=1):
        decisions += apply_rules(proposal, [rule], case_id)
        if truth is not None:
            steps += detect_lesions(proposal, truth, known, case_id, payload["split"], number, rule.rule)
    volume.write(folder / f"{case_id}.nii.gz", proposal.label_map(), proposal.grid)
    return {
        "decisions": [{k: str(v) for k, v in to_row(d).items()} for d in decisions],
        "steps": [step_to_row(step) for step in steps],
    }
