"""What every page that is served to the browser of this machine has in common: who is answered, and with which headers.

Only this machine is listened to; a tunnel (`ssh -L`) may lead here. Whoever has the token is answered; it stands in the
part of the address that browsers send to nobody. Other sites that a browser has open are kept out by the names of host
and origin: names, since a tunnel has another port.
"""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from voxledger.errors import Misuse

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost", "::1")
"""What this machine may be called in an address."""
TOKEN = "X-Voxledger-Token"
HTML, JSON, TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a port of this machine; `serve_forever` until `shutdown`."""

    daemon_threads = True

    def __init__(self, handler: type[LoopbackHandler], page: str, port: int = 0) -> None:
        """Listen, by default on a port that is free; `page` is the path of what a person opens.

        Raises
        ------
        Misuse
            The port is taken.
        """
        self.page, self.token = page, secrets.token_urlsafe(32)
        try:
            super().__init__((LOOPBACK, port), handler)
        except (OSError, OverflowError) as error:
            raise Misuse(f"port {port} cannot be listened to: {error}", "give another one, or none") from None

    @property
    def address(self) -> str:
        """What to open; it holds the token."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.page}#token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is none."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers one connection; what a server gives out its own handler says."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "voxledger", ""
    timeout = 60

    def is_from_here(self) -> bool:
        """Whether a request names this machine as its host, and comes from no other page; else it is refused."""
        if _host_of(f"//{self.headers.get('Host', '')}") not in NAMES:
            self.refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return False
        origin = self.headers.get("Origin")
        if origin is not None and _host_of(origin) not in NAMES:
            self.refuse(HTTPStatus.FORBIDDEN)
            return False
        return True

    def has_token(self) -> bool:
        """Whether a request has the token; else it is refused."""
        if hmac.compare_digest(self.headers.get(TOKEN, "").encode(), self.server.token.encode()):
            return True
        self.refuse(HTTPStatus.UNAUTHORIZED)
        return False

    def refuse(self, status: HTTPStatus, why: str = "") -> None:
        """Answer with a status and, as text, why; then hang up."""
        self.close_connection = True
        self.answer(status, f"{why or f'{status.value} {status.phrase}'}\n".encode(), TEXT)

    def answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        """Answer with content of a media type; an empty one is named nowhere."""
        self.head(status, len(content), kind)
        self.wfile.write(content)

    def head(self, status: HTTPStatus, size: int, kind: str) -> None:
        """Begin an answer of so many bytes."""
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
