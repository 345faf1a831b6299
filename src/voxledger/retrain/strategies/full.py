"""`full`: train from nothing on the whole cohort."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.models.cohort import Member
from voxledger.models.model import Model
from voxledger.models.start import Start
from voxledger.params import ModelParams, RetrainParams


def start(
    model: ModelParams, params: RetrainParams, base: Model | None, classes: list[str], cohort: Sequence[Member]
) -> Start:
    """Start with new plans, random weights, and all iterations of the model.

    Parameters
    ----------
    model
        The model to train; its budget is what is spent.
    params, base, classes, cohort
        Not used.

    Examples
    --------
    >>> start(ModelParams(backend="monai", network="unet", iterations=240), RetrainParams(), None, ["liver"], [])
    Start(strategy='full', iterations=240, parent=None, note='')
    """
    return Start("full", model.budget())
