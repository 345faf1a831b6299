"""A virtual reader of SAIM: clicks at the largest error, sees what the network makes of it, and accepts or rejects.

It returns the same bundle as a person, with `clicks.json` beside the decisions. It gives no minutes: what its clicks
stand for is reported apart from what people took.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger.bundles.merge import LabelMap, paint
from voxledger.errors import Misuse
from voxledger.imaging.volume import read
from voxledger.models.backend import backend_of
from voxledger.models.interaction import mean_iou, play
from voxledger.models.model import Model, open_models
from voxledger.models.numbering import Numbering
from voxledger.models.process import single_thread
from voxledger.records.clicks import Clicked, Clicks, GateMeasured, write_clicks
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.review.emulate import Read, Shown, dice, error_type, name_exchanged
from voxledger.schema import LabelSchema


def interactive_model(models: Path, schema: LabelSchema) -> Model:
    """The model of a folder such as `models/base` that answers clicks.

    Raises
    ------
    Misuse
        There is none, there are several, or it looks at one organ alone.
    """
    found = [model for model in open_models(models, schema) if backend_of(model.card).interactive]
    if len(found) != 1:
        names = f" {' and '.join(model.card.name for model in found)}" if found else ""
        raise Misuse(
            f"{models} has {'several models that answer clicks:' if found else 'no model that answers clicks'}{names}",
            "train one: a model with `backend: clicks` in retrain.models" if not found else "remove all but one",
        )
    if found[0].region is not None:
        raise Misuse(
            f"model {found[0].card.name} looks at one organ alone, and answers no clicks", "train one without a region"
        )
    return found[0]


class ByClicks:
    """Reads with an interactive model.

    Parameters
    ----------
    model
        Answers the clicks.
    gate
        What clicks add on validation cases.
    most
        Clicks a class and case.
    bound
        Dice from which a class is accepted, as it was sent or as the clicks have made it; below it is rejected.
    device
        `cpu` or `cuda`.
    """

    def __init__(self, model: Model, gate: GateMeasured, most: int, bound: float, device: str) -> None:
        self._model, self._numbering, self._gate = model, Numbering(model), gate
        self._most, self._bound, self._device = most, bound, device
        self._cases: list[str] = []
        self._clicks: list[Clicked] = []

    def read(self, shown: Shown) -> Read:
        """Click at every class asked that the model was taught, then judge all of them."""
        schema, proposal = shown.schema, shown.proposal.array
        answer = self._clicked(shown)
        labels = proposal
        decisions: dict[str, tuple[Decision, ErrorKind]] = {}
        for name in sorted(shown.asked, key=lambda n: (len(schema.chain(n)), schema[n].id)):
            drawn, truth = paint(schema, labels, answer, name), schema.mask(shown.reference, name)
            if dice(schema.mask(drawn, name), truth) >= self._bound:
                labels = drawn
        for name in shown.asked:
            before, after, truth = (schema.mask(one, name) for one in (proposal, labels, shown.reference))
            if dice(after, truth) < self._bound:
                decisions[name] = Decision.REJECT, error_type(schema, name, proposal, shown.reference)
            elif np.array_equal(before, after):
                decisions[name] = Decision.ACCEPT, ErrorKind.NONE
            else:
                decisions[name] = Decision.REVISE, error_type(schema, name, proposal, shown.reference)
        name_exchanged(schema, proposal, labels, decisions)
        rows = [Row(shown.case_id, n, *_said(decisions[n]), confirmed=True) for n in shown.asked]
        return Read(labels.astype(np.min_scalar_type(int(labels.max()))), rows)

    def note(self, folder: Path) -> None:
        """Write `clicks.json`."""
        found = Clicks(
            model=self._model.card.id, gate=self._gate, cases=tuple(sorted(self._cases)), clicks=tuple(self._clicks)
        )
        write_clicks(folder, found)

    def _clicked(self, shown: Shown) -> LabelMap:
        """The last answer as innermost ids (z, y, x); what nobody was asked about is as in the proposal."""
        proposal, names = shown.proposal.array, {number: name for name, number in self._numbering.of.items()}
        start, truth = (self._numbering.numbers(labels) for labels in (proposal, shown.reference))
        asked = self._numbering.taught(self._model, shown.asked)
        with single_thread(self._device):
            session = backend_of(self._model.card).session(self._model, read(shown.image), self._device)
            played = play(
                session,
                start,
                truth,
                asked,
                self._most,
                lambda before, after: mean_iou(after, truth, asked) > mean_iou(before, truth, asked),
            )
        self._cases.append(shown.case_id)
        for click, helped in played.clicks:
            one = Clicked(
                case_id=shown.case_id,
                class_name=names[click.number],
                voxel=click.voxel,
                present=click.present,
                helped=helped,
            )
            self._clicks.append(one)
        changed = played.labels != start
        answer = np.where(changed, self._numbering.ids(played.labels), proposal)
        return np.where(_may_change(shown, proposal, answer), answer, proposal).astype(np.uint16)


def _said(decision: tuple[Decision, ErrorKind]) -> tuple[Decision, None, ErrorKind]:
    return decision[0], None, decision[1]


def _may_change(shown: Shown, before: npt.NDArray[np.integer], after: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Voxels (z, y, x) that become, or cease to be, of a class asked, and touch no other but the organ around it."""
    schema = shown.schema
    asked = [schema[name].id for name in shown.asked]
    free = [0, *(schema[n].id for name in shown.asked for n in schema.chain(name))]
    about = np.isin(before, asked) | np.isin(after, asked)
    allowed: npt.NDArray[np.bool_] = about & np.isin(before, free) & np.isin(after, free)
    return allowed
