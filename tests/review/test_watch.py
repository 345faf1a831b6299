"""`voxledger round watch`: who is answered, and that nothing of a name becomes markup; the page itself: tests/page."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator

import pytest

from voxledger.bundles.finding import Finding
from voxledger.errors import VoxledgerError
from voxledger.loopback import TOKEN
from voxledger.records.ledger import Signature
from voxledger.records.worklist import WorkItem
from voxledger.review.status import BundleStatus, InboxStatus, State
from voxledger.review.watch import Watch, Watched, render

EVIL = "<img src=x onerror=alert(1)>&'\""
FOUND = Finding(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)
SIGNED = (Signature(EVIL, "2026-03-01T12:30:00+00:00"),)
BACK = BundleStatus(EVIL, EVIL, State.INCOMPLETE, 2, 3, 1, 2.5, (FOUND,), (FOUND,), (FOUND,), SIGNED)
AWAY = BundleStatus("bob", "bundle-r01-bob", State.AWAY, 1, 2, 0, None, (), (), ())
WATCHED = Watched(
    EVIL,
    [(EVIL, EVIL)],
    InboxStatus((BACK, AWAY), (FOUND,), (FOUND,)),
    "2026-03-01T12:30:00+00:00",
    {EVIL: "2026-03-02T08:05:59+00:00"},
    [WorkItem(1, EVIL, EVIL, 1.26, 2.0, EVIL, EVIL, 3.0)],
    "<figure>picture</figure>",
    "<title>report</title>",
)


def test_what_stands_in_names_and_findings_is_text() -> None:
    shown = render(WATCHED)
    assert "<img" not in shown
    tags = {tag.strip("/").split()[0] for tag in re.findall(r"<([^>]*)>", shown)}
    assert tags == {"h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "figure"}
    text = re.sub(r"<[^>]*>", " ", shown)
    assert "2 bundles, 1 back; 1 of 5 decisions." in text
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", shown)]
    assert rows[0][2:8] == ["incomplete", "1 of 3", "2", "2.5", "2026-03-01 12:30 UTC", "2026-03-02 08:05 UTC"]
    assert rows[1] == ["bob", "bundle-r01-bob", "away", "0 of 2", "1", "–", "2026-03-01 12:30 UTC", "–", ""]
    assert [row[0] for row in rows[2:7]] == ["wrong", "wrong", "missing", "missing", "note"]
    assert rows[7][4] == "1.3"


@pytest.fixture
def seen() -> list[Watched | VoxledgerError]:
    """What is there to see, in its order; the last for good."""
    return [VoxledgerError("no <b>params</b>", "restore it"), WATCHED]


@pytest.fixture
def watch(seen: list[Watched | VoxledgerError]) -> Iterator[Watch]:
    def look() -> Watched:
        found = seen.pop(0) if len(seen) > 1 else seen[0]
        if isinstance(found, VoxledgerError):
            raise found
        return found

    server = Watch(look)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(watch: Watch, path: str, method: str = "GET", token: bool = True, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", watch.server_port, timeout=10)
    connection.request(method, path, headers=({TOKEN: watch.token} if token else {}) | headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_who_is_answered(watch: Watch) -> None:
    for path, method, asked, status in (
        ("/watch.html", "GET", {"token": False}, 200),
        ("/", "GET", {"token": False}, 200),
        ("/", "GET", {"Host": "evil.example"}, 421),
        ("/round", "GET", {}, 200),
        ("/round", "GET", {"token": False}, 401),
        ("/report", "GET", {"token": False}, 401),
        ("/round", "GET", {"Origin": "https://evil.example"}, 403),
        ("/round", "GET", {"Host": "127.0.0.1.evil.example"}, 421),
        ("/params.yaml", "GET", {}, 404),
        ("/round/../params.yaml", "GET", {}, 404),
        ("/files/bundle.json", "GET", {}, 404),
        ("/round", "POST", {}, 501),
        ("/round", "PUT", {}, 501),
        ("/round", "DELETE", {}, 501),
    ):
        assert ask(watch, path, method, **asked)[0] == status, (path, method, asked)


def test_what_cannot_be_read_is_said_until_it_can(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    status, content = ask(watch, "/round")
    assert status == 200
    assert "no &lt;b&gt;params&lt;/b&gt;" in content
    assert "restore it" in content
    assert ask(watch, "/report") == (204, "")
    assert ask(watch, "/round")[1] == content, "one look is shown for some seconds"
    monkeypatch.setattr("voxledger.review.watch._FRESH_S", 0.0)
    assert ask(watch, "/round")[1] == render(WATCHED)
    assert ask(watch, "/report") == (200, WATCHED.report)


def test_the_page_asks_nobody_else(watch: Watch) -> None:
    page = ask(watch, "/watch.html")[1]
    assert not re.search(r"https?://|<link(?! rel=\"icon\" href=\"data:,\")|<script src|@import|url\(|%[A-Z]+%", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
