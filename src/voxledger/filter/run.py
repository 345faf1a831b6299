"""The filter stage: every case with predictions gets a pseudo-label, and every decision is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxledger import layout
from voxledger.casemap.job import Job, content, place
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.filter.decisions import Decision, write_decisions
from voxledger.imaging.detection import ANY, Advice, Step, Taken, as_written, write_steps
from voxledger.knowledge import trusted
from voxledger.params import FilterParams, MachineParams
from voxledger.records.cases import Case, Split, in_split, require_image
from voxledger.records.ledger import Ledger
from voxledger.schema import LabelSchema

if TYPE_CHECKING:
    from voxledger.filter.proposal import Proposal


def thresholds_of(schema: LabelSchema, params: FilterParams, calibrated: Mapping[str, float]) -> dict[str, float]:
    """Threshold of every class: that in `filter.thresholds`, else the lower of the calibrated one and the common one.

    What is calibrated for `ANY` is that of every lesion class. A calibrated threshold above the common one says that
    lesions are found even there, but as their brightest voxels alone; the common one finds them too, and draws them
    whole.
    """
    schema.require(params.thresholds, "filter.thresholds")
    if ANY in calibrated:
        calibrated = dict.fromkeys(schema.lesions, calibrated[ANY])
    lowered = {name: min(calibrated.get(name, params.threshold), params.threshold) for name in schema.names}
    return lowered | dict(params.thresholds)


def filter_round(
    cases: Sequence[Case],
    predictions: Path,
    schema: LabelSchema,
    params: FilterParams,
    calibrated: Mapping[str, float],
    machine: MachineParams,
    ledger: Ledger,
    overlap: float,
) -> tuple[list[Step], list[Advice]]:
    """Write the proposals of the round, every decision of a rule, and what becomes of true lesions.

    Returns what is found of the true lesions of labelled cases after each rule, as in `layout.DETECTION_STEPS`, and
    what rules took of those of calibration cases, with the parameters that would have kept it.

    Parameters
    ----------
    cases
        The case table; cases of the pool, calibration and test split that have predictions are filtered.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`.
    calibrated
        Thresholds of lesion classes from the calibrate stage.
    ledger
        That of the base labels. Those that it trusts say what each rule does to true lesions; they change nothing in
        the outcome.
    overlap
        Share that makes a hit, `calibrate.overlap`; it changes nothing in the outcome either.
    """
    thresholds = thresholds_of(schema, params, calibrated)
    jobs = _jobs(cases, predictions, schema, params, thresholds, ledger, overlap)
    found = casemap(jobs, layout.PSEUDO, machine, manifest=layout.FILTER_CASES, nothing_else=True)
    write_decisions(layout.FILTER_LOG, [decision for filtered in found for decision in filtered.decisions])
    steps = [step for filtered in found for step in filtered.steps]
    write_steps(layout.DETECTION_STEPS, steps)
    taken = [one for filtered in found for one in filtered.taken if one.split == Split.CALIBRATION]
    if not taken:
        return steps, []
    from voxledger.filter.chain import read_rules
    from voxledger.filter.harm import advise

    return steps, advise(taken, read_rules(params.rules, schema))


def _jobs(
    cases: Sequence[Case],
    predictions: Path,
    schema: LabelSchema,
    params: FilterParams,
    thresholds: dict[str, float],
    ledger: Ledger,
    overlap: float,
) -> list[Propose]:
    """A job for every case that was predicted."""
    from voxledger.filter.chain import origins, read_rules

    rules = [rule.model_dump(mode="json") for rule in read_rules(params.rules, schema)]
    jobs = []
    for case in in_split(cases, Split.POOL, Split.CALIBRATION, Split.TEST):
        files = sorted(predictions.glob(f"*/{case.case_id}.b2nd"))
        if not files:
            continue
        label, known = _known_lesions(case, schema, ledger)
        job = Propose(
            name=case.case_id,
            split=case.split,
            label=label,
            known=known,
            image=Path(case.image),
            image_sha256=case.sha256,
            modality=case.modality,
            predictions=tuple(files),
            schema=schema,
            rules=rules,
            packages=origins(params.rules),
            thresholds=thresholds,
            overlap=overlap,
        )
        jobs.append(job)
    return jobs


def _known_lesions(case: Case, schema: LabelSchema, ledger: Ledger) -> tuple[Path | None, tuple[str, ...]]:
    """The base label of a case and the lesion classes that it is trusted in; no label where there are none."""
    label = layout.label_map(layout.BASE_LABELS, case.case_id)
    known = tuple(c.name for c in schema.classes if c.lesion and trusted(ledger, case.case_id, c.name))
    return (label, known) if known and label.is_file() else (None, ())


def open_case(
    case_id: str,
    image: Path | str,
    image_sha256: str,
    modality: str,
    predictions: Sequence[Path | str],
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
        volume.require_same_grid(prediction.grid, voxels.grid, str(path))
        if prediction.image_sha256 != image_sha256:
            raise VoxledgerError(
                f"{case_id}: {path} was predicted from another image than {image}", "run `dvc repro -f infer`"
            )
    return Proposal(opened, voxels.array, is_ct(modality), schema, thresholds, voxels.grid)


def is_ct(modality: str) -> bool:
    """Whether intensities are Hounsfield units."""
    return modality.upper() == "CT"


@dataclass(frozen=True)
class Filtered:
    """What the rules decided on one case, and what is found of its true lesions after each."""

    decisions: list[Decision]
    steps: list[Step]
    taken: list[Taken]
    """Of true lesions, by rules."""


class Propose(Job[Filtered]):
    """The pseudo-label of one case."""

    stage, algorithms = "filter", ("filter",)
    split: Split = content()
    label: Path | None = content()
    """Of the last version; None where it is trusted in no lesion class."""
    known: tuple[str, ...] = content()
    """Lesion classes that it is trusted in."""
    image: Path = place()
    image_sha256: str = content()
    modality: str = content()
    predictions: tuple[Path, ...] = content()
    schema: LabelSchema = content()
    rules: list[dict[str, Any]] = content()
    packages: dict[str, str] = content()
    """Of rules from other packages, with their versions."""
    thresholds: dict[str, float] = content()
    overlap: float = content()

    def compute(self, folder: Path) -> Filtered:
        from voxledger.filter.apply import decide
        from voxledger.filter.chain import read_rules
        from voxledger.filter.harm import detect_lesions, taken_by
        from voxledger.imaging import volume

        proposal = open_case(
            self.name, self.image, self.image_sha256, self.modality, self.predictions, self.schema, self.thresholds
        )
        truth = volume.read_label(self.label, proposal.grid) if self.label is not None else None
        steps: list[Step] = []

        def look(number: int, rule: str) -> None:
            if truth is not None:
                whose = (self.known, self.name, self.split.value)
                steps.extend(detect_lesions(proposal, truth, *whose, number, rule, self.overlap))

        look(0, "threshold")
        decisions: list[Decision] = []
        taken: list[Taken] = []
        for number, rule in enumerate(read_rules(self.rules, self.schema), start=1):
            decided = list(decide(proposal, [rule], self.name))
            decisions += [decision for decision, _ in decided]
            look(number, rule.rule)
            if truth is not None:
                taken += taken_by(rule, number, proposal, truth, self.known, self.split.value, decided)
        volume.write(folder / f"{self.name}.nii.gz", proposal.label_map(), proposal.grid)
        return Filtered(decisions, [as_written(step) for step in steps], taken)
