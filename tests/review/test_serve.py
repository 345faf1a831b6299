"""`voxledger review serve`: only this machine, only with the token, only the files of the bundle."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from voxledger.errors import Misuse
from voxledger.loopback import TOKEN
from voxledger.page import page
from voxledger.review.serve import Server


@pytest.fixture
def server(repo: Any) -> Iterator[Server]:
    repo.export(("case_1", "liver", "alice"))
    folder = repo.bundle("alice")
    (folder / "secret.txt").write_text("not of the bundle")
    (folder.parent / "outside.txt").write_text("outside")
    found = Server(folder)
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def ask(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, token: bool = True, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    sent = {TOKEN: server.token} if token else {}
    connection.request(method, path, body, sent | {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


READ: list[tuple[str, dict[str, Any], int]] = [
    ("/files/bundle.json", {}, 200),
    ("/files/images/case_1.nii.gz", {}, 200),
    ("/review.html", {"token": False}, 200),
    ("/files/bundle.json", {"token": False}, 401),
    ("/files/bundle.json", {"token": False, TOKEN: "wrong"}, 401),
    ("/files/bundle.json", {"token": False, TOKEN: "ä"}, 401),
    ("/files/bundle.json", {"Host": "evil.example"}, 421),
    ("/files/bundle.json", {"Host": "localhost:9999"}, 200),
    ("/files/bundle.json", {"Host": "[::1]:9999"}, 200),
    ("/files/bundle.json", {"Host": "127.0.0.1.evil.example"}, 421),
    ("/files/bundle.json", {"Host": ""}, 421),
    ("/review.html", {"Host": "evil.example"}, 421),
    ("/files/bundle.json", {"Origin": "https://evil.example"}, 403),
    ("/files/bundle.json", {"Origin": "null"}, 403),
    ("/files/bundle.json", {"Origin": "http://localhost:8000"}, 200),
    ("/files/secret.txt", {}, 404),
    ("/files/../outside.txt", {}, 404),
    ("/files/%2e%2e/outside.txt", {}, 404),
    ("/files/labels/../../outside.txt", {}, 404),
    ("/files//etc/passwd", {}, 404),
    ("/files/labels", {}, 404),
    ("/files/labels/case_2.nii.gz", {}, 404),
    ("/files/return.sha256", {}, 204),
    ("/files/clicks.json", {}, 204),
    ("/files/clicks.json", {"token": False}, 401),
    ("/model", {}, 200),
    ("/model", {"token": False}, 401),
    ("/other", {}, 404),
]
WRITTEN: list[tuple[str, dict[str, Any], int]] = [
    ("/files/decisions.csv", {}, 204),
    ("/files/labels/case_1.nii.gz", {}, 204),
    ("/files/return.sha256.sig", {}, 204),
    ("/files/clicks.json", {}, 204),
    ("/files/decisions.csv", {"token": False}, 401),
    ("/files/decisions.csv", {"Origin": "https://evil.example"}, 403),
    ("/files/bundle.json", {}, 403),
    ("/files/images/case_1.nii.gz", {}, 403),
    ("/files/labels/other.nii.gz", {}, 404),
    ("/files/../outside.txt", {}, 404),
    ("/files/decisions.csv", {"Content_Length": str(1 << 40)}, 413),
    ("/files/decisions.csv", {"Content_Length": "-1"}, 411),
]


def test_who_gets_what(server: Server) -> None:
    for path, asked, status in READ:
        found, content = ask(server, path, **asked)
        assert found == status, (path, asked)
        if path == "/files/bundle.json" and status == 200:
            assert content == (server.folder / "bundle.json").read_bytes()


def test_what_may_be_written(server: Server) -> None:
    def all_files() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in server.folder.parent.rglob("*") if p.is_file()}

    for path, asked, status in WRITTEN:
        before = all_files()
        assert ask(server, path, "PUT", b"new", **asked)[0] == status, (path, asked)
        if status == 204:
            before[server.folder / path.removeprefix("/files/")] = b"new"
        assert all_files() == before, (path, asked)


REMOVED: list[tuple[str, dict[str, Any], int]] = [
    ("/files/return.sha256", {}, 204),
    ("/files/return.sha256.sig", {}, 204),
    ("/files/return.sha256.sig", {"token": False}, 401),
    ("/files/return.sha256.sig", {"Origin": "https://evil.example"}, 403),
    ("/files/decisions.csv", {}, 403),
    ("/files/labels/case_1.nii.gz", {}, 403),
    ("/files/bundle.json", {}, 403),
    ("/files/secret.txt", {}, 404),
    ("/files/../outside.txt", {}, 404),
]


def test_only_signatures_may_be_removed(server: Server) -> None:
    for path, asked, status in REMOVED:
        (server.folder / "return.sha256").write_text("list")
        (server.folder / "return.sha256.sig").write_text("signature")
        before = {p for p in server.folder.parent.rglob("*") if p.is_file()}
        assert ask(server, path, "DELETE", **asked)[0] == status, (path, asked)
        gone = {server.folder / path.removeprefix("/files/")} if status == 204 else set()
        assert before - {p for p in server.folder.parent.rglob("*") if p.is_file()} == gone
    (server.folder / "return.sha256").unlink()
    assert ask(server, "/files/return.sha256", "DELETE")[0] == 204


def test_a_link_out_of_the_bundle_is_not_followed(server: Server) -> None:
    label = server.folder / "labels/case_1.nii.gz"
    label.unlink()
    label.symlink_to(server.folder.parent / "outside.txt")
    assert ask(server, "/files/labels/case_1.nii.gz")[0] == 404


def test_what_is_cut_off_is_not_written(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest("PUT", "/files/decisions.csv")
    connection.putheader(TOKEN, server.token)
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"half")
    before = (server.folder / "decisions.csv").read_bytes()
    connection.sock.shutdown(1)
    assert connection.getresponse().status == 400
    assert (server.folder / "decisions.csv").read_bytes() == before
    assert not list(server.folder.glob(".*"))


def test_no_bundle_and_a_taken_port_are_misuse(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"holds no bundle\.json"):
        Server(tmp_path)
    with pytest.raises(Misuse, match="cannot be listened to"):
        Server(server.folder, server.server_port)


def test_the_command_prints_the_link_and_ends_with_ctrl_c(repo: Any) -> None:
    repo.export(("case_1", "liver", "alice"))
    command = [sys.executable, "-m", "voxledger", "review", "serve", str(repo.bundle("alice"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"open (http://127\.0\.0\.1:(\d+)/review\.html)#token=([\w-]{40,})\n", said)
        assert address, said
        with urlopen(address[1], timeout=30) as answer:
            assert answer.read() == page()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def _heeds_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
