"""Serving one bundle to the browser of this machine, for those whose browser may not open files.

Only this machine is listened to; a tunnel (`ssh -L`) may lead here. Files go to whoever has the token, which stands in
the part of the address that browsers send to nobody. Other sites that a browser has open are kept out by the names of
host and origin: names, since a tunnel has another port.
"""

from __future__ import annotations

import hmac
import os
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from voxledger.errors import BundleRefused, Misuse
from voxledger.page import NAME as PAGE
from voxledger.page import page
from voxledger.records.bundle import (
    LABELS,
    MANIFEST,
    SIGNATURE,
    SIGNED,
    Manifest,
    is_plain,
    is_safe,
    read_manifest,
    size_bound,
)
from voxledger.records.decisions import FILE as DECISIONS

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost", "::1")
"""What this machine may be called in an address."""
TOKEN = "X-Voxledger-Token"
FILES = "/files/"
_CHUNK = 1 << 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server(ThreadingHTTPServer):
    """Serves the page and one bundle; `serve_forever` until `shutdown`."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Listen on a port of this machine, by default one that is free.

        Raises
        ------
        Misuse
            The folder is no bundle, or the port is taken.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise Misuse(f"{folder} holds no {MANIFEST}", "give the folder of a bundle, unpacked")
        try:
            self.manifest: Manifest = read_manifest(file.read_bytes(), str(file))
        except BundleRefused as error:
            raise Misuse(error.problem, error.remedy) from None
        self.folder, self.token = folder.resolve(), secrets.token_urlsafe(32)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise Misuse(f"port {port} cannot be listened to: {error}", "give another one, or none") from None

    @property
    def address(self) -> str:
        """What to open; it holds the token."""
        return f"http://{LOOPBACK}:{self.server_port}/{PAGE}#token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is none."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "voxledger", ""
    timeout = 60

    def do_GET(self) -> None:
        if not self._is_from_here():
            return
        path = urlsplit(self.path).path
        if path in ("/", f"/{PAGE}"):
            self._answer(HTTPStatus.OK, page(), "text/html; charset=utf-8")
            return
        file = self._file(path)
        if file is None:
            return
        if not is_plain(file):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with open(file, "rb") as stream:
            self._head(HTTPStatus.OK, os.fstat(stream.fileno()).st_size, "application/octet-stream")
            while block := stream.read(_CHUNK):
                self.wfile.write(block)

    def do_PUT(self) -> None:
        self.close_connection = True  # what is refused is not read
        if not self._is_from_here() or (file := self._file(urlsplit(self.path).path)) is None:
            return
        name = file.relative_to(self.server.folder).as_posix()
        if name not in self._written():
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif int(size) > size_bound(self.server.manifest, name):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._write(file, int(size))

    def do_DELETE(self) -> None:
        """Remove a signature, which is of what lay there before; nothing else."""
        self.close_connection = True
        if not self._is_from_here() or (file := self._file(urlsplit(self.path).path)) is None:
            return
        if file.relative_to(self.server.folder).as_posix() not in (SIGNED, SIGNATURE):
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        file.unlink(missing_ok=True)
        self._answer(HTTPStatus.NO_CONTENT, b"", "")

    def _write(self, file: Path, size: int) -> None:
        """Put what comes in the place of a file, whole or not at all."""
        partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            file.parent.mkdir(exist_ok=True)
            with open(partial, "xb") as sink:
                while size > 0 and (block := self.rfile.read(min(size, _CHUNK))):
                    sink.write(block)
                    size -= len(block)
            if size == 0:
                os.replace(partial, file)
        except OSError:
            status = HTTPStatus.INSUFFICIENT_STORAGE
        else:
            status = HTTPStatus.NO_CONTENT if size == 0 else HTTPStatus.BAD_REQUEST
        finally:
            partial.unlink(missing_ok=True)
        self._answer(status, b"", "")

    def _written(self) -> set[str]:
        """What the page may write."""
        labels = {f"{LABELS}/{case}.nii.gz" for case in self.server.manifest.cases}
        return {DECISIONS, SIGNED, SIGNATURE} | labels

    def _is_from_here(self) -> bool:
        """Whether a request names this machine as its host, and comes from no other page; else it is refused."""
        if _host_of(f"//{self.headers.get('Host', '')}") not in NAMES:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return False
        origin = self.headers.get("Origin")
        if origin is not None and _host_of(origin) not in NAMES:
            self._refuse(HTTPStatus.FORBIDDEN)
            return False
        return True

    def _file(self, path: str) -> Path | None:
        """The file of the bundle that a request with the token names; else it is refused."""
        if not hmac.compare_digest(self.headers.get(TOKEN, "").encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.UNAUTHORIZED)
            return None
        name = unquote(path.removeprefix(FILES))
        folder = self.server.folder
        known = name == MANIFEST or name in self.server.manifest.files or name in self._written()
        if not path.startswith(FILES) or not is_safe(name) or not known:
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        if not (folder / name).parent.resolve().is_relative_to(folder):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        return folder / name

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._answer(status, f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._head(status, len(content), kind)
        self.wfile.write(content)

    def _head(self, status: HTTPStatus, size: int, kind: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: addresses of files name cases."""


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
