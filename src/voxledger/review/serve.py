"""Serving one bundle to the browser of this machine, for those whose browser may not open files, or beside a model.

Who is answered stands in `voxledger.loopback`.
"""

from __future__ import annotations

import json
import os
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.extras import require_extra
from voxledger.loopback import HTML, JSON, LoopbackHandler, LoopbackServer
from voxledger.page import NAME as PAGE
from voxledger.page import page
from voxledger.records.bundle import (
    CLICKS,
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

if TYPE_CHECKING:
    from voxledger.review.answers import Answers

FILES, MODEL, ASK = "/files/", "/model", "/ask"
MOST_ASKED_BYTES = 1 << 25
"""Of a question to the model; a label map of a whole body in runs takes a tenth of it."""
_CHUNK = 1 << 20


class Server(LoopbackServer):
    """Serves the page and one bundle."""

    def __init__(self, folder: Path, port: int = 0, model: Path | None = None) -> None:
        """Open a bundle, and a model that answers clicks in it.

        Raises
        ------
        Misuse
            The folder is no bundle, the model answers no clicks, models are not installed, or the port is taken.
        VoxledgerError
            The files of the model do not fit its id.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise Misuse(f"{folder} holds no {MANIFEST}", "give the folder of a bundle, unpacked")
        try:
            self.manifest: Manifest = read_manifest(file.read_bytes(), str(file))
        except BundleRefused as error:
            raise Misuse(error.problem, error.remedy) from None
        self.folder = folder.resolve()
        self.answers = None if model is None else _answers(model, self.folder, self.manifest)
        super().__init__(_Handler, PAGE, port)


def _answers(model: Path, folder: Path, manifest: Manifest) -> Answers:
    require_extra("models")
    from voxledger.review.answers import Answers

    return Answers(model, folder, manifest)


class _Handler(LoopbackHandler):
    server: Server

    def do_GET(self) -> None:
        if not self.is_from_here():
            return
        path = urlsplit(self.path).path
        if path in ("/", f"/{PAGE}"):
            self.answer(HTTPStatus.OK, page(), HTML)
            return
        if path == MODEL:
            if self.has_token():
                offer = self.server.answers and self.server.answers.offer
                self.answer(HTTPStatus.OK, json.dumps(offer).encode(), JSON)
            return
        file = self._file(path)
        if file is None:
            return
        if not file.exists() and file.relative_to(self.server.folder).as_posix() not in self.server.manifest.files:
            self.answer(HTTPStatus.NO_CONTENT, b"", "")  # what the page may write, and has not written
            return
        if not is_plain(file):
            self.refuse(HTTPStatus.NOT_FOUND)
            return
        with open(file, "rb") as stream:
            self.head(HTTPStatus.OK, os.fstat(stream.fileno()).st_size, "application/octet-stream")
            while block := stream.read(_CHUNK):
                self.wfile.write(block)

    def do_POST(self) -> None:
        """Ask the model."""
        self.close_connection = True
        if not self.is_from_here() or not self.has_token():
            return
        if urlsplit(self.path).path != ASK or self.server.answers is None:
            self.refuse(HTTPStatus.NOT_FOUND)
            return
        size = self._size(MOST_ASKED_BYTES)
        if size is None:
            return
        try:
            found = self.server.answers.answer(self.rfile.read(size))
        except VoxledgerError as error:
            self.refuse(HTTPStatus.UNPROCESSABLE_ENTITY, error.problem)
        except Exception as error:  # whatever a network does not bear: the page goes on without it
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")
        else:
            self.answer(HTTPStatus.OK, json.dumps({"mask": found}).encode(), JSON)

    def do_PUT(self) -> None:
        self.close_connection = True  # what is refused is not read
        if not self.is_from_here() or (file := self._file(urlsplit(self.path).path)) is None:
            return
        name = file.relative_to(self.server.folder).as_posix()
        if name not in self._written():
            self.refuse(HTTPStatus.FORBIDDEN)
        elif (size := self._size(size_bound(self.server.manifest, name))) is not None:
            self._write(file, size)

    def _size(self, most: int) -> int | None:
        """Bytes that a request brings; None, and refused, where it does not say so or they are too many."""
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit()):
            self.refuse(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(size) > most:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        return int(size)

    def do_DELETE(self) -> None:
        """Remove a signature, which is of what lay there before; nothing else."""
        self.close_connection = True
        if not self.is_from_here() or (file := self._file(urlsplit(self.path).path)) is None:
            return
        if file.relative_to(self.server.folder).as_posix() not in (SIGNED, SIGNATURE):
            self.refuse(HTTPStatus.FORBIDDEN)
            return
        file.unlink(missing_ok=True)
        self.answer(HTTPStatus.NO_CONTENT, b"", "")

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
        self.answer(status, b"", "")

    def _written(self) -> set[str]:
        """What the page may write."""
        labels = {f"{LABELS}/{case}.nii.gz" for case in self.server.manifest.cases}
        return {DECISIONS, CLICKS, SIGNED, SIGNATURE} | labels

    def _file(self, path: str) -> Path | None:
        """The file of the bundle that a request with the token names; else it is refused."""
        if not self.has_token():
            return None
        name = unquote(path.removeprefix(FILES))
        folder = self.server.folder
        known = name == MANIFEST or name in self.server.manifest.files or name in self._written()
        if not path.startswith(FILES) or not is_safe(name) or not known:
            self.refuse(HTTPStatus.NOT_FOUND)
            return None
        if not (folder / name).parent.resolve().is_relative_to(folder):
            self.refuse(HTTPStatus.NOT_FOUND)
            return None
        return folder / name
