"""How good masks are thought to be before anybody looks, and how good they were found to be.

`data/round/quality.csv` has, of every mask that models proposed and nobody stands behind, what the ensemble showed of
it and what is predicted from that. `reports/judged.csv` has those that people then judged, with what came of them, of
this round and all before it; the next one learns from it as `data/base/judged.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from voxledger.records.formats import TableFormat
from voxledger.textfile import read_text_if_there, write_table


@dataclass(frozen=True)
class Signs:
    """What the ensemble showed of one class of one case, as in the score table. Volumes in ml, entropy in nats."""

    models: int
    attention_ml: float
    inconsistent_ml: float
    uncertain_ml: float
    overlapping_ml: float
    predicted_ml: float
    mean_entropy: float
    lowest_agreement: float


@dataclass(frozen=True)
class Quality:
    """What is predicted of a mask against what a reader would make of it, with intervals."""

    predicted_dice: float
    predicted_dice_low: float
    predicted_dice_high: float
    predicted_error_ml: float
    """Voxels that are wrong."""
    predicted_error_ml_low: float
    predicted_error_ml_high: float
    predicted_path_share: float
    """Share of the contour that has to be drawn anew, from 0 to 1."""


@dataclass(frozen=True)
class MaskQuality:
    """One class of one case."""

    case_id: str
    class_name: str
    signs: Signs
    quality: Quality | None
    """None where too little was judged to predict it."""


@dataclass(frozen=True)
class JudgedMask:
    """One class of one case that a reader accepted or revised; Dice is 1 where he changed nothing."""

    round: int
    mask: MaskQuality
    """As it was before; the class as it was called in that round."""
    blind: bool
    """Whether the case was drawn blindly, from those that nobody was going to look at."""
    dice: float
    error_ml: float
    path_share: float
    """Added path length as a share of the whole contour; 0 where nothing is left to draw."""


_SIGNS, _QUALITY = (tuple(f.name for f in fields(kind)) for kind in (Signs, Quality))
_MASK = ("case_id", "class_name", *_SIGNS, *_QUALITY)
PREDICTED = TableFormat("quality", "a table of predicted quality", (_MASK,))
JUDGED = TableFormat(
    "judged", "a table of judged masks", (("round", *_MASK, "blind", "dice", "error_ml", "path_share"),)
)
FORMAT = PREDICTED.number
QUALITY_COLUMNS = _QUALITY


def read_predicted(path: Path | str) -> list[MaskQuality]:
    """Read what was predicted; a file that is not there holds nothing."""
    with PREDICTED.rows(read_text_if_there(path) or ",".join(_MASK) + "\n", path) as rows:
        return [_mask(row) for row in rows]


def write_predicted(path: Path | str, masks: Iterable[MaskQuality]) -> None:
    """Write what is predicted, in the order given."""
    write_table(path, PREDICTED.columns, map(_mask_row, masks))


def read_judged(path: Path | str) -> list[JudgedMask]:
    """Read what was judged so far; a file that is not there, or is empty, holds nothing."""
    text = read_text_if_there(path)
    if not text:
        return []
    with JUDGED.rows(text, path) as rows:
        return [
            JudgedMask(
                int(row["round"]),
                _mask(row),
                {"true": True, "false": False}[row["blind"]],
                *(float(row[name]) for name in ("dice", "error_ml", "path_share")),
            )
            for row in rows
        ]


def write_judged(path: Path | str, judged: Iterable[JudgedMask]) -> None:
    """Write what was judged, in the order given."""
    write_table(
        path,
        JUDGED.columns,
        (
            {
                "round": one.round,
                **_mask_row(one.mask),
                "blind": str(one.blind).lower(),
                **{name: f"{getattr(one, name):.4f}" for name in ("dice", "error_ml", "path_share")},
            }
            for one in judged
        ),
    )


def quality_of(row: Mapping[str, str]) -> Quality | None:
    """The predicted quality in a row of a table; None where its cells are empty."""
    return Quality(**{name: float(row[name]) for name in _QUALITY}) if row["predicted_dice"] else None


def quality_row(quality: Quality | None) -> dict[str, str]:
    """Its cells; empty ones where nothing is predicted."""
    return dict.fromkeys(_QUALITY, "") if quality is None else {n: f"{v:.4f}" for n, v in asdict(quality).items()}


def _mask(row: Mapping[str, str]) -> MaskQuality:
    signs = Signs(int(row["models"]), *(float(row[name]) for name in _SIGNS[1:]))
    return MaskQuality(row["case_id"], row["class_name"], signs, quality_of(row))


def _mask_row(mask: MaskQuality) -> dict[str, Any]:
    signs = {name: f"{value:.8f}" for name, value in asdict(mask.signs).items()} | {"models": mask.signs.models}
    return {"case_id": mask.case_id, "class_name": mask.class_name, **signs, **quality_row(mask.quality)}
