"""Running a round as far as it goes: to the bundles, and, once they are back, to the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from voxledger import layout
from voxledger.bundles.context import read_context
from voxledger.bundles.inbox import require_complete
from voxledger.bundles.untouched import require_untouched
from voxledger.errors import VoxledgerError
from voxledger.extras import require_extra
from voxledger.models.region import learned_schema
from voxledger.params import Params, read_params
from voxledger.records.bundle import sent_bundles
from voxledger.records.sent import is_out
from voxledger.release.environment import environment
from voxledger.release.inbox import is_tracked_whole, track_inbox
from voxledger.release.pipeline import Status, require_whole_dvc_files
from voxledger.release.send import require_bundles_fit, send_out
from voxledger.release.state import require_open
from voxledger.release.times import note_run, run_of
from voxledger.repository import dvc, require_root
from voxledger.schema import LabelSchema, read_schema
from voxledger.stage import require_pipeline


def require_runnable() -> Params:
    """The parameters of the round, if it is open and its stages are of this voxledger.

    Raises
    ------
    VoxledgerError
        Says what has to be done first.
    """
    require_root()
    require_extra("models")
    require_pipeline()
    params = read_params()
    require_open(params)
    require_whole_dvc_files()
    _require_known_classes(params, read_schema(layout.SCHEMA))
    return params


def _require_known_classes(params: Params, schema: LabelSchema) -> None:
    """What the stages would say, before any of them has computed for hours."""
    schema.require(params.calibrate.classes, "calibrate.classes")
    schema.require(params.filter.thresholds, "filter.thresholds")
    for number, rule in enumerate(params.filter.rules):
        names = rule.get("classes")
        schema.require(map(str, names) if isinstance(names, list) else (), f"filter.rules[{number}]")
    schema.require(params.score.classes, "score.classes")
    for name, model in params.retrain.models.items():
        learned_schema(model, schema, name)


def run_round(params: Params, no_memo: bool) -> None:
    """Run the stages before the review, send bundles out, and run the rest if they are back.

    Parameters
    ----------
    params
        From `require_runnable`.
    no_memo
        Whether to compute every case again, remembered or not; not what people were shown.

    Raises
    ------
    Waiting
        People have to act first.
    VoxledgerError
        A stage failed, or bundles that are out are not here as they were.
    """
    require_untouched(layout.BUNDLES)
    out = is_out(params)
    if not out:
        _remove_dangling(layout.PSEUDO, layout.ATTENTION, layout.CELL_RANKS, layout.BUNDLES)
    # Asking DVC takes as long as letting it find nothing to do: only where nothing is likely to have changed.
    status = Status.now() if out or (not no_memo and run_of(params.round) is not None) else None
    before = None if status is None else status.up_to("export")
    if out and before is not None:
        require_bundles_fit(before)
    if no_memo:
        os.environ["VOXLEDGER_NO_MEMO"] = "1"
    again = ["--force"] if no_memo and not out else []
    if (again or before is None or before.entries) and dvc("repro", *again, "export") != 0:
        _require_nothing_dangles(layout.DATA, layout.MODELS)
        raise VoxledgerError("a stage before the review failed", "read its message above; finished cases are kept")
    _send_out(params)
    asked = (layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round, read_context(params.review))
    if params.adjudicated:
        require_complete(*asked, readers_only=True)
        _adjudicate(params)
    require_complete(*asked)
    if no_memo or status is None or status.entries or not is_tracked_whole():
        _run_to_the_end(no_memo)
    note_run(params.round, environment)


def _send_out(params: Params) -> None:
    """Record that the bundles that are here go out, if there are any."""
    if bundles := sent_bundles(layout.BUNDLES, params.round):
        send_out({folder.name: manifest.id for folder, manifest in bundles.items()})


def _adjudicate(params: Params) -> None:
    """Make the bundle of the adjudicator, now that all readers are back, and send it out."""
    track_inbox()
    if dvc("repro", "adjudicate") != 0:
        raise VoxledgerError("a stage of the review failed", "read its message above; nothing that came in is lost")
    _send_out(params)


def _remove_dangling(*places: Path) -> None:
    """Remove links to what DVC threw out of its cache, as it does with what was altered: it stops where one dangles.

    A stage makes again what is missing.
    """
    for path in _dangling(*places):
        path.unlink()


def _require_nothing_dangles(*places: Path) -> None:
    """Raise with what brings back what no stage makes."""
    if path := next(_dangling(*places), None):
        raise VoxledgerError(
            f"{path} is a link to what is no longer in DVC's cache, from which it throws away what was altered",
            "`dvc pull --force` brings it back if it was pushed; then run this again",
        )


def _dangling(*places: Path) -> Iterator[Path]:
    every = (path for place in places for path in chain([place], place.rglob("*")))
    return (path for path in every if path.is_symlink() and not path.exists())


def _run_to_the_end(no_memo: bool) -> None:
    track_inbox()
    if dvc("repro", *(["--force", "--downstream", "gate"] if no_memo else [])) != 0:
        raise VoxledgerError("a stage after the review failed", "read its message above; nothing that came in is lost")
