"""The job of predicting one case with one model: a soft prediction in a file, and the classes that are in it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from voxledger.casemap.job import Job, content, place
from voxledger.errors import VoxledgerError
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import file_sha256, read
from voxledger.models.channels import Channels
from voxledger.models.model import Model
from voxledger.models.process import single_thread
from voxledger.params import InferParams, MachineParams
from voxledger.records.cases import Case
from voxledger.registry import BACKENDS


def _identity(model: Model) -> list[Any]:
    """What a prediction depends on of a model, wherever it lies, and of the names and ids of the classes."""
    classes = [[c.name, c.id, c.inside] for c in model.schema.classes]
    return [model.card.name, model.card.id, BACKENDS.origin(model.card.backend), classes, model.schema.record()]


class Prediction(Job[tuple[str, ...]]):
    """Writes `<model>/<case>.b2nd`; returns the classes that are in it, in the order of the schema."""

    stage = "infer"
    algorithms: ClassVar[tuple[str, ...]] = ("infer",)

    case: Case = content(by=lambda case: [case.case_id, case.sha256])
    model: Model = content(by=_identity)
    params: InferParams = content()
    device: str = place()

    def compute(self, folder: Path) -> tuple[str, ...]:
        """Write the soft prediction, once the image is known to be the registered one."""
        case = self.case
        if file_sha256(case.image) != case.sha256:
            raise VoxledgerError(
                f"case {case.case_id}: {case.image} is not the image that was registered",
                "restore it with `dvc checkout`",
            )
        out = folder / self.model.card.name / f"{case.case_id}.b2nd"
        out.parent.mkdir()
        return self.predict(out)

    @abstractmethod
    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the soft prediction into a file; returns the classes that are in it."""


class NetworkPrediction(Prediction):
    """What a network says of an image."""

    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""

    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the probabilities of the classes that the network was taught."""
        image, schema, card = read(self.case.image), self.model.schema, self.model.card
        backend = import_module(f"{BACKENDS.get(card.backend).package}.predict")
        with single_thread(self.device):
            channels: Channels = backend.predict(self.model.folder, card.id, image, self.params, self.device)
            classes = channels.classes(schema)
            write_soft(out, channels.by_class(schema), classes, image.grid, card.id, self.case.sha256)
        return tuple(classes)


def network_predictions(
    model: Model, cases: Sequence[Case], params: InferParams, machine: MachineParams
) -> list[Prediction]:
    """A job for every case."""
    return [
        NetworkPrediction(
            name=title(case, model),
            case=case,
            model=model,
            params=params,
            device=machine.device,
            portable=machine.portable,
        )
        for case in cases
    ]


def title(case: Case, model: Model) -> str:
    """How errors and progress call the prediction of a case."""
    return f"{case.case_id} ({model.card.name})"
