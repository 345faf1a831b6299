"""What is found of the true lesions of a labelled case, at any point between the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.filter.proposal import Mask, Proposal
from voxledger.imaging.boxes import Box, bounding_box, shape_of, union
from voxledger.imaging.detection import ANY, Step, detect
from voxledger.schema import LabelSchema


def detect_lesions(
    proposal: Proposal,
    truth: npt.NDArray[Any],
    known: Sequence[str],
    case_id: str,
    split: str,
    step: int,
    rule: str,
) -> list[Step]:
    """Compare the proposal with the true label map (z, y, x), class by class.

    Parameters
    ----------
    known
        Lesion classes that a person stands behind. Where these are all lesion classes of the schema, all of them
        together are compared too.
    """
    schema = proposal.schema
    groups = {name: [name] for name in known}
    if set(known) == {c.name for c in schema.classes if c.lesion}:
        groups[ANY] = list(known)
    regions = [region for name in known if (region := proposal.region(name)) is not None]
    box = union([bounding_box(np.isin(truth, _ids(schema, known))), *(region.box for region in regions)])
    steps = []
    for group, members in groups.items():
        predicted, true = _masks(proposal, truth, members, box)
        found = detect(predicted, true, proposal.grid.voxel_ml)
        common = int(np.count_nonzero(predicted & true))
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


def _masks(proposal: Proposal, truth: npt.NDArray[Any], names: Sequence[str], box: Box | None) -> tuple[Mask, Mask]:
    if box is None:
        return np.zeros((1, 1, 1), np.bool_), np.zeros((1, 1, 1), np.bool_)
    predicted = np.zeros(shape_of(box), np.bool_)
    for name in names:
        predicted |= proposal.mask(name, box)
    return predicted, np.isin(truth[box], _ids(proposal.schema, names))


def _ids(schema: LabelSchema, names: Sequence[str]) -> list[int]:
    return sorted({i for name in names for i in schema.ids_of(name)})
