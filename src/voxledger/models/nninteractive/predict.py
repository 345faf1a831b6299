"""nnInteractive: every object that a weak label marks, one after the other; those of a class together are the class.

It predicts cases of the pool alone. Those that models are judged by are seen as a case that nobody has marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from voxledger.casemap.job import content
from voxledger.imaging.boxes import Box
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, read, read_grid
from voxledger.models.model import Model
from voxledger.models.nninteractive import marks
from voxledger.models.nninteractive.network import artifacts, build_network, interactive_of, patch_of, require_installed
from voxledger.models.prediction import Prediction, title
from voxledger.models.process import single_thread
from voxledger.params import InferParams, MachineParams
from voxledger.records.card import DATASET, PLANS, load_weights
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import WeakMark
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt
from voxledger.weak.prompts import prompts_of
from voxledger.weak.store import read_weak, weak_files

if TYPE_CHECKING:
    from voxledger.models.nninteractive.session import Session

Array = npt.NDArray[np.float16]


def predictions(model: Model, cases: Sequence[Case], params: InferParams, machine: MachineParams) -> list[Prediction]:
    """A job for every case of the pool that has weak labels.

    Raises
    ------
    Misuse
        nnInteractive is not installed.
    VoxledgerError
        A weak label does not fit its case.
    """
    require_installed()
    jobs = list[Prediction]()
    for case in cases:
        if case.split is not Split.POOL or not weak_files(case.case_id):
            continue
        marked = tuple(read_weak(case.case_id, read_grid(case.image), model.schema))
        if not marked:
            continue
        job = MarkedObjects(
            name=title(case, model),
            case=case,
            model=model,
            params=params,
            device=machine.device,
            portable=machine.portable,
            weak=marked,
        )
        jobs.append(job)
    return jobs


class MarkedObjects(Prediction):
    """What the network takes for the objects that are marked in a case."""

    algorithms = ("infer", "prompted")

    weak: tuple[WeakLabel, ...] = content(by=lambda labels: [[w.class_name, w.kind, w.sha256] for w in labels])
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""

    @property
    def marks(self) -> tuple[tuple[str, str], ...]:
        """Class and weak label, as the ledger writes it, of every object."""
        return tuple((w.class_name, str(WeakMark(w.kind, w.source, w.sha256))) for w in self.weak)

    def without(self, classes: Collection[str]) -> MarkedObjects | None:
        """The same, told of no object of some classes; None where nothing else is marked."""
        left = tuple(w for w in self.weak if w.class_name not in classes)
        return replace(self, weak=left) if left else None

    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the probabilities of the classes that are marked: there the model has the only say."""
        image, schema, card = read(self.case.image), self.model.schema, self.model.card
        with single_thread(self.device):
            session = open_session(self.model.folder, card.id, self.device)
            session.show(image.array)
            marked = {w.class_name: [o for o in self.weak if o.class_name == w.class_name] for w in self.weak}
            found = {name: _together(session, objects, image.grid) for name, objects in marked.items()}
        classes = [name for name in schema.names if name in found]
        write_soft(out, _nested(found, schema), classes, image.grid, card.id, self.case.sha256, marked=True)
        return tuple(classes)


def _together(session: Session, objects: Sequence[WeakLabel], grid: Grid) -> Array:
    """Probability (z, y, x) of a class: of several objects that of the likeliest; 0 where there is nothing to see."""
    total = np.zeros(grid.shape, np.float16)
    for one in objects:
        if (found := session.segment(prompts_of(one, grid))) is not None:
            box, probability = found
            total[box] = np.maximum(total[box], probability.astype(np.float16))
    return total


def _nested(found: dict[str, Array], schema: LabelSchema) -> Iterator[tuple[str, Array]]:
    """Probability of every class, what is marked inside it included."""
    for name in schema.names:
        if name in found:
            inside = [values for inner, values in found.items() if name in schema.chain(inner)]
            yield name, np.maximum.reduce(inside)


def looked_at(folder: Path, weak: WeakLabel, grid: Grid) -> Box | None:
    """The box of the image that the model looks at for an object; None where it zooms out as far as it needs."""
    return marks.looked_at(prompts_of(weak, grid), patch_of(read_json(folder / PLANS)), grid.shape)


def try_out(folder: Path, model_id: str, image: npt.NDArray[np.int16]) -> None:
    """Segment what a point marks in an image (z, y, x); raises whatever goes wrong."""
    with single_thread("cpu"):
        session = open_session(folder, model_id, "cpu")
        session.show(image)
        found = session.segment([Prompt("point", (0, 0, 0), np.ones((1, 1, 1), np.bool_))])
    if found is None or not np.isfinite(found[1]).all():
        raise ValueError("its probabilities are no finite numbers")


@lru_cache(maxsize=1)
def open_session(folder: Path, model_id: str, device: str) -> Session:
    """The session of a model; kept for the next case of this process. `model_id` tells retrained models apart."""
    from voxledger.models.nninteractive.session import Session

    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    network = build_network(plans)
    load_weights(folder, network)
    return Session(artifacts(plans, dataset, network), device, interactive_of(plans).clip)
