"""What reviewers would see of the true lesions of calibration cases, at every threshold: after the rules.

While one class is swept, all others stand at the thresholds of `filter.threshold` and `filter.thresholds`, which for
other lesion classes are not the calibrated ones; where all lesion classes have one threshold, each is swept so, and
what any of them finds is found. So what is chosen from the curves is looked at once more, by filtering with all chosen
thresholds together (`FoundLesions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.casemap.job import Job, content, place
from voxledger.casemap.run import casemap
from voxledger.filter.run import open_case, thresholds_of
from voxledger.imaging.detection import apart_or_together, ball_ml
from voxledger.imaging.froc import CaseCurve, CaseCurves, tried_thresholds
from voxledger.knowledge import trusted
from voxledger.params import CalibrateParams, Params
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.ledger import Ledger
from voxledger.schema import LabelSchema

if TYPE_CHECKING:
    from voxledger.filter.proposal import Proposal
    from voxledger.filter.rule import Rule
    from voxledger.imaging.detection import Detection


@dataclass(frozen=True)
class Counts:
    """A `CaseCurve` as numbers without arrays."""

    values: list[float]
    components: list[int]
    true_components: list[int]
    hits: list[int]
    lesions: int
    tried: str
    small: int

    @classmethod
    def of(cls, curve: CaseCurve) -> Counts:
        counts = (curve.components.tolist(), curve.true_components.tolist(), curve.hits.tolist())
        return cls(curve.values.astype(float).tolist(), *counts, curve.lesions, curve.tried, curve.small)

    @property
    def curve(self) -> CaseCurve:
        components, true, hits = (np.array(c, np.int64) for c in (self.components, self.true_components, self.hits))
        return CaseCurve(
            np.array(self.values, np.float32), components, true, hits, self.lesions, self.tried, self.small
        )


class OfLesions(Job[dict[str, Counts]]):
    """What is found of the true lesions of one case, by class or `ANY`; what no model of the case knows is left out.

    Where a model of a region did not find its organ, lesions are missed.
    """

    stage, algorithms = "calibrate", ("calibrate", "filter")
    label: Path = content()
    image: Path = place()
    image_sha256: str = content()
    modality: str = content()
    predictions: tuple[Path, ...] = content()
    schema: LabelSchema = content()
    classes: tuple[str, ...] = content()
    rules: list[dict[str, Any]] = content()
    packages: dict[str, str] = content()
    """Of rules from other packages, with their versions."""
    thresholds: dict[str, float] = content()
    overlap: float = content()
    from_mm: float = content()
    floor: float = content()

    def proposal(self) -> Proposal:
        """The masks of the case before any rule."""
        where = (self.name, self.image, self.image_sha256, self.modality)
        return open_case(*where, self.predictions, self.schema, self.thresholds)

    def truth(self, proposal: Proposal) -> npt.NDArray[Any]:
        """The label map (z, y, x)."""
        from voxledger.imaging.volume import read_label

        return read_label(self.label, proposal.grid)

    def judged(self, proposal: Proposal) -> list[tuple[str, list[str]]]:
        """What of `classes` the models of the case are to look for, and the classes that it stands for."""
        from voxledger.filter.harm import members

        named = [(name, members(self.schema, name)) for name in self.classes]
        return [(name, those) for name, those in named if all(map(proposal.sought, those))]

    def chain(self) -> list[Rule]:
        """The rules of the filter."""
        from voxledger.filter.chain import read_rules

        return read_rules(self.rules, self.schema)


class LesionCurves(OfLesions):
    """The curves of one case."""

    def compute(self, folder: Path) -> dict[str, Counts]:
        proposal = self.proposal()
        truth, rules = self.truth(proposal), self.chain()
        return {
            name: Counts.of(lesion_curve(proposal, truth, those, rules, self.overlap, self.from_mm, self.floor))
            for name, those in self.judged(proposal)
        }


class FoundLesions(OfLesions):
    """What the filter leaves in one case."""

    def compute(self, folder: Path) -> dict[str, Counts]:
        from voxledger.filter.apply import apply_rules
        from voxledger.filter.harm import detection_of

        proposal = self.proposal()
        truth = self.truth(proposal)
        apply_rules(proposal, self.chain(), self.name)
        found = {}
        for name, those in self.judged(proposal):
            detection, _ = detection_of(proposal, truth, those, self.overlap)
            at, why = [self.thresholds[those[0]]], "filtered at its threshold"
            found[name] = Counts.of(_tried(at, [detection], self.from_mm, why))
        return found


def lesions_seen(
    kind: type[OfLesions],
    cases: Sequence[Case],
    predictions: Path,
    ledger: Ledger,
    schema: LabelSchema,
    params: Params,
    calibrated: Mapping[str, float],
) -> list[CaseCurves]:
    """What is found of the true lesions of every calibration case, by lesion class.

    Parameters
    ----------
    kind
        `LesionCurves`: at every threshold of one class, the other classes at theirs. `FoundLesions`: with all
        thresholds together; a curve that holds at that of its class alone.
    cases
        The case table; those of the calibration split with predictions and a trusted label are used, class by class
        if a model of the case knows it.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`.
    ledger
        That of the base labels: which of them people stand behind.
    calibrated
        Calibrated thresholds, as the filter stage will have them.
    """
    from voxledger.filter.chain import origins, read_rules

    rules = [rule.model_dump(mode="json") for rule in read_rules(params.filter.rules, schema)]
    jobs, patients = [], []
    for case in in_split(cases, Split.CALIBRATION):
        known = tuple(_known(case, ledger, schema, params.calibrate))
        label = layout.label_map(layout.BASE_LABELS, case.case_id)
        files = tuple(sorted(predictions.glob(f"*/{case.case_id}.b2nd")))
        if not known or not files or not label.is_file():
            continue
        job = kind(
            name=case.case_id,
            label=label,
            image=Path(case.image),
            image_sha256=case.sha256,
            modality=case.modality,
            predictions=files,
            schema=schema,
            classes=known,
            rules=rules,
            packages=origins(params.filter.rules),
            thresholds=thresholds_of(schema, params.filter, calibrated),
            overlap=params.calibrate.overlap,
            from_mm=params.calibrate.from_mm,
            floor=params.calibrate.floor,
        )
        jobs.append(job)
        patients.append(case.patient)
    found = casemap(jobs, layout.ROUND, params.machine)
    return [
        CaseCurves(patient, {name: counts.curve for name, counts in of_case.items()})
        for patient, of_case in zip(patients, found, strict=True)
    ]


def _known(case: Case, ledger: Ledger, schema: LabelSchema, params: CalibrateParams) -> Iterator[str]:
    """What is calibrated and people stand behind in a case."""
    from voxledger.filter.harm import members

    for name in apart_or_together(params.classes, params.together):
        if all(trusted(ledger, case.case_id, member) for member in members(schema, name)):
            yield name


def lesion_curve(
    proposal: Proposal,
    truth: npt.NDArray[Any],
    names: Sequence[str],
    rules: Sequence[Rule],
    overlap: float,
    from_mm: float,
    floor: float,
) -> CaseCurve:
    """The curve of a class after the rules, or of several at one threshold, whose lesions are found by any of them.

    Exact at every threshold from `floor` up, for several but for components of different classes that touch: they are
    counted class by class. Where `voxledger.filter.sweep` cannot say it, the curve holds at some thresholds, up to that
    of the first class in the proposal.

    Parameters
    ----------
    proposal
        Before any rule; it is not changed.
    truth
        True label map (z, y, x).
    """
    from voxledger.filter.sweep import Unseen, sweep
    from voxledger.imaging.detection import label_lesions
    from voxledger.imaging.froc import Part, curve_of

    try:
        swept = [sweep(proposal, name, rules, floor) for name in names]
    except Unseen as why:
        thresholds = tried_thresholds(proposal.thresholds[names[0]], floor)
        return curve_by_filtering(proposal, truth, names, rules, overlap, from_mm, thresholds, str(why))
    lesions, sizes = label_lesions(np.logical_or.reduce([proposal.schema.mask(truth, name) for name in names]))
    parts = [Part(nodes.tree, nodes.spans, nodes.at(lesions[nodes.box])) for nodes in swept if nodes is not None]
    return curve_of(parts, sizes, overlap, ball_ml(from_mm) / proposal.grid.voxel_ml)


def curve_by_filtering(
    proposal: Proposal,
    truth: npt.NDArray[Any],
    names: Sequence[str],
    rules: Sequence[Rule],
    overlap: float,
    from_mm: float,
    thresholds: Sequence[float],
    why: str,
) -> CaseCurve:
    """The same by filtering at each of some descending thresholds; `why` not at all is told with it."""
    from voxledger.filter.apply import apply_rules
    from voxledger.filter.harm import detection_of

    found = []
    for threshold in thresholds:
        one = proposal.at(names, threshold)
        apply_rules(one, rules, "")
        found.append(detection_of(one, truth, names, overlap)[0])
    return _tried(thresholds, found, from_mm, why)


def _tried(thresholds: Sequence[float], found: Sequence[Detection], from_mm: float, why: str) -> CaseCurve:
    """Detections at descending thresholds as a curve; {p > threshold} is {p >= the next value}."""
    of_size = [d.of_at_least(ball_ml(from_mm)) for d in found]
    components, true = np.array([(d.components, d.true_components) for d in found], np.int64).T
    hits, lesions = np.array([hits for hits, _ in of_size], np.int64), of_size[0][1]
    values = np.nextafter(np.array(thresholds, np.float32), np.float32(1))
    return CaseCurve(values, components, true, hits, lesions, why, found[0].lesions - lesions)
