"""Whether a round may use clicks: what they add on cases with a reference that no model learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import read, read_label
from voxledger.knowledge import trusted
from voxledger.models.backend import backend_of
from voxledger.models.interaction import mean_iou, play
from voxledger.models.model import Model
from voxledger.models.numbering import Numbering
from voxledger.models.process import single_thread
from voxledger.params import Params
from voxledger.progress import progress
from voxledger.records.cases import Case, Split, in_split, require_image
from voxledger.records.clicks import LEAST_RISE, GateMeasured
from voxledger.records.ledger import Ledger
from voxledger.statistics import gain_interval, resamples

CLICKS = 3
"""A class and case."""
_SAMPLES, _SEED = 1000, 0


def measure_gate(model: Model, cases: Sequence[Case], ledger: Ledger, params: Params) -> GateMeasured:
    """Mean IoU on the calibration cases without clicks, and with three a class at the largest errors.

    No answer is taken back, whatever it did. Only classes count that the model was taught and people stand behind.

    Parameters
    ----------
    cases
        All cases of the repository.
    ledger
        Of the base version, whose labels are the reference.

    Raises
    ------
    VoxledgerError
        There is no calibration case with a reference of any of its classes.
    """
    numbering, bar_of = Numbering(model), in_split(cases, Split.CALIBRATION)
    automatic, clicked, patients = [], [], []
    bar = progress(f"gate of {model.card.name}", len(bar_of))
    for case in bar_of:
        names = [name for name in model.schema.names if trusted(ledger, case.case_id, name)]
        numbers = numbering.taught(model, names)
        if numbers:
            before, after = _measure(model, case, numbering, numbers, params)
            automatic.append(before)
            clicked.append(after)
            patients.append(case.patient)
        bar.step(case.case_id)
    bar.close()
    if not patients:
        raise VoxledgerError(
            f"whether clicks help {model.card.name} cannot be measured: no calibration case has a label that people "
            "stand behind",
            "add some: `voxledger cases add FOLDER --labels FOLDER --split calibration`",
        )
    rise = gain_interval(np.array(automatic)[:, None], np.array(clicked)[:, None], resamples(patients, _SAMPLES, _SEED))
    return GateMeasured(
        cases=len(patients),
        clicks=CLICKS,
        automatic=round(float(np.mean(automatic)), 4),
        clicked=round(float(np.mean(clicked)), 4),
        # Of one patient nothing is known of others.
        low=round(rise.low, 4) if np.isfinite(rise.low) else -1.0,
    )


def require_gate(model: Model, gate: GateMeasured) -> None:
    """Raise `VoxledgerError` unless a round may use clicks."""
    if not gate.passed:
        raise VoxledgerError(
            f"model {model.card.name}: {gate}; a round may use clicks from {LEAST_RISE:+.2f} on, where labels made by "
            "clicks are better than automatic ones beyond chance",
            f"{_what_helps(gate)}, or review as before, without --reader clicks",
        )


def _what_helps(gate: GateMeasured) -> str:
    """What a curator can do about a gate that is not passed."""
    if gate.automatic > 1 - LEAST_RISE:
        return "it is nearly right without clicks: take its predictions"
    if gate.rise >= LEAST_RISE:
        return "add calibration cases, to know it better"
    return (
        "train it with `augmentation: strong`, so that it goes on to err where it learns to follow clicks, and longer"
    )


def _measure(
    model: Model, case: Case, numbering: Numbering, numbers: Sequence[int], params: Params
) -> tuple[float, float]:
    require_image(Path(case.image), case.sha256)
    image = read(case.image)
    labels = read_label(layout.label_map(layout.BASE_LABELS, case.case_id), image.grid)
    truth = numbering.numbers(labels)
    with single_thread(params.machine.device):
        session = backend_of(model.card).session(model, image, params.machine.device)
        start = session.automatic(params.infer)
        after = play(session, start, truth, numbers, CLICKS, lambda _before, _after: True).labels
    return mean_iou(start, truth, numbers), mean_iou(after, truth, numbers)
