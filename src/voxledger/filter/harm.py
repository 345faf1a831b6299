"""What is found of the true lesions of a labelled case, at any point between the rules, and what a rule takes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Component, Mask, Outcome, Proposal
from voxledger.filter.rule import Rule
from voxledger.imaging.boxes import Box, bounding_box, shape_of, union
from voxledger.imaging.detection import ANY, Advice, Detection, Step, Taken, detect
from voxledger.schema import LabelSchema


def detect_lesions(
    proposal: Proposal,
    truth: npt.NDArray[Any],
    known: Sequence[str],
    case_id: str,
    split: str,
    step: int,
    rule: str,
    overlap: float,
) -> list[Step]:
    """Compare the proposal with the true label map (z, y, x), class by class.

    Parameters
    ----------
    known
        Lesion classes that a person stands behind. Where these are all lesion classes of the schema, all of them
        together are compared too.
    overlap
        Share that makes a hit: `voxledger.imaging.detection`.
    """
    schema = proposal.schema
    groups = {name: [name] for name in known}
    if set(known) == set(schema.lesions):
        groups[ANY] = list(known)
    steps = []
    for group, members in groups.items():
        found, common = detection_of(proposal, truth, members, overlap)
        steps.append(
            Step(
                case_id,
                split,
                group,
                step,
                rule,
                found.components,
                found.true_components,
                common,
                found.lesion_ml,
                found.hit,
            )
        )
    return steps


def taken_by(
    rule: Rule,
    step: int,
    proposal: Proposal,
    truth: npt.NDArray[Any],
    known: Sequence[str],
    split: str,
    decided: Iterable[tuple[Decision, Component]],
) -> list[Taken]:
    """Of what a rule has just decided, the removed components that share a voxel with a true lesion of their class.

    Parameters
    ----------
    known
        Lesion classes that the true label map (z, y, x) is trusted in.
    decided
        As from `voxledger.filter.apply.decide`; what went along with an organ is left out.
    """
    found = []
    for decision, component in decided:
        name = decision.class_name
        if decision.outcome not in (Outcome.REMOVED, Outcome.TO_ORGAN) or name not in known or name not in rule.classes:
            continue
        if not (np.isin(truth[component.box], proposal.schema.ids_of(name)) & component.mask).any():
            continue
        found.append(
            Taken(
                decision.case_id,
                split,
                name,
                step,
                decision.rule,
                decision.component,
                round(decision.ml, 4),
                round(decision.measured, 4),
                decision.bound,
                rule.needed(proposal, name, component, decision.measured),
            )
        )
    return found


def advise(taken: Sequence[Taken], rules: Sequence[Rule]) -> list[Advice]:
    """What would have kept what each rule took of each class, by the position of the rule.

    Parameters
    ----------
    taken
        Of any cases; `step` counts `rules` from 1.
    """
    groups: dict[tuple[int, str], list[Taken]] = {}
    for one in taken:
        groups.setdefault((one.step, one.class_name), []).append(one)
    return [
        Advice(step, group[0].rule, name, tuple(group), rules[step - 1].keeping(name, [one.needed for one in group]))
        for (step, name), group in sorted(groups.items())
    ]


def members(schema: LabelSchema, name: str) -> list[str]:
    """The classes that a name stands for: a class, or for `ANY` all lesion classes."""
    return schema.lesions if name == ANY else [name]


def detection_of(
    proposal: Proposal, truth: npt.NDArray[Any], names: Sequence[str], overlap: float
) -> tuple[Detection, int]:
    """What the proposal finds of some classes taken together in a true label map (z, y, x); voxels that both have."""
    regions = [region for name in names if (region := proposal.region(name)) is not None]
    box = union([bounding_box(np.isin(truth, _ids(proposal.schema, names))), *(region.box for region in regions)])
    predicted, true = _masks(proposal, truth, names, box)
    found = detect(predicted, true, proposal.grid.voxel_ml, overlap)
    return found, int(np.count_nonzero(predicted & true))


def _masks(proposal: Proposal, truth: npt.NDArray[Any], names: Sequence[str], box: Box | None) -> tuple[Mask, Mask]:
    if box is None:
        return np.zeros((1, 1, 1), np.bool_), np.zeros((1, 1, 1), np.bool_)
    predicted = np.zeros(shape_of(box), np.bool_)
    for name in names:
        predicted |= proposal.mask(name, box)
    return predicted, np.isin(truth[box], _ids(proposal.schema, names))


def _ids(schema: LabelSchema, names: Sequence[str]) -> list[int]:
    return sorted({i for name in names for i in schema.ids_of(name)})
