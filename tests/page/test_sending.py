"""The return goes from the page to an S3 server, by the link that came with the bundle, and nowhere else."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from in_page import opened, pressed, saved, taken
from servers import S3, as_reviewer, s3_server

from voxledger.page import page as built
from voxledger.records.bundle import LINK
from voxledger.records.decisions import read_decisions
from voxledger.review.carrier import Where, connect
from voxledger.review.carriers.s3 import takes_from_pages

OURS = b"connect-src 'self'"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


class Stranger(ThreadingHTTPServer):
    """A server of somebody else, which takes everything from everybody and says what it was sent."""

    allows: dict[str, str]
    got: list[str]


class _Takes(BaseHTTPRequestHandler):
    server: Stranger

    def do_OPTIONS(self) -> None:
        self._answer(200)

    def do_PUT(self) -> None:
        self.server.got.append(self.path)
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        for name, value in self.server.allows.items():
            self.send_header(f"Access-Control-Allow-{name}", value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    server = Stranger(("127.0.0.1", 0), _Takes)
    server.allows, server.got = {"Origin": "*", "Methods": "PUT", "Headers": "if-none-match"}, []
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("change", "takes"),
    [
        ({}, True),
        ({"Origin": "null", "Methods": "GET, PUT", "Headers": "*"}, True),
        ({"Origin": "https://elsewhere.example"}, False),
        ({"Methods": "GET"}, False),
        ({"Headers": "content-type"}, False),
    ],
)
def test_a_server_is_asked_as_a_browser_asks_it(stranger: Stranger, change: dict[str, str], takes: bool) -> None:
    stranger.allows |= change
    assert takes_from_pages(f"http://127.0.0.1:{stranger.server_port}/x") is takes


def test_a_server_that_is_not_there_takes_nothing(stranger: Stranger) -> None:
    stranger.allows.clear()
    assert not takes_from_pages(f"http://127.0.0.1:{stranger.server_port}/x")
    assert not takes_from_pages("http://127.0.0.1:1/x")


def as_sent(repo: Any, s3: S3, folder: Path) -> tuple[Any, Path]:
    """A bundle as its reviewer gets it by S3, unpacked."""
    keys = {"access_key_id": "curator", "secret_access_key": "curators-secret", "endpointurl": s3.endpoint}
    where = Where("hospital", f"s3://drop/{folder.name}", keys)
    folder.mkdir(exist_ok=True)
    with connect(where) as connection:
        lines = connection.send(repo.bundle("alice"), "alice")
    assert lines.by_page
    as_reviewer(lines.get, folder)
    zipfile.ZipFile(folder / "bundle-r01-alice.zip").extractall(folder)
    return where, folder / "bundle-r01-alice"


@pytest.mark.slow
@pytest.mark.parametrize("browser", ["page", "firefox_page"])
def test_a_return_is_sent_once_and_received(
    repo: Any, s3: S3, tmp_path: Path, browser: str, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(browser)
    repo.export(("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    where, folder = as_sent(repo, s3, tmp_path / browser)
    assert (folder / "review.html").read_bytes() == built().replace(OURS, OURS + f" {s3.endpoint}".encode())
    opened(page, folder, "case_1 liver", folder.parent / "bundle-r01-alice.zip")
    pressed(page, ("a", "case_2 liver"), ("x", "case_2 liver"), ("s", "case_2 liver"))
    page.wait_for_selector("#result-dialog[open]")
    assert page.inner_text("#send") == f"Send it to {s3.endpoint.removeprefix('http://')}"
    page.click("#send")
    page.locator("#result-done", has_text="It has arrived").wait_for()
    with connect(where) as connection:
        (upload,) = connection.uploads("alice")
        (tmp_path / "fetched.zip").write_bytes(b"".join(connection.read("alice", upload, 0)))
    found = taken(tmp_path / "fetched.zip", repo)
    rows = read_decisions(found.folder / "decisions.csv").rows
    assert [rows[case, "liver"].decision for case in ("case_1", "case_2")] == ["accept", "reject"]
    assert sorted(p.name for p in found.folder.iterdir()) == ["bundle.json", "decisions.csv"]
    # The folder itself may go back as well, with the page that it came with; the link is kept nowhere.
    again = taken(folder, repo)
    assert not again.folder.joinpath(LINK).exists()
    assert not (again.part or again.folder).joinpath(LINK).exists()


@pytest.mark.slow
def test_what_does_not_arrive_is_said_and_can_be_saved(
    repo: Any, s3: S3, chromium: Any, tmp_path: Path, stranger: Stranger
) -> None:
    """Sent before; a link to a server that the page may not send to; and one that does not answer."""
    repo.export(("case_1", "liver", "alice"))
    where, folder = as_sent(repo, s3, tmp_path / "sent")
    context = chromium.new_context(locale="en-GB")
    page = context.new_page()
    opened(page, folder, "case_1 liver")
    pressed(page, ("a", "case_1 liver"), ("s", "case_1 liver"))
    page.click("#send")
    page.locator("#result-done", has_text="It has arrived").wait_for()
    page.click("#send")
    page.locator("#result-done", has_text="was sent by this link before").wait_for()
    saved(page, tmp_path / "return.zip")
    assert zipfile.ZipFile(tmp_path / "return.zip").testzip() is None
    put = json.loads((folder / LINK).read_text())["put"]
    for link, said in (
        (f"http://127.0.0.1:{stranger.server_port}/x", "It did not arrive"),
        (put.replace("X-Amz-Signature=", "X-Amz-Signature=0"), "has expired"),
    ):
        (folder / LINK).write_text(json.dumps({"put": link}))
        page.close()
        page = context.new_page()
        opened(page, folder, "case_1 liver")
        page.keyboard.press("s")
        page.click("#send")
        page.locator("#result-done", has_text=said).wait_for()
        assert "Save" in page.inner_text("#save-zip")
    assert stranger.got == []
    with connect(where) as connection:
        assert len(connection.uploads("alice")) == 1
    context.close()


def test_a_bundle_for_a_server_that_takes_nothing_from_pages_is_as_it_was_exported(
    repo: Any, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voxledger.review.carriers import s3 as carrier

    repo.export(("case_1", "liver", "alice"))
    monkeypatch.setattr(carrier, "takes_from_pages", lambda link: False)
    keys = {"access_key_id": "curator", "secret_access_key": "curators-secret", "endpointurl": s3.endpoint}
    with connect(Where("hospital", f"s3://drop/{tmp_path.name}", keys)) as connection:
        lines = connection.send(repo.bundle("alice"), "alice")
    assert not lines.by_page
    as_reviewer(lines.get, tmp_path)
    with zipfile.ZipFile(tmp_path / "bundle-r01-alice.zip") as archive:
        assert archive.read("bundle-r01-alice/review.html") == built()
        assert f"bundle-r01-alice/{LINK}" not in archive.namelist()
