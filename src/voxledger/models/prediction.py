"""The job of predicting one case with one model: a soft prediction in a file, and the classes that are in it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from voxledger.casemap.job import Job, content, place
from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, shape_of
from voxledger.imaging.soft import NOWHERE, open_soft, write_soft
from voxledger.imaging.volume import Volume, file_sha256, mask_sha256, read, read_label
from voxledger.models.channels import Channels
from voxledger.models.model import Model
from voxledger.models.process import single_thread
from voxledger.models.region import organ_box
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

    @property
    def marks(self) -> tuple[tuple[str, str], ...]:
        """Class and weak label, in words, of every object that it was told of; none of a model that is told of none."""
        return ()

    def without(self, classes: Collection[str]) -> Prediction | None:
        """The same, told of no object of some classes; None where it is told of nothing else."""
        return self

    @abstractmethod
    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the soft prediction into a file; returns the classes that are in it."""


class NetworkPrediction(Prediction):
    """What a network says of an image."""

    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""

    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the probabilities of the classes that the network was taught."""
        return self._predict(out, read(self.case.image))

    def _predict(self, out: Path, image: Volume, extent: Box | None = None) -> tuple[str, ...]:
        """Write what the network says of an image, or of the part of it in `extent`."""
        schema, card = self.model.schema, self.model.card
        backend = import_module(f"{BACKENDS.get(card.backend).package}.predict")
        seen = image if extent is None else image.cropped(extent)
        with single_thread(self.device):
            channels: Channels = backend.predict(self.model.folder, card.id, seen, self.params, self.device)
            classes = channels.classes(schema)
            write_soft(out, channels.by_class(schema), classes, image.grid, card.id, self.case.sha256, extent)
        return tuple(classes)


@dataclass(frozen=True)
class TrustedOrgan:
    """An organ as people stand behind it."""

    mask: str
    """SHA-256 of its mask."""
    label: Path = place()
    """The label map that holds it."""


class RegionPrediction(NetworkPrediction):
    """What the network of a region says of an image: returns no class where the organ is not found."""

    trusted: TrustedOrgan | None = content()
    """Says where the organ is, if people have; otherwise the models do."""
    organ: tuple[str, ...] = content()
    """Keys of the predictions that find the organ."""
    files: tuple[Path, ...] = place()
    """What those wrote."""

    def predict(self, out: Path) -> tuple[str, ...]:
        """Write the probabilities around the organ."""
        image = read(self.case.image)
        extent = self._extent(image)
        if extent is not None:
            return self._predict(out, image, extent)
        taught, nothing = self.model.taught, np.zeros(shape_of(NOWHERE), np.float32)
        blank = ((name, nothing) for name in taught)
        write_soft(out, blank, taught, image.grid, self.model.card.id, self.case.sha256, NOWHERE)
        return ()

    def _extent(self, image: Volume) -> Box | None:
        region, schema = self.model.region, self.model.schema
        assert region is not None  # only such models get this job
        if self.trusted is None:
            return region.find([open_soft(path) for path in self.files], schema)
        mask = schema.mask(read_label(self.trusted.label, image.grid), region.name(schema))
        if mask_sha256(mask, image.grid) != self.trusted.mask:
            raise VoxledgerError(
                f"case {self.case.case_id}: {region.name(schema)} in {self.trusted.label} is not the mask that the "
                "ledger names",
                "restore the labels with `dvc checkout`",
            )
        organ = organ_box(mask)
        return None if organ is None else region.box(organ, image.grid)


def network_predictions(
    model: Model, cases: Sequence[Case], params: InferParams, machine: MachineParams
) -> list[Prediction]:
    """A job for every case."""
    return [NetworkPrediction(**_network(model, case, params, machine)) for case in cases]


def region_prediction(
    model: Model,
    case: Case,
    trusted: TrustedOrgan | None,
    organ: Mapping[str, Path],
    params: InferParams,
    machine: MachineParams,
) -> Prediction:
    """The job of a case and a model of a region.

    Parameters
    ----------
    trusted
        The organ as people stand behind it, if they do.
    organ
        What the models without a region wrote that know the organ, by key; read where nobody stands behind it.
    """
    keys = tuple(sorted(organ)) if trusted is None else ()
    return RegionPrediction(
        **_network(model, case, params, machine), trusted=trusted, organ=keys, files=tuple(organ[key] for key in keys)
    )


def _network(model: Model, case: Case, params: InferParams, machine: MachineParams) -> dict[str, Any]:
    return {
        "name": title(case, model),
        "case": case,
        "model": model,
        "params": params,
        "device": machine.device,
        "portable": machine.portable,
    }


def title(case: Case, model: Model) -> str:
    """How errors and progress call the prediction of a case."""
    return f"{case.case_id} ({model.card.name})"
