"""The job of training one model."""

from __future__ import annotations

from pathlib import Path

from voxledger.casemap.job import Job, content
from voxledger.imaging.volume import file_sha256
from voxledger.models.backend import Backend
from voxledger.models.ladder import learn
from voxledger.models.process import seed_everything, single_thread
from voxledger.models.region import write_region
from voxledger.models.start import HeadStart
from voxledger.models.training import Training
from voxledger.records.card import WEIGHTS, ModelCard, write_card
from voxledger.registry import BACKENDS


class TrainModel(Job[str]):
    """Trains one model into `<name>/`, the same bytes every time on the same kind of CPU; returns its id."""

    stage, algorithms = "retrain", ("retrain",)
    training: Training = content()
    cohort: str = content()
    """SHA-256 of the table of the cohort."""
    licence: str = content()
    round: int = content()
    packages: tuple[str, str] = content()
    """Of backend and strategy, with their versions; empty for our own."""
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""

    def compute(self, folder: Path) -> str:
        """Train, and write the card once the weights say which model it became."""
        training, start = self.training, self.training.start
        home = folder / training.name
        home.mkdir()
        backend: Backend = BACKENDS.get(training.model.backend)
        if training.region is not None:
            write_region(home, training.region)
        with single_thread(training.device):
            seed_everything(training.seed)
            ladder = None
            if isinstance(start, HeadStart):
                architecture, ladder = learn(training, home, self.portable)
            else:
                architecture = backend.train(training, home)
        card = ModelCard(
            id=file_sha256(home / WEIGHTS),
            name=training.name,
            backend=training.model.backend,
            architecture=architecture,
            strategy=start.strategy,
            cohort=self.cohort,
            parent=start.parent.card.id if start.parent else "",
            params=training.model.record(),
            licence=self.licence,
            round=self.round,
            taught_by=training.taught_by,
            ladder=ladder,
        )
        write_card(home, card)
        return card.id
