"""A model beside the page: of a click, a box or a scribble it says which voxels it takes for the class.

Label maps and masks go to the page and back as runs: how many voxels, then their value, in the order of the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import Volume, file_sha256, read
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.backend import backend_of
from voxledger.models.interaction import Click
from voxledger.models.model import Model
from voxledger.models.nninteractive import BACKEND as NNINTERACTIVE
from voxledger.models.numbering import Numbering
from voxledger.records.bundle import IMAGES, Manifest
from voxledger.records.card import CARD, check_model
from voxledger.records.clicks import MOST_LETTERS, AnsweredBy, MarkKind
from voxledger.schema import LabelSchema
from voxledger.weak.prompt import Prompt

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]
MOST_MARKS, MOST_VOXELS = 100, 50_000
"""Of one question, and of one mark."""
_Index = Annotated[int, Field(ge=0)]


class Mark(BaseModel):
    """What a reviewer marked."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: MarkKind
    voxels: Annotated[list[tuple[_Index, _Index, _Index]], Field(min_length=1, max_length=MOST_VOXELS)]
    """z, y, x: of a point the one, of a box two opposite corners, of a scribble all; these two lie in one plane."""
    present: bool
    """Whether it says that the class is there, or that it is not."""


class Question(BaseModel):
    """What the page asks."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    case_id: str
    class_name: str
    labels: list[int]
    """The label map as it is, in runs of innermost ids."""
    marks: Annotated[list[Mark], Field(min_length=1, max_length=MOST_MARKS)]
    """All so far, in their order."""


class _Asked(Protocol):
    """A model in front of one case after the other."""

    classes: list[str]
    kinds: tuple[MarkKind, ...]

    def show(self, image: Volume) -> None:
        """Begin with an image."""

    def mask(self, labels: Labels, class_name: str, marks: Sequence[Mark]) -> Mask:
        """The class (z, y, x) as the model has it after some marks, from a label map of innermost ids."""


class Answers:
    """Answers questions about the cases of one bundle, one at a time; the image of the last case stays open."""

    def __init__(self, folder: Path, bundle: Path, manifest: Manifest) -> None:
        """Open a model: of `models/base`, or in nnInteractive's own format.

        Raises
        ------
        Misuse
            It answers no clicks.
        VoxledgerError
            Its files do not fit its id.
        """
        self._bundle, self._manifest = bundle, manifest
        with tempfile.TemporaryDirectory(prefix="voxledger-model-") as place:
            model = _open(folder, manifest.label_schema, Path(place))
            self._model, self._asked = model.card, _asked(model)
        self._case, self._shape = "", (0, 0, 0)
        self._alone = Lock()

    @property
    def offer(self) -> dict[str, Any]:
        """What the page is told of the model."""
        card = self._model
        said = AnsweredBy(
            name=card.name,
            backend=card.backend,
            architecture=_line(card.architecture),
            licence=_line(card.licence),
        )
        return {
            "id": card.id,
            "name": card.name,
            "kinds": self._asked.kinds,
            "classes": self._asked.classes,
            "answered_by": said.model_dump(),
        }

    def answer(self, content: bytes) -> list[int]:
        """The mask of the class that is asked about, in runs of 0 and 1.

        Raises
        ------
        VoxledgerError
            The question is none, or does not fit the bundle; the image is not as it was sent, or shows nothing.
        """
        try:
            asked = Question.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise _unfit(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if asked.case_id not in self._manifest.cases:
            raise _unfit(f"there is no case {asked.case_id} in this bundle")
        if asked.class_name not in self._asked.classes:
            raise _unfit(f"the model does not know {asked.class_name}")
        with self._alone:
            self._show(asked.case_id)
            labels = from_runs(asked.labels, self._shape, {0, *(c.id for c in self._manifest.label_schema.classes)})
            for mark in asked.marks:
                _require_fit(mark, self._asked.kinds, self._shape)
            return to_runs(self._asked.mask(labels, asked.class_name, asked.marks))

    def _show(self, case_id: str) -> None:
        if case_id == self._case:
            return
        name = f"{IMAGES}/{case_id}.nii.gz"
        path, sent = self._bundle / name, self._manifest.files.get(name)
        if sent is None or not path.is_file() or file_sha256(path) != sent.sha256:
            raise _unfit(f"{name} is not as it was sent")
        image = read(path)
        self._case = ""
        self._asked.show(image)
        self._case, self._shape = case_id, image.array.shape


class _ByClass:
    """A model that knows its classes, and answers points: `backend: clicks`."""

    kinds: tuple[MarkKind, ...] = ("point",)

    def __init__(self, model: Model) -> None:
        self._model, self._numbering, self._device = model, Numbering(model), _device()
        self.classes = [name for name in self._numbering.of if name in model.taught]

    def show(self, image: Volume) -> None:
        self._session = backend_of(self._model.card).session(self._model, image, self._device)

    def mask(self, labels: Labels, class_name: str, marks: Sequence[Mark]) -> Mask:
        schema, of = self._model.schema, self._numbering.of
        start = self._numbering.numbers(labels)
        answer = self._session.start(start)
        for mark in marks:
            answer = self._session.click(answer, Click(of[class_name], mark.voxels[0], mark.present))
        inside = [number for name, number in of.items() if class_name in schema.chain(name)]
        found: Mask = np.where(answer.labels == start, schema.mask(labels, class_name), np.isin(answer.labels, inside))
        return found


class _ByObject:
    """nnInteractive: whatever is marked, of whatever class."""

    kinds: tuple[MarkKind, ...] = ("point", "box", "scribble")

    def __init__(self, model: Model) -> None:
        from voxledger.models.nninteractive.predict import open_session

        self._schema, self.classes = model.schema, model.schema.names
        self._session = open_session(model.folder, model.card.id, _device())

    def show(self, image: Volume) -> None:
        self._session.show(image.array)

    def mask(self, labels: Labels, class_name: str, marks: Sequence[Mark]) -> Mask:
        now = self._schema.mask(labels, class_name)
        box = bounding_box(now)
        guess = [] if box is None else [Prompt("guess", tuple(side.start for side in box), now[box])]
        found = self._session.segment([*guess, *map(_prompt, marks)])
        if found is None:
            raise _unfit("the image is the same everywhere")
        at, probability = found
        now[at] = probability > 0.5
        return now


def _open(folder: Path, schema: LabelSchema, place: Path) -> Model:
    """A model of ours, or one of nnInteractive that is written into `place` as one."""
    if not folder.is_dir():
        raise Misuse(f"{folder} is no folder", "give that of a model")
    if not (folder / CARD).is_file():
        folder = place / "models" / adopt_model("served", folder, Said(), None, (), schema, place / "models", 0).name
    folder = folder.resolve()
    return Model(folder, check_model(folder), schema)


def _line(text: str) -> str:
    """What a card says, as one line of a record."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_LETTERS]


def _asked(model: Model) -> _Asked:
    backend = backend_of(model.card)
    if backend is NNINTERACTIVE:
        return _ByObject(model)
    if backend.interactive and model.region is None:
        return _ByClass(model)
    raise Misuse(
        f"model {model.card.name} answers no clicks",
        "give one of nnInteractive, or one with `backend: clicks` that looks at the whole image",
    )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _prompt(mark: Mark) -> Prompt:
    voxels = np.array(mark.voxels)
    low, high = voxels.min(0), voxels.max(0)
    mask = np.zeros(high - low + 1, np.bool_)
    if mark.kind == "scribble":
        mask[tuple((voxels - low).T)] = True
    else:
        mask[:] = True
    z, y, x = (int(v) for v in low)
    return Prompt(mark.kind, (z, y, x), mask, mark.present)


def _require_fit(mark: Mark, kinds: Sequence[str], shape: tuple[int, ...]) -> None:
    """Raise unless a mark lies in the image as those of its kind do."""
    voxels = np.array(mark.voxels)
    extent = np.ptp(voxels, axis=0)
    if mark.kind not in kinds:
        raise _unfit(f"the model answers no {mark.kind}")
    if (voxels.max(0) >= shape).any():
        raise _unfit(f"a {mark.kind} lies outside of the image")
    if mark.kind == "point" and len(voxels) != 1:
        raise _unfit("a point is one voxel")
    if mark.kind == "box" and (len(voxels) != 2 or np.count_nonzero(extent) != 2):
        raise _unfit("a box is two opposite corners in one plane")
    if mark.kind == "scribble" and extent.all():
        raise _unfit("a scribble lies in one plane")


def _unfit(problem: str) -> VoxledgerError:
    return VoxledgerError(problem, "mark it again, or draw it")


def from_runs(runs: Sequence[int], shape: tuple[int, ...], values: set[int]) -> Labels:
    """The array (z, y, x) of some runs.

    Raises
    ------
    VoxledgerError
        They do not fill the shape, or have other values.

    Examples
    --------
    >>> from_runs([2, 0, 1, 7], (1, 1, 3), {0, 7})
    array([[[0, 0, 7]]], dtype=uint16)
    """
    if len(runs) % 2 or min(runs[::2], default=0) < 1 or sum(runs[::2]) != np.prod(shape):
        raise _unfit("the label map does not fill the image")
    if not values.issuperset(runs[1::2]):
        raise _unfit("the label map holds what is no class")
    return np.repeat(np.array(runs[1::2], np.uint16), runs[::2]).reshape(shape)


def to_runs(mask: Mask) -> list[int]:
    """A mask (z, y, x) in runs.

    >>> to_runs(np.array([[[False, False, True]]]))
    [2, 0, 1, 1]
    """
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    return list(chain.from_iterable(zip(lengths.tolist(), flat[starts].astype(int).tolist(), strict=True)))
