"""What reviewers are shown: trusted classes of the base version, and the models' pseudo-label for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.merge import Claim, LabelMap, merge
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import Grid, read_grid, read_label
from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.records.cases import Case
from voxledger.records.ledger import Entry, Ledger, Origin, by_case
from voxledger.records.predicted import Ensemble
from voxledger.schema import LabelSchema


def require_proposed(case_id: str, ensemble: Ensemble | None, pseudo: Path) -> None:
    """Raise if a case was predicted, but its pseudo-label is not here."""
    if ensemble is not None and not pseudo.is_file():
        raise VoxledgerError(
            f"case {case_id} was predicted, but {pseudo} is not here", "run `dvc checkout`, or in a clone `dvc pull`"
        )


def proposal_claims(
    schema: LabelSchema,
    entries: Mapping[str, Entry],
    base: LabelMap,
    pseudo: LabelMap | None,
    predicted: frozenset[str],
    version: int,
) -> dict[str, Claim]:
    """One claim a class that is known: trusted masks from the base, others predicted anew.

    A class that neither the base nor a model knows claims nothing and stays unknown. An untrusted class of the
    base that no model predicts any more keeps its mask and origin.

    Parameters
    ----------
    entries
        Rows of the base ledger about the case, by class.
    base, pseudo
        Label maps (z, y, x) of the base version and of the models; None where no model predicts the case.
    predicted
        Classes that models predict.
    version
        Number of the round, which predicted masks are of.
    """
    claims = {}
    for name in schema.names:
        entry = entries.get(name)
        if entry is not None and (knowledge_of(entry) is Knowledge.TRUSTED or pseudo is None or name not in predicted):
            claims[name] = Claim(name, entry.origin, entry.version, base)
        elif pseudo is not None and name in predicted:
            claims[name] = Claim(name, Origin.PREDICTED, version, pseudo)
    return claims


@dataclass(frozen=True)
class Sources:
    """Where the masks of a case come from before people look at it."""

    grid: Grid
    base: LabelMap
    """Label map of the base version; zeros where it has none."""
    claims: dict[str, Claim]

    def proposal(self, schema: LabelSchema) -> LabelMap:
        """The label map that a reviewer is shown (z, y, x)."""
        return merge(schema, list(self.claims.values()), self.grid.shape)


def read_sources(
    schema: LabelSchema,
    image: Path,
    base: Path | None,
    pseudo: Path | None,
    entries: Mapping[str, Entry],
    predicted: frozenset[str],
    version: int,
) -> Sources:
    """Read base label and pseudo-label of a case, either of which may be None, and make its claims.

    Parameters
    ----------
    image
        The image of the case, for its grid.
    entries, predicted, version
        As in `proposal_claims`.

    Raises
    ------
    VoxledgerError
        The base label is not what the ledger says.
    """
    grid = read_grid(image)
    base_labels = _read(schema, base, grid)
    pseudo_labels = _read(schema, pseudo, grid) if pseudo is not None else None
    boxes = ClassBoxes(schema)
    for name, entry in entries.items():
        if boxes.mask_sha256(name, base_labels, grid) != entry.mask_sha256:
            raise VoxledgerError(
                f"{base or 'the missing base label'} is not what {layout.BASE_LEDGER} says of class {name}",
                f"restore both: `dvc checkout {layout.BASE_LABELS}`, `git checkout {layout.BASE_LEDGER}`",
            )
    return Sources(grid, base_labels, proposal_claims(schema, entries, base_labels, pseudo_labels, predicted, version))


def _read(schema: LabelSchema, path: Path | None, grid: Grid) -> LabelMap:
    if path is None:
        return np.zeros(grid.shape, np.uint8)
    labels = read_label(path, grid)
    schema.check(labels, str(path))
    return labels


def entries_of(ledger: Ledger, case: Case) -> dict[str, Entry]:
    """Rows of the ledger about a case, by class."""
    return by_case(ledger).get(case.case_id, {})
