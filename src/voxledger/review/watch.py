"""`voxledger round watch`: where a round stands, for a curator to look at in the browser of this machine.

Nothing can be written through it: it answers GET alone, and gives out this page and no file.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from voxledger.bundles.finding import Finding
from voxledger.errors import VoxledgerError
from voxledger.html import table
from voxledger.loopback import HTML, LoopbackHandler, LoopbackServer
from voxledger.records.worklist import WorkItem
from voxledger.review.status import BundleStatus, InboxStatus

PAGE, ROUND, REPORT = "watch.html", "/round", "/report"
_FRESH_S = 5.0
"""So long one look is shown to whoever asks."""


@dataclass(frozen=True)
class Watched:
    """What there is to see of a round."""

    title: str
    lines: Sequence[tuple[str, str]]
    """What stands above all: names and texts."""
    inbox: InboxStatus
    sent: str
    """When bundles went out, in UTC; empty where they did not."""
    received: Mapping[str, str]
    """When the last return of a bundle came, in UTC, by its name."""
    worklist: Sequence[WorkItem]
    pictures: str
    """HTML fragment of the stage `score`, put into the page as it is."""
    report: str
    """HTML of the last report of a round; empty where there is none."""


class Watch(LoopbackServer):
    """Serves the page; `look` is asked for what is shown."""

    def __init__(self, look: Callable[[], Watched], port: int = 0) -> None:
        """Listen, by default on a port that is free.

        Raises
        ------
        Misuse
            The port is taken.
        """
        self._look, self._alone = look, Lock()
        self._seen, self._at = ("", ""), float("-inf")
        super().__init__(_Handler, PAGE, port)

    def seen(self) -> tuple[str, str]:
        """The round and the report as HTML, as they are now; what cannot be read is said in place of it."""
        with self._alone:
            if time.monotonic() - self._at > _FRESH_S:
                try:
                    watched = self._look()
                    self._seen = render(watched), watched.report
                except VoxledgerError as error:
                    self._seen = _problem(error.problem, error.remedy), ""
                except OSError as error:  # such as a file that a stage removes just now
                    self._seen = _problem(str(error), "if a stage is running, this goes by itself"), ""
                self._at = time.monotonic()
            return self._seen


class _Handler(LoopbackHandler):
    server: Watch

    def do_GET(self) -> None:
        if not self.is_from_here():
            return
        path = urlsplit(self.path).path
        if path in ("/", f"/{PAGE}"):
            self.answer(HTTPStatus.OK, _page(), HTML)
            return
        if not self.has_token():
            return
        if path not in (ROUND, REPORT):
            self.refuse(HTTPStatus.NOT_FOUND)
            return
        content = self.server.seen()[path == REPORT].encode()
        self.answer(HTTPStatus.OK if content else HTTPStatus.NO_CONTENT, content, HTML if content else "")


def _page() -> bytes:
    here = Path(__file__).parent
    script = (here / "watch.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Styles of the report hold in its frame, too; scripts do not.
    csp = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return (here / PAGE).read_text("utf-8").replace("%CSP%", csp).replace("%SCRIPT%", script).encode()


def render(watched: Watched) -> str:
    """What the page shows of a round, as HTML; all but the pictures is escaped."""
    found = watched.inbox
    return "\n".join(
        [
            f"<h1>{escape(watched.title)}</h1>",
            *(f"<p><strong>{escape(name)}</strong> {escape(text)}</p>" for name, text in watched.lines),
            "<h2>Reviewers</h2>",
            _reviewers(watched) if found.bundles else "<p>No bundles in this round.</p>",
            *_findings(found),
            "<h2>Worklist</h2>",
            _worklist(watched.worklist) if watched.worklist else "<p>No worklist in this round.</p>",
            watched.pictures,
        ]
    )


def _reviewers(watched: Watched) -> str:
    head = ["Reviewer", "Bundle", "State", "Decided", "Cases", "Minutes", "Out since", "Came back", "Signed with"]
    rows = [
        [
            one.reviewer,
            one.bundle,
            one.state.value,
            f"{one.decided} of {one.asked}",
            str(one.cases),
            _minutes(one),
            _at(watched.sent),
            _at(watched.received.get(one.bundle, "")),
            ", ".join(sorted({s.key for s in one.signatures})),
        ]
        for one in watched.inbox.bundles
    ]
    back = sum(one.decided > 0 for one in watched.inbox.bundles)
    decided, asked = (sum(getattr(one, what) for one in watched.inbox.bundles) for what in ("decided", "asked"))
    said = f"{len(rows)} bundles, {back} back; {decided} of {asked} decisions."
    return f"<p>{said}</p>\n{table(head, rows)}"


def _minutes(one: BundleStatus) -> str:
    assumed = " (assumed)" if one.emulated else ""
    return "–" if one.minutes is None else f"{one.minutes:.1f}{assumed}"


def _at(utc: str) -> str:
    """A time in UTC, to the minute."""
    return f"{utc[:16].replace('T', ' ')} UTC" if utc else "–"


def _findings(found: InboxStatus) -> list[str]:
    """What is wrong, missing, or worth saying, the worst first."""
    kinds = (
        ("wrong", [*found.problems, *(f for one in found.bundles for f in one.problems)]),
        ("missing", [*found.not_received, *(f for one in found.bundles for f in one.missing)]),
        ("note", [f for one in found.bundles for f in one.notes]),
    )
    rows = [[kind, *_finding(one)] for kind, findings in kinds for one in findings]
    return [
        "<h2>Findings</h2>",
        table(["", "Bundle", "Case", "Class", "What", "What to do"], rows) if rows else "<p>None.</p>",
    ]


def _finding(one: Finding) -> list[str]:
    what = f"{f'{one.file}: ' if one.file else ''}{one.problem}{f' [{one.kind}]' if one.kind else ''}"
    return [one.bundle, one.case_id, one.class_name, what, one.remedy]


def _worklist(items: Sequence[WorkItem]) -> str:
    head = ["Rank", "Case", "Class", "Reviewer", "Attention (ml)", "Why"]
    return table(
        head,
        [[str(i.rank), i.case_id, i.class_name, i.reviewer, f"{i.attention_ml:.1f}", i.reason] for i in items],
    )


def _problem(problem: str, remedy: str) -> str:
    return (
        f'<h1>voxledger round</h1>\n<p class="problem">{escape(problem)}</p>\n<p class="remedy">→ {escape(remedy)}</p>'
    )
