"""`voxledger review`: bundles out to people, and back."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxledger import layout
from voxledger.cli.reviewers import reviewers, sign
from voxledger.cli.serve import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxledger.params import Params
    from voxledger.records.bundle import Manifest
    from voxledger.review.emulate import Reader
    from voxledger.review.receive import Received
    from voxledger.review.status import InboxStatus


@click.group()
def review() -> None:
    """Send bundles to reviewers and take them back.

    \b
    Example:
      voxledger review send alice                       put her bundle where `exchange` says, and say what to tell her
      voxledger review fetch                            bring what came back there
      voxledger review zip alice                        pack what alice gets
      voxledger review receive bundle-r01-alice.zip     take in what came back
      voxledger review status                           what is still missing
      voxledger round run                               go on when all is there
    """


review.add_command(sign)
review.add_command(reviewers)
review.add_command(serve)


@review.command("zip")
@click.argument("reviewer")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="By default bundle-rNN-REVIEWER.zip, here.")
def zip_(reviewer: str, output: Path | None) -> None:
    """Pack the bundle of REVIEWER for sending.

    \b
    Example:
      voxledger review zip alice -o /tmp/for-alice.zip
    """
    from voxledger.errors import Misuse
    from voxledger.review.pack import pack

    folder = bundle_of(reviewer)
    target = output or Path(f"{folder.name}.zip")
    if target.exists():
        raise Misuse(f"{target} exists already", "it may be what came back: remove it, or give another name with -o")
    if not target.parent.is_dir():
        raise Misuse(f"{target.parent} is not a folder", "make it first, or give another place with -o")
    pack(folder, target)
    freeze()
    click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


@review.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="It counts alone, instead of together with the return before.")
@click.option("--resample", is_flag=True, help="Labels on other voxels than their images get the nearest ones.")
@click.option("--carry", is_flag=True, help="Take a return of a closed round over into this one, where it still fits.")
def receive(source: Path, replace: bool, resample: bool, carry: bool) -> None:
    """Take SOURCE, a returned archive or folder, into data/inbox, and say what is wrong with it or missing.

    Nothing in the inbox is overwritten. The same return twice does nothing; another one counts together with the first,
    class by class. A return of a closed round is kept as late. Exit code 3 says that the return is kept, but that
    somebody has to act.

    \b
    Examples:
      voxledger review receive bundle-r01-alice.zip
      voxledger review receive ~/Downloads/bundle-r01-bob
      voxledger review receive bundle-r00-carol.zip --carry
    """
    from voxledger.params import read_params
    from voxledger.repository import require_root
    from voxledger.review.receive import remove_unpacked
    from voxledger.stage import require_scripts

    require_root()
    require_scripts()
    received = take_in(source, replace=replace, resample=resample)
    if received.late:
        params = read_params()
        _late(received, params, carry and not is_closed(params))
    remove_unpacked(source, layout.INBOX)
    found, name = current_status(), received.manifest.name
    of_two = [p for p in found.problems if p.bundle == name or name in p.problem.split()]
    show(found, received.manifest.reviewer)
    for problem in of_two:
        click.echo(f"  {problem}")
    if of_two or any(b.bundle == name and b.state != "complete" for b in found.bundles):
        click.echo(
            f"  → ask {received.manifest.reviewer} to put this right and to send the folder again; then "
            "`voxledger review receive FILE.zip`: what came now is kept beside it"
        )
        sys.exit(3)


@review.command()
@click.argument("reviewer")
@click.argument("case")
@click.argument("kind")
@click.option("--class", "class_name", default="", help="Empty where the finding is about the whole label map.")
@click.option("--reason", required=True, help="What you looked at; it is on record with your name.")
def confirm(reviewer: str, case: str, kind: str, class_name: str, reason: str) -> None:
    """Confirm that what looks wrong in REVIEWER's label of CASE is right, on record in data/confirmed.csv.

    KIND is what stands in brackets behind the finding. Only warnings can be confirmed, and another return has to be
    confirmed anew.

    \b
    Example:
      voxledger review confirm alice site-a_0007 emptied --class spleen --reason "splenectomy, see report"
    """
    from voxledger.release.confirm import confirm as put_on_record
    from voxledger.repository import require_root

    require_root()
    row = put_on_record(reviewer, case, kind, class_name, reason)
    click.echo(f"confirmed by {row.curator}: {kind}{f' of {class_name}' if class_name else ''} in case {case}")


@review.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Say for every reviewer what is decided, missing and wrong. Exit code 3 while people are waited for, 1 if refused.

    \b
    Example:
      voxledger review status --json
    """
    from voxledger.repository import require_root

    require_root()
    found = current_status()
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
    else:
        show(found)
    states = {bundle.state for bundle in found.bundles}
    if "refused" in states or found.problems:
        sys.exit(1)
    sys.exit(3 if states - {"complete"} or found.not_received else 0)


@review.command()
@click.option(
    "--reference",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of reference labels, <case>.nii.gz.",
)
@click.option("--reviewer", "reviewers", multiple=True, help="Whom to play; by default everybody.")
@click.option(
    "--reader",
    type=click.Choice(["reference", "attention", "clicks"]),
    default="reference",
    show_default=True,
    help="Looks at everything and corrects it from the reference; does so where attention points alone; or clicks on "
    "the answers of a model with `backend: clicks`.",
)
@click.option("--clicks", type=click.IntRange(1), default=3, show_default=True, help="Most a class and case.")
@click.option(
    "--dice",
    "bound",
    type=click.FloatRange(0, 1),
    help="Accepted from here.  [default: 0.9; of clicks 0.7, and what stays below is rejected]",
)
@click.option(
    "--reject-below",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Rejected if it is lower; not of the reader `clicks`.",
)
@click.option(
    "--sees-mm",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Errors that reach no farther are left, as nobody sees them; not of the reader `clicks`.",
)
@click.option("--bundles", type=click.Path(path_type=Path), default=layout.BUNDLES, show_default=True)
@click.option("--inbox", type=click.Path(path_type=Path), default=layout.INBOX, show_default=True)
def emulate(
    reference: Path,
    reviewers: tuple[str, ...],
    reader: str,
    clicks: int,
    bound: float | None,
    reject_below: float,
    sees_mm: float,
    bundles: Path,
    inbox: Path,
) -> None:
    """Play the reviewers from reference labels: accept what is good, correct the rest.

    The reader `reference` looks at everything; `attention` only where attention points: in its slices he judges a class
    and corrects the errors that it touches. What he misses stays in the labels, and `emulated.json` counts it.

    The reader `clicks` knows the reference, too, but does not draw: it clicks at the largest error of each class, sees
    the answer, and stops when a click no longer helps. Before, the model is measured on the calibration cases: unless
    three clicks raise its mean IoU by 0.05, nothing is read, and the exit code is 1 (`voxledger models gate`).

    Minutes of both who draw are assumptions: `evaluate.looking_minutes` a look at a class of a case, or the share of it
    that attention takes, and of `score.scratch_minutes` what was drawn, by added path length (Vaassen et al. 2020).

    \b
    Example:
      voxledger review emulate --reference ../reference/labels --reviewer reader-1
      voxledger review emulate --reference ../reference/labels --reader attention
      voxledger review emulate --reference ../reference/labels --reader clicks --clicks 3
    """
    from voxledger.bundles.pulled import require_pulled
    from voxledger.errors import Misuse
    from voxledger.params import read_params
    from voxledger.records.bundle import sent_bundles
    from voxledger.release.inbox import track_inbox
    from voxledger.repository import require_root
    from voxledger.review.emulate import emulate_bundle
    from voxledger.review.pack import find_bundle
    from voxledger.stage import require_scripts

    by_clicks = reader == "clicks"
    accept = bound if bound is not None else 0.7 if by_clicks else 0.9
    if reject_below > accept:
        raise Misuse(f"--reject-below {reject_below:g} is above --dice {accept:g}", "give a lower one")
    if by_clicks and (reject_below or sees_mm):
        raise Misuse("--reject-below and --sees-mm are not of the reader `clicks`", "give --dice alone")
    require_root()
    require_scripts()
    require_pulled(inbox)
    number = read_params().round
    folders = [find_bundle(bundles, r, number) for r in reviewers] if reviewers else list(sent_bundles(bundles, number))
    make = _clicking(clicks, accept) if by_clicks else _drawing(reader, accept, reject_below, sees_mm)
    for folder in folders:
        received = emulate_bundle(folder, reference, bundles, inbox, make())
        click.echo(f"{received.folder}: {'handed in' if received.new else 'handed in already'}{_noted(received)}")
        if inbox == layout.INBOX:
            _note_receipt(received)
    if folders:
        track_inbox()
    else:
        click.echo("no bundles in this round")


def _noted(received: Received) -> str:
    """What a reader who draws noted of a return."""
    from voxledger.records.emulated import read_emulated

    noted = read_emulated(received.folder)
    return f": {noted}" if noted is not None else ""


def _drawing(reader: str, bound: float, reject_below: float, sees_mm: float) -> Callable[[], Reader]:
    """How to make readers that draw."""
    from voxledger.params import read_params
    from voxledger.records.emulated import Looks
    from voxledger.review.by_reference import ByReference

    looks = Looks.ATTENTION if reader == "attention" else Looks.EVERYWHERE
    return partial(ByReference, bound, reject_below, looks, sees_mm, read_params())


def _clicking(most: int, bound: float) -> Callable[[], Reader]:
    """How to make readers that click, once that is known to help."""
    from voxledger.params import read_params
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.review.click_gate import measure_gate, require_gate
    from voxledger.review.clicks import ByClicks, interactive_model
    from voxledger.schema import read_schema

    params = read_params()
    model = interactive_model(layout.BASE_MODELS, read_schema(layout.SCHEMA))
    gate = measure_gate(model, read_cases(), read_ledger(layout.BASE_LEDGER), params)
    require_gate(model, gate)
    click.echo(f"model {model.card.name}: {gate}")
    return partial(ByClicks, model, gate, most, bound, params.machine.device)


def bundle_of(reviewer: str) -> Path:
    """The exported folder of a reviewer in this round, which nobody has touched."""
    from voxledger.bundles.untouched import require_untouched
    from voxledger.params import read_params
    from voxledger.repository import require_root
    from voxledger.review.pack import find_bundle
    from voxledger.stage import require_scripts

    require_root()
    require_scripts()
    for place in (layout.BUNDLES, layout.ADJUDICATION):
        require_untouched(place, every_byte=True)
    return find_bundle(layout.BUNDLES, reviewer, read_params().round)


def freeze() -> None:
    """Commit that the bundles of this round go out."""
    from voxledger.params import read_params
    from voxledger.records.bundle import sent_bundles
    from voxledger.release.send import send_out

    send_out({f.name: m.id for f, m in sent_bundles(layout.BUNDLES, read_params().round).items()})


def is_closed(params: Params) -> bool:
    """Whether the round is closed: nothing counts in it any more, and the next one has no bundles yet."""
    from voxledger.repository import round_tag, tag_exists

    return tag_exists(round_tag(params.round))


def take_in(
    source: Path, *, replace: bool = False, resample: bool = False, sender: str | None = None, quiet: bool = False
) -> Received:
    """Take a return into the inbox and put it under version control; a late one is kept, and no more."""
    from voxledger.bundles.pulled import require_pulled
    from voxledger.params import read_params
    from voxledger.records.sent import went_out
    from voxledger.release.inbox import track_inbox
    from voxledger.review.receive import receive as take

    require_pulled(layout.INBOX)
    params = read_params()
    received = take(
        source,
        layout.BUNDLES,
        layout.INBOX,
        params.round + is_closed(params),
        replace=replace,
        resample=resample,
        outside=params.review.outside,
        went_out=went_out,
        cut=partial(_without_withdrawn, quiet=quiet),
        sender=sender,
    )
    if received.late:
        return received
    if not quiet:
        _tell(received)
        if received.left_out and not (source.is_dir() and source.resolve().parent == layout.INBOX.resolve()):
            click.echo(
                f"left out: {', '.join(received.left_out[:5])}: voxledger itself gives these names; if one is "
                "somebody's work, give it another name and receive the return again"
            )
    track_inbox()
    _note_receipt(received)
    return received


def _without_withdrawn(folder: Path, sent: Manifest, quiet: bool) -> Manifest:
    """Leave in a late return, before it is kept, what is of cases that were not withdrawn since.

    Also in those that were kept while this clone did not know of the withdrawal.
    """
    from voxledger.errors import BundleRefused
    from voxledger.params import read_params
    from voxledger.records.cases import read_cases
    from voxledger.records.withdrawn import withdrawn_among
    from voxledger.release.cut_returns import cut_late, cut_where_it_lies

    missing = set(sent.cases) - {c.case_id for c in read_cases()}
    gone = withdrawn_among(missing, read_params().dataset)
    if not gone:
        return sent
    cut_late(layout.LATE, gone)
    if gone == {*sent.cases}:
        raise BundleRefused(
            f"all cases of {sent.name} were withdrawn since it went out; nothing of it is kept",
            "delete what came, and tell who sent it",
        )
    if not quiet:
        click.echo(f"{len(gone)} of its cases were withdrawn since it went out: what is theirs is not kept")
    return cut_where_it_lies(folder, gone)


def _tell(received: Received) -> None:
    """Say where a return lies, and what lies beside it."""
    from voxledger.bundles.inbox import untracked

    if received.new:
        click.echo(f"received as {received.folder}")
    elif received.folder in untracked(layout.INBOX):
        click.echo(
            f"{received.folder} has been received already, with the same content, but was not under DVC: now it is"
        )
    else:
        click.echo(f"{received.folder} has been received already, with the same content: nothing to do")
    if received.part is not None:
        click.echo(f"it counts together with the return before, and is kept as it came as {received.part}")
    if received.replaced is not None:
        click.echo(f"the return before it is kept as {received.replaced}")


def _late(received: Received, params: Params, carry: bool) -> None:
    """Say what becomes of a return of a closed round, and end."""
    from voxledger.records.bundle import RESAMPLE
    from voxledger.release.inbox import track_inbox
    from voxledger.review.carry import carry as take_over

    name, folder = received.manifest.name, received.folder
    was = "" if received.new else "it was "
    of = f"of round {received.manifest.round}, which is closed"
    if received.manifest.round == params.round and not is_closed(params):
        of = "a return of the adjudicator's bundle as it was before readers sent something new"
    click.echo(f"{name} is {of}: {was}kept as late, {folder}")
    if not carry:
        resample = " --resample" if (folder / RESAMPLE).is_file() else ""
        command = f"`voxledger review receive {folder}{resample} --carry`"
        click.echo(f"  → once bundles of the open round are out, {command} takes over what still fits")
        sys.exit(3)
    found = take_over(folder, layout.BUNDLES, layout.INBOX, params.round, params.review.outside)
    for case, class_name in found.taken:
        click.echo(f"  taken over: case {case}, class {class_name}")
    for left in found.left:
        click.echo(f"  left for a person: {left}")
    if found.received is not None:
        track_inbox()
        _note_receipt(found.received)
        show(current_status(), received.manifest.reviewer)
    sys.exit(3 if found.left or found.received is None else 0)


def _note_receipt(received: Received) -> None:
    from voxledger.release.times import note_receipt

    note_receipt(received.folder.name, received.sha256)


def current_status() -> InboxStatus:
    """Where the bundles of this round stand."""
    from voxledger.bundles.context import read_context
    from voxledger.params import read_params
    from voxledger.review.status import status as look

    params = read_params()
    return look(layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round, read_context(params.review))


def show(found: InboxStatus, reviewer: str | None = None) -> None:
    """Print where the bundles stand, all or those of one reviewer."""
    for bundle in found.bundles:
        if reviewer in (None, bundle.reviewer):
            by = f", signed with {', '.join({s.key: s for s in bundle.signatures})}" if bundle.signatures else ""
            click.echo(
                f"{bundle.bundle}: {bundle.state}, {bundle.decided} of {bundle.asked} decisions on {bundle.cases} "
                f"cases{by}"
            )
            for finding in (*bundle.problems, *bundle.missing, *bundle.notes):
                click.echo(f"  {finding}")
    if reviewer is None:
        for finding in (*found.problems, *found.not_received):
            click.echo(str(finding))
        if not found.bundles:
            click.echo("no bundles in this round")


def _add_commands() -> None:
    from voxledger.cli.exchange import fetch, send

    review.add_command(send)
    review.add_command(fetch)


_add_commands()
