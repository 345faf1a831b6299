"""ssh: SFTP. The reviewer logs in by a key of their own, and sees nothing but `bundle` and `return`.

`ssh://curator@host:22/srv/voxledger` keeps the bundle as `/srv/voxledger/alice/bundle/bundle-r01-alice.zip`; the
reviewer `alice` has an account of that name at the same host, whose root is `/srv/voxledger/alice`. docs/remotes.md
says how the server is set up, so that she can read `bundle` and only add to `return`.

Keys and known hosts are those of `~/.ssh`, as with OpenSSH; user, port and key file may also be those of the DVC
remote. A host whose key is not known is refused.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from voxledger.errors import BundleRefused, Misuse, VoxledgerError, Waiting
from voxledger.review.carrier import BUNDLE, CHUNK, MOST_UPLOADS, RETURN, Lines, Upload, Where, unreachable
from voxledger.review.pack import packed

SECONDS = 30.0
"""Within which the server has to answer."""
_Result = TypeVar("_Result")


class _Server:
    def __init__(self, where: Where, loop: asyncio.AbstractEventLoop, sftp: Any, host: str, port: int | None) -> None:
        self._where, self._loop, self._sftp = where, loop, sftp
        self._root = urlsplit(where.url).path or "/"
        self._host, self._port = host, port

    def send(self, folder: Path, reviewer: str) -> Lines:
        place = f"{self._folder(reviewer, BUNDLE)}/{folder.name}.zip"
        partial = f"{self._folder(reviewer, BUNDLE)}/.{folder.name}.{os.getpid()}"
        with packed(folder) as archive, self._told(f"{reviewer}/{BUNDLE}"):
            self._put(archive, partial)
            self._wait(self._sftp.chmod(partial, 0o644))
            self._wait(self._sftp.posix_rename(partial, place))
        port = f"-P {self._port} " if self._port else ""
        who = f"{reviewer}@{self._host}"
        return Lines(
            f"sftp {port}{who}:{BUNDLE}/{folder.name}.zip .",
            f"echo put {folder.name}.zip {RETURN}/ | sftp {port}{who}",
        )

    def uploads(self, reviewer: str) -> list[Upload]:
        place = self._folder(reviewer, RETURN)
        with self._told(f"{reviewer}/{RETURN}"):
            found = self._wait(self._listed(place))
        return [upload for _, upload in sorted(found, key=lambda one: (one[0], one[1].name))]

    def read(self, reviewer: str, upload: Upload, offset: int) -> Iterator[bytes]:
        place = f"{self._folder(reviewer, RETURN)}/{upload.name}"
        with self._told(f"{reviewer}/{RETURN}"):
            status = self._wait(self._sftp.lstat(_encoded(place)))
            if not stat.S_ISREG(status.permissions or 0):
                raise BundleRefused(f"{upload.name!r} of {reviewer} is no plain file", "ask for the bundle as a zip")
            if not (status.permissions or 0) & stat.S_IRGRP:
                raise VoxledgerError(
                    f"{upload.name!r} of {reviewer} cannot be read: it was sent with the rights of a private file",
                    f"at the server, `chmod g+r` what lies in {self._folder(reviewer, RETURN)}; or {reviewer} lets "
                    "others read the zip (`chmod 644`) and sends it again under another name",
                )
            file = self._wait(self._sftp.open(_encoded(place), "rb"))
            try:
                while offset < upload.bytes:
                    block = self._wait(file.read(min(CHUNK, upload.bytes - offset), offset))
                    if not block:
                        break
                    offset += len(block)
                    yield block
                if _version(self._wait(file.stat())) != upload.version:
                    raise Waiting(f"{upload.name!r} of {reviewer} is still arriving", "fetch again in a moment")
            finally:
                self._wait(file.close())

    def _folder(self, reviewer: str, name: str) -> str:
        return f"{self._root.rstrip('/')}/{reviewer}/{name}"

    def _put(self, archive: Path, place: str) -> None:
        target = self._wait(self._sftp.open(place, "wb"))
        try:
            with archive.open("rb") as source:
                while block := source.read(CHUNK):
                    self._wait(target.write(block))
        finally:
            self._wait(target.close())

    async def _listed(self, place: str) -> list[tuple[int, Upload]]:
        found: list[tuple[int, Upload]] = []
        async for entry in self._sftp.scandir(_encoded(place)):
            name = entry.filename.decode("utf-8", "surrogateescape")
            if name in (".", ".."):
                continue
            if len(found) == MOST_UPLOADS:
                raise VoxledgerError(f"{place} holds too many returns", "move some out of it")
            found.append((entry.attrs.mtime or 0, Upload(name, entry.attrs.size or 0, _version(entry.attrs))))
        return found

    def _wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(asyncio.wait_for(work, SECONDS))

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn errors of asyncssh into ours."""
        import asyncssh

        try:
            yield
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied) as error:
            raise VoxledgerError(
                f"{what} at {self._where.text}: {error}",
                "is the reviewer set up there, and you one of its curators? docs/remotes.md has the commands",
            ) from None
        except (asyncssh.Error, ConnectionError, TimeoutError) as error:
            raise unreachable(self._where, f"the connection broke off: {error or type(error).__name__}") from None


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _version(attrs: Any) -> str:
    return f"{attrs.size}-{attrs.mtime}"


@contextmanager
def connect(where: Where) -> Iterator[_Server]:
    """Log in.

    Raises
    ------
    Misuse
        asyncssh is not installed, or the address names no host.
    VoxledgerError
        The host cannot be reached, its key is not known, or it does not know the curator.

    Examples
    --------
    >>> with connect(Where("ssh:hospital", "ssh:hospital", {})):
    ...     pass
    Traceback (most recent call last):
        ...
    voxledger.errors.Misuse: ssh:hospital names no host and place
      → write ssh://USER@HOST:PORT/PLACE
    """
    host, port, options = _options(where)
    try:
        import asyncssh
    except ImportError:
        raise Misuse(
            f"{where.text}: asyncssh, which speaks SFTP, is not installed", "`pip install 'voxledger[ssh]'`"
        ) from None
    loop = asyncio.new_event_loop()
    connection = None
    try:
        try:
            connection = loop.run_until_complete(
                asyncssh.connect(host, connect_timeout=SECONDS, login_timeout=SECONDS, **options)
            )
            sftp = loop.run_until_complete(connection.start_sftp_client())
        except asyncssh.HostKeyNotVerifiable:
            name = f"-p {port} {host}" if port else host
            raise VoxledgerError(
                f"the key of {host} is not one that you know",
                f"compare `ssh-keyscan {name}` with what its administrator says, and add it to ~/.ssh/known_hosts",
            ) from None
        except asyncssh.PermissionDenied:
            raise VoxledgerError(
                f"{host} does not let you in as {options.get('username') or 'you are called here'}",
                "load your key (`ssh-add`), or name it: `dvc remote modify --local NAME keyfile …`",
            ) from None
        except (asyncssh.Error, OSError, ValueError) as error:
            raise unreachable(where, error or type(error).__name__) from None
        yield _Server(where, loop, sftp, host, port)
    finally:
        if connection is not None:
            connection.close()
            loop.run_until_complete(connection.wait_closed())
        loop.close()


def _options(where: Where) -> tuple[str, int | None, dict[str, Any]]:
    """Host and port, and what asyncssh is told besides; what is not given is that of `~/.ssh/config`."""
    of = where.settings.get
    try:
        parts = urlsplit(where.url)
        host, port = parts.hostname or "", int(of("port") or parts.port or 0) or None
    except ValueError as error:
        raise Misuse(f"{where.url}: {error}", "write ssh://USER@HOST:PORT/PLACE") from None
    user = of("user") or parts.username
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", host) or not re.fullmatch(r"[^\s'\"]*", parts.path):
        raise Misuse(f"{where.url} names no host and place", "write ssh://USER@HOST:PORT/PLACE")
    options: dict[str, Any] = {"port": port, "username": user, "password": of("password")}
    if keyfile := of("keyfile"):
        options |= {"client_keys": [str(Path(keyfile).expanduser())], "passphrase": of("passphrase")}
    return host, port, {name: value for name, value in options.items() if value is not None}
