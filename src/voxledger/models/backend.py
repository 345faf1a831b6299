"""What every backend is: a folder in `models/` with the same file names inside.

    __init__.py  BACKEND, which says what there is
    plan.py      what is decided before training: working spacing, patch, layers
    train.py     train(training: Training, folder: Path) -> str: trains, writes weights, plans and dataset.json into the
                 folder, and returns the architecture in words; of a model of a region the folder holds `region.json`
    network.py   the network that the plans describe
    predict.py   predict(folder, model_id, image, params, device) -> Channels: probabilities for one image
    adopt.py     takes in what was trained elsewhere, see `models/adopt.py`; only where BACKEND says so
    export.py    export_model(model: Model, folder: Path): writes it for others; only where BACKEND says so
    trunk.py     open_trunk(folder: Path) -> Trunk: the network of a model as `models/trunk.py` asks for it, and
                 obstacle(folder: Path) -> str: why it is none that heads can be put on; only where BACKEND says so
    session.py   answers clicks on one image, see `models/interaction.py`; only where BACKEND says so

`train.py` and `predict.py` are what the stages call; plan and network are the backend's own affair. A backend whose
predictions are made elsewhere has `adopt.py`, which takes them in, instead of `train.py`. The `predict.py` of such a
one, and of one that predicts only what is marked, holds `predictions(model, cases, params, machine) ->
list[Prediction]`, which gives a job for each case that it covers; of the latter `looked_at(folder, weak, grid)`, too,
and its jobs have `marks` and `without(classes)`.
Heavy libraries are imported inside the functions that need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from voxledger.errors import Misuse
from voxledger.registry import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxledger.imaging.boxes import Box
    from voxledger.imaging.volume import Grid, Volume
    from voxledger.models.interaction import Session
    from voxledger.models.model import Model
    from voxledger.models.prediction import Prediction
    from voxledger.models.training import Training
    from voxledger.models.trunk import Trunk
    from voxledger.params import InferParams, MachineParams
    from voxledger.records.card import ModelCard
    from voxledger.records.cases import Case
    from voxledger.weak.label import WeakLabel


@dataclass(frozen=True)
class Backend:
    """One backend; the folder that holds it, as `BACKEND`, has its name.

    Parameters
    ----------
    package
        The folder as a package, `__name__` of its `__init__.py`.
    networks
        What `network` of a model may say in `params.yaml`; empty where the backend does not ask for it.
    recipes
        What `recipe` of a model may say, the default first; empty where there is one way to train alone.
    options
        Which of `voxledger.params.OPTIONS` its trainings follow.
    made_elsewhere
        Whether its predictions lie in the folder of the model. Such a model is not trained, and goes on from round to
        round as it is.
    prompted
        Whether its models predict only the objects that weak labels mark, of whatever class they are.
    adopts
        Whether it takes in models that were trained elsewhere.
    exports
        The format that it writes its models in for others, as `voxledger models export --format` calls it; empty where
        it has none.
    interactive
        Whether its models answer clicks.
    heads
        Whether heads of single classes can be put on its networks.

    Examples
    --------
    >>> BACKENDS.get("monai").networks
    ('unet', 'segresnet', 'swinunetr')
    >>> BACKENDS.get("precomputed").made_elsewhere
    True
    """

    package: str
    networks: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    made_elsewhere: bool = False
    prompted: bool = False
    adopts: bool = False
    exports: str = ""
    interactive: bool = False
    heads: bool = False

    def train(self, training: Training, folder: Path) -> str:
        """Train into a new folder, the same bytes every time on the same kind of CPU; returns the architecture."""
        architecture: str = import_module(f"{self.package}.train").train(training, folder)
        return architecture

    def predictions(
        self, model: Model, cases: Sequence[Case], params: InferParams, machine: MachineParams
    ) -> list[Prediction]:
        """One job for each case that the model predicts."""
        predict = import_module(f"{self.package}.predict")
        if self.made_elsewhere or self.prompted:
            jobs: list[Prediction] = predict.predictions(model, cases, params, machine)
            return jobs
        from voxledger.models.prediction import network_predictions

        return network_predictions(model, cases, params, machine)

    def looked_at(self, folder: Path, weak: WeakLabel, grid: Grid) -> Box | None:
        """The box of the image that a model looks at for a marked object; None where that is all that it needs."""
        box: Box | None = import_module(f"{self.package}.predict").looked_at(folder, weak, grid)
        return box

    def trunk(self, folder: Path) -> Trunk:
        """The network of a model, for heads on its features."""
        trunk: Trunk = import_module(f"{self.package}.trunk").open_trunk(folder)
        return trunk

    def no_trunk(self, folder: Path) -> str:
        """Why heads cannot be put on the network of a model; empty where they can."""
        if not self.heads:
            return "networks of its backend take no heads"
        obstacle: str = import_module(f"{self.package}.trunk").obstacle(folder)
        return obstacle

    def session(self, model: Model, image: Volume, device: str) -> Session:
        """A model in front of an image, where it is interactive."""
        session: Session = import_module(f"{self.package}.session").Session(model, image, device)
        return session


def backend_of(card: ModelCard) -> Backend:
    """The backend of a model.

    Raises
    ------
    Misuse
        It is of a package that is not installed here.
    """
    try:
        BACKENDS.require(card.backend)
    except Misuse as error:
        raise Misuse(f"model {card.name}: {error.problem}", "install the package that the backend is from") from None
    backend: Backend = BACKENDS.get(card.backend)
    return backend
