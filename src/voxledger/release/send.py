"""Bundles going out: on record and committed, checked while they are out, taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import read_params
from voxledger.records.sent import BRING_BACK, RECALL, SHOWN, UNDO, read_sent, write_sent
from voxledger.release.inbox import brought_in, remove_at_once
from voxledger.release.pipeline import Status, outputs
from voxledger.release.times import note_export
from voxledger.repository import git, round_tag, tag_exists
from voxledger.stage import require_scripts


def send_out(bundles: Mapping[str, str]) -> None:
    """Record that bundles go out, and commit all that git holds of the round so far.

    Every machine then has what later stages compare with, and nothing has to be computed again there.

    Parameters
    ----------
    bundles
        Id of every bundle, by the name of its folder.
    """
    params = read_params()
    sent, committed = read_sent(), read_sent("HEAD")
    if sent is not None and sent == committed and (sent.round, sent.bundles) == (params.round, dict(bundles)):
        return  # what changed since is of later stages
    if sent is None or (sent.round, sent.bundles) != (params.round, dict(bundles)):
        write_sent(params.round, bundles)
    note_export(params.round)
    paths = [layout.PARAMS, layout.SCHEMA, layout.PIPELINE, layout.LOCK, layout.STAGES, layout.BASE_CARDS, layout.SENT]
    paths += layout.dvc_files()
    paths += layout.export_notes()
    paths += [p for folder in (layout.DATA, layout.BASE) for p in sorted(folder.glob("*.csv"))]
    paths += [Path(out.path) for out in outputs("export") if out.in_git]
    paths = [p for p in paths if p.exists()]
    git("add", "--", *paths)
    if git("diff", "--cached", "--name-only", "--", *paths).strip():
        git("commit", "--quiet", "--message", f"Bundles of round {params.round} go out", "--", *paths)


def require_bundles_fit(before: Status) -> None:
    """Raise if what people were shown, or what it was made from, is not here as it was; bundles are out.

    Parameters
    ----------
    before
        What DVC finds changed up to the export.

    Raises
    ------
    VoxledgerError
        Names what is missing or was changed.
    """
    params = read_params()
    absent = [str(path) for path in SHOWN if not path.exists()]
    if absent:
        raise VoxledgerError(
            f"bundles of round {params.round} are out, and {', '.join(absent)} is not here",
            f"bring back what people were shown: `{BRING_BACK}`, or in a clone `dvc pull`",
        )
    if changed := before.altered:
        raise VoxledgerError(
            f"bundles of this round are out, and since then these changed: {', '.join(changed)}; running on would make "
            "the bundles anew, and what comes back would no longer fit",
            f"`{UNDO}` takes back all changes of what people were shown and of what that was made from; {RECALL}",
        )


def recall() -> None:
    """Take the bundles of this round back: they may be made anew, and what comes of them no longer counts.

    Killed at any point, it is finished by calling it again.

    Raises
    ------
    VoxledgerError
        No bundle is out, or returns of this round are in the inbox.
    """
    params = read_params()
    here = read_sent() if layout.SENT.exists() else None  # a recall that was killed may have removed it
    staged, committed = read_sent(""), read_sent("HEAD")
    on_record = any(sent is not None and sent.round == params.round for sent in (here, staged, committed))
    if not on_record:
        require_scripts()  # before pipeline 2 nothing was on record
    if tag_exists(round_tag(params.round)) or not (on_record or layout.exported(params.round)):
        raise Misuse("no bundle of this round is out", "`voxledger round run` makes bundles and sends them out")
    if returns := brought_in():
        raise VoxledgerError(
            f"people have reviewed already: {', '.join(map(str, returns))}",
            "go on with `voxledger round run`; if their work shall not count, first move it out of the inbox",
        )
    remove_at_once(layout.BUNDLES)
    remove_at_once(layout.ADJUDICATION)
    layout.SENT.unlink(missing_ok=True)
    git("rm", "--cached", "--force", "--quiet", "--ignore-unmatch", "--", layout.SENT)
    if committed is not None:
        git("commit", "--quiet", "--message", f"Bundles of round {params.round} are taken back", "--", layout.SENT)
